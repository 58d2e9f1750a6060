"""Networks measured, on shifted chips too, judged, bundled and published."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import example_records
import numpy as np
import pytest
import torch
from PIL import Image
from stages.house import distil

from sarslim.chips import simulated_folder
from sarslim.chips.dataset import Dataset
from sarslim.config import DistillConfig, EvaluateConfig, PrepareConfig, PublishConfig, parse
from sarslim.config.machine import threads
from sarslim.delivery.session import Session
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.networks.shapes import shape_of
from sarslim.records import BundleRecord, Origin
from sarslim.stages.compare import compare
from sarslim.stages.evaluate import evaluate
from sarslim.stages.measure import measure
from sarslim.stages.publish import publish
from sarslim.stages.results import read_json
from sarslim.stages.shifted import Source, compared
from sarslim.stages.shifted import read as read_shifted
from sarslim.store.storage import S3Uri, write_sums


def snippets_work(card: str, folder: Path, data: Dataset) -> None:
    """Runs what the card says to paste, where it says to paste it."""
    (folder / "chips").mkdir()
    for number, image in enumerate(data.part("test").images[:3]):
        Image.fromarray(image[0]).save(folder / "chips" / f"{number}.png")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    blocks = re.findall(r"```(shell|python)\n(.*?)```", card, re.DOTALL)
    assert [language for language, _ in blocks] == ["shell", "python"]
    run = {"shell": ["bash", "-c"], "python": [sys.executable, "-c"]}
    said = [
        subprocess.run(
            [*run[language], code],
            cwd=folder,
            env={**os.environ, "PATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for language, code in blocks
    ]
    table = list(csv.DictReader((folder / "found.csv").open()))
    assert [row["chip"] for row in table] == ["chips/0.png", "chips/1.png", "chips/2.png"]
    answers = [line.split()[:2] for line in said[1].splitlines() if not line.startswith("note: ")]
    assert answers == [[row["chip"], row["class"]] for row in table]


@pytest.fixture(scope="module")
def rough(tmp_path_factory) -> Path:
    """Simulated chips of two of the three classes, other ships, with a single look more of speckle."""
    folder, rng = tmp_path_factory.mktemp("shifted") / "rough", np.random.default_rng(0)
    simulated_folder.write(folder, 60, 3, seed=7, unlabelled=0, image_size=32)
    shutil.rmtree(sorted(place for place in folder.iterdir() if place.is_dir())[0])
    for file in sorted(folder.rglob("*.png")):
        amplitude = np.asarray(Image.open(file), float)
        amplitude *= np.sqrt(rng.gamma(1, 1, amplitude.shape))
        Image.fromarray(np.clip(amplitude, 0, 255).astype(np.uint8)).save(file)
    return folder


def test_networks_are_measured_on_shifted_chips_too(house, rough, store, tmp_path):
    address = S3Uri.parse("s3://tests/rough")
    for file in rough.rglob("*.png"):
        store.upload(file, address / file.relative_to(rough).as_posix())
    shifted = {"shifted": {"rough": str(rough), "stored": str(address)}}
    fields = {"latency_seconds": 0.02, "looks": [], **shifted}
    data, known = Dataset.open(house / "dataset"), artifact.load(house / "teacher")[0]
    config = parse(EvaluateConfig, fields)
    sources = read_shifted(config, data, read_json(PrepareConfig, house / "dataset" / "config.json"))
    assert [len(source.images) for source in sources] == [40, 40]
    assert sources[0].digest == sources[1].digest
    assert (sources[0].simulated, sources[0].images.dtype, sources[0].images.shape[1:]) == (True, "uint8", (1, 32, 32))
    found, again = (
        measure(label, config, dataset=house / "dataset", model=house / label["name"], scores=tmp_path / "scores")
        for label in ({"name": "teacher"}, {"name": "pruned", "budget": "20%", "method": "kd"})
    )
    right = known(torch.from_numpy(sources[0].images).float()).argmax(dim=1).numpy() == sources[0].labels
    assert found.shifted["rough"].accuracy == found.shifted["stored"].accuracy == pytest.approx(right.mean())
    assert found.shifted["rough"].balanced_accuracy == pytest.approx(
        np.mean([right[sources[0].labels == k].mean() for k in np.unique(sources[0].labels)])
    )
    assert found.figures()["accuracy_rough"] == found.shifted["rough"].accuracy
    texts = [each.model_dump_json() for each in (found, again)]
    out = {"comparison": tmp_path / "c.json", "page": tmp_path / "c.html", "table": tmp_path / "c.md"}
    compare(config, texts, **out)
    assert "| Network | Test part | rough (40) | stored (40) |" in (tmp_path / "c.md").read_text()
    assert 'id="shift"' in (tmp_path / "c.html").read_text()
    other = again.model_copy(update={"shifted": {}}).model_dump_json()
    with pytest.raises(InputError, match="were measured on different shifted sources"):
        compare(config, [texts[0], other], **out)


def test_chips_that_are_learned_from_are_counted_and_classes_that_are_not_known_are_refused(house, rough, tmp_path):
    data, prepared = Dataset.open(house / "dataset"), PrepareConfig()
    part = data.part("train")
    source = Source("train", "here", True, np.array(part.images[:10]), np.array(part.labels[:10]))
    answers = dict.fromkeys(("teacher", "pruned", "student"), source.labels)
    record = compared(source, data, answers)
    assert (record.trained_on, sum(record.per_class), record.student.difference) == (10, 10, 0)
    shutil.copytree(rough, tmp_path / "more")
    (tmp_path / "more" / "tanker").rename(tmp_path / "more" / "tug")
    config = parse(EvaluateConfig, {"shifted": {"more": str(tmp_path / "more")}})
    with pytest.raises(InputError, match=r"evaluate\.shifted\.more: has chips of tug, which the network does not know"):
        read_shifted(config, data, prepared)
    chosen = parse(PrepareConfig, {"classes": data.record.classes})
    assert len(read_shifted(config, data, chosen)[0].images) == 20


def test_evaluation_judges_by_the_gate_and_fills_the_bundle(house, rough, tmp_path, store):
    distil(parse(DistillConfig, {"epochs": 1}), house, tmp_path / "student")
    fields = {"latency_seconds": 0.02, "looks": [1], "min_accuracy": 1.0, "rivals": ["mnasnet0_5"]}
    fields |= {"min_over_shortcut": 0.0, "shifted": {"rough": str(rough)}, "max_drop_shifted": 0.0}
    config = parse(EvaluateConfig, fields)
    record = evaluate(
        config,
        dataset=house / "dataset",
        teacher=house / "teacher",
        pruned=house / "pruned",
        student=tmp_path / "student",
        evaluation=tmp_path / "evaluation",
        bundle=tmp_path / "bundle",
        page=tmp_path / "report.html",
        origin=Origin(run="a-run", time="2026-01-28T12:34:56+00:00"),
    )
    assert record.gate[0].condition == "95 % lower bound of accuracy above the largest class's"
    assert record.gate[0].bound == pytest.approx(1 / 3)
    verdicts = {check.condition: check.passed for check in record.gate}
    assert verdicts["accuracy at least"] is False
    assert verdicts["MACs at most"] is True
    assert verdicts["parameters at most"] is True
    assert record.passed is False
    for kind in ("teacher", "pruned", "student"):
        assert record.over_shortcut[kind].accuracy == (getattr(record, kind).accuracy, record.best_shortcut.accuracy)
    assert record.shortcuts[0].accuracy == record.majority_accuracy == pytest.approx(1 / 3)
    (check,) = (each for each in record.gate if "lead over the best shortcut" in each.condition)
    assert (check.found, check.passed) == (record.over_shortcut["student"].interval[0], False)  # after one epoch
    (elsewhere,) = record.shifted
    assert (elsewhere.name, elsewhere.per_class, elsewhere.trained_on) == ("rough", (0, 20, 20), 0)
    assert elsewhere.student.accuracy[1] == elsewhere.pruned.accuracy[1]
    assert record.figures()["student_accuracy_rough"] == elsewhere.student.accuracy[0]
    (check,) = (each for each in record.gate if "from the teacher on rough" in each.condition)
    assert check.found == pytest.approx(elsewhere.student.accuracy[1] - elsewhere.student.accuracy[0])
    assert record.against_teacher["student"].accuracy == (record.student.accuracy, record.teacher.accuracy)
    assert "Under shift" in (tmp_path / "report.html").read_text()
    assert "What shortcuts get" in (tmp_path / "report.html").read_text()
    test, wrong = Dataset.open(house / "dataset").part("test"), len(record.mistakes)
    assert wrong == min(24, round((1 - record.student.accuracy) * len(test.labels))) > 0
    assert all(record.student.classes[test.labels[m.chip]].name == m.true != m.student for m in record.mistakes)
    assert (tmp_path / "report.html").read_text().count("<img ") == wrong + 3 * 4
    assert record.student.macs <= 0.2 * record.teacher.macs
    files = Dataset.open(house / "dataset").files("test")
    assert [mistake.file for mistake in record.mistakes] == [files[mistake.chip] for mistake in record.mistakes]
    receipt = publish(
        parse(PublishConfig, {"version": "1"}),
        bundle=tmp_path / "bundle",
        receipt=tmp_path / "r.json",
        page=tmp_path / "told" / "report",
    )
    for page, address in ((tmp_path / "report.html", "BUNDLE"), (tmp_path / "told" / "report", receipt.uri)):
        assert f'Bundle.open("<span data-fill="bundle">{address}</span>")' in page.read_text()
        assert '<span data-fill="run">a-run</span>' in page.read_text()
    assert receipt.uri == "s3://sarslim/models/simulated-ships/1"
    assert store.fetch_bundle(S3Uri.parse(receipt.uri), tmp_path / "copy") == receipt.sha256
    assert set(receipt.sha256) == {
        "weights.safetensors", "model.json", "labels.json", "MODEL_CARD.md", "report.html",
        "model.onnx", "model.int8.onnx", "metrics.json",
    }  # fmt: skip
    assert [(each.network, each.runtime, each.precision) for each in record.deployments] == [
        (network, *kind)
        for network in ("teacher", "student")
        for kind in (("ONNX Runtime", "FP32"), ("ONNX Runtime", "INT8"), ("PyTorch", "FP32"))
    ]
    combinations = len({1, threads()}) * 2
    assert [(rival.network, len(rival.latency)) for rival in record.rivals] == [("mnasnet0_5", combinations)]
    assert record.rivals[0].params > 900_000
    assert all(len({(one.threads, one.batch) for one in each.latency}) == combinations for each in record.deployments)
    for network, scores in (("teacher", record.teacher), ("student", record.student)):
        onnx, int8, torch = (each for each in record.deployments if each.network == network)
        assert scores.latency == onnx.latency[:2]
        assert (torch.accuracy, torch.macro_f1) == (scores.accuracy, scores.macro_f1)
        assert (onnx.accuracy, onnx.macro_f1) == pytest.approx((scores.accuracy, scores.macro_f1))
        assert onnx.logits_difference < 1e-4
        assert int8.bytes < onnx.bytes
        assert int8.quantization.calibration_chips > 0
        assert onnx.latency[1].images_per_second == pytest.approx(64_000 / onnx.latency[1].median_ms)
    assert record.pruned.latency == record.student.latency
    assert record.threads == 1
    metrics = read_json(BundleRecord, tmp_path / "copy" / "metrics.json")
    assert metrics.data_digest == Dataset.open(house / "dataset").record.digest
    assert (metrics.gate_passed, metrics.simulated, metrics.files["model.onnx"].accuracy) == (
        False, True, record.student.accuracy,
    )  # fmt: skip
    session = Session(tmp_path / "copy" / "model.int8.onnx")
    assert session.preprocessing.typical == Dataset.open(house / "dataset").record.typical is not None
    assert session.preprocessing.scaling == Dataset.open(house / "dataset").record.scaling
    assert session.preprocessing.dtype == "uint8"
    card = (tmp_path / "copy" / "MODEL_CARD.md").read_text()
    assert card.count("| Student | ONNX INT8 |") == 1
    snippets_work(card, tmp_path / "copy", data=Dataset.open(house / "dataset"))


def test_a_published_version_is_not_overwritten(house, tmp_path, store):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "a").write_text("1")
    write_sums(bundle)
    config = parse(PublishConfig, {"name": "fixed", "version": "1"})
    publish(config, bundle=bundle, receipt=tmp_path / "receipt.json")
    (bundle / "a").write_text("2")
    write_sums(bundle)
    with pytest.raises(InputError, match="another bundle has this version"):
        publish(config, bundle=bundle, receipt=tmp_path / "receipt.json")


def test_networks_of_one_data_set_are_timed_in_turns_and_those_of_one_shape_once(house, tmp_path):
    shapes = [shape_of(*artifact.load(house / name)) for name in ("teacher", "pruned", "pruned")]
    networks = [
        each.model_copy(update={"shape": shape, "latency": None})
        for each, shape in zip(example_records.comparison(1).networks, shapes, strict=False)
    ]
    config = EvaluateConfig(latency_seconds=0.02)
    out = {"comparison": tmp_path / "comparison.json", "page": tmp_path / "page.html", "table": tmp_path / "table.md"}
    record = compare(config, [network.model_dump_json() for network in networks], **out)
    teacher, first, second = (network.latency for network in record.networks)
    assert teacher.median_ms > first.median_ms > 0
    assert second == first
    assert "eac7eac7eac7" in out["page"].read_text()
    other = networks[1].model_copy(update={"data_digest": "0" * 12})
    with pytest.raises(InputError, match="different data sets .000000000000, eac7eac7eac7."):
        compare(config, [networks[0].model_dump_json(), other.model_dump_json()], **out)
