"""A bundle at work without PyTorch: what it answers, from where it reads, and what it refuses."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from sarslim import networks
from sarslim.chips import stream
from sarslim.chips.prepare import prepare
from sarslim.cli.app import app
from sarslim.config import PrepareConfig
from sarslim.delivery import export
from sarslim.delivery.registry import Models
from sarslim.delivery.runtime import Bundle
from sarslim.errors import InputError
from sarslim.networks.inference import predict
from sarslim.records import BundleRecord, FileScores, Preprocessing, Scaling
from sarslim.store.storage import S3Uri, Storage, write_sums

CLASSES = ("cargo", "tanker", "tug")
ROOT = Path(__file__).parents[2]
AT = "s3://tests/runtime"


def picture(label: int, seed: int, side: int = 40) -> np.ndarray:
    """Speckle with a bright bar whose place is the class."""
    image = np.random.default_rng(seed).gamma(2, 15, (side, side)).clip(0, 255)
    top = side // 2 - 14 + 10 * label
    image[top : top + 5] = 220
    return image.astype(np.uint8)


@pytest.fixture(scope="module")
def chips(tmp_path_factory) -> Path:
    """A folder per class below train and test, of PNGs of two sizes."""
    folder = tmp_path_factory.mktemp("chips")
    for split, count in (("train", 30), ("test", 40)):
        for label, name in enumerate(CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                side = 28 if number % 5 == 0 else 40
                image = Image.fromarray(picture(label, 1000 * label + number + (500 if split == "test" else 0), side))
                image.save(place / f"{number:03d}.png")
    (folder / "test" / "cargo" / "notes.txt").write_text("no chip")
    return folder


@pytest.fixture(scope="module")
def dataset(chips, tmp_path_factory) -> Path:
    """The same, prepared."""
    out = tmp_path_factory.mktemp("data") / "dataset"
    prepare(PrepareConfig(source=str(chips), image_size=32), chips, out)
    return out


@pytest.fixture(scope="module")
def network(dataset):
    """Knows the bars, by a few steps."""
    torch.manual_seed(0)
    net = networks.build("aconvnet", classes=3, channels=1, stem="standard", mean=[40.0], std=[50.0])
    images = torch.from_numpy(np.load(dataset / "train_images.npy")).float()
    labels = torch.from_numpy(np.load(dataset / "train_labels.npy"))
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    for _ in range(8):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net.eval()


def bundle_of(network, dataset: Path, folder: Path) -> Path:
    record = json.loads((dataset / "dataset.json").read_text())
    how = Preprocessing(
        channels=tuple(record["channels"]), image_size=32, dtype="uint8",
        scaling=tuple(Scaling(**each) for each in record["scaling"]),
        values="uint8", polarisation_as="samples", labels="visual", merge={}, typical=record["typical"],
    )  # fmt: skip
    folder.mkdir()
    export.to_onnx(network, folder / "model.onnx", classes=CLASSES, preprocessing=how)
    parts = {name: np.load(dataset / f"{name}.npy") for name in ("train_images", "val_images", "val_labels")}
    export.quantize(folder / "model.onnx", folder / "model.int8.onnx", **parts)
    scores = FileScores(accuracy=0.9, macro_f1=0.9)
    metrics = BundleRecord(
        sarslim_version="0", network="aconvnet", simulated=False, data_digest=record["digest"], test_chips=120,
        gate_passed=True, files={"model.onnx": scores, "model.int8.onnx": scores},
    )  # fmt: skip
    (folder / "metrics.json").write_text(metrics.model_dump_json())
    write_sums(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(network, dataset, tmp_path_factory) -> Path:
    return bundle_of(network, dataset, tmp_path_factory.mktemp("bundle") / "good")


@pytest.fixture(scope="module")
def poor(network, dataset, tmp_path_factory) -> Path:
    """The same network with its first two classes mixed up."""
    torch.manual_seed(0)
    mixed = networks.build("aconvnet", classes=3, channels=1, stem="standard", mean=[40.0], std=[50.0])
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    last = networks.output_layers(mixed)[0]
    for name in (name for name in weights if name.startswith(last)):
        weights[name] = weights[name][[1, 0, 2]]
    mixed.load_state_dict(weights)
    return bundle_of(mixed.eval(), dataset, tmp_path_factory.mktemp("bundle") / "poor")


@pytest.fixture(scope="module")
def published(bundle, store) -> str:
    store.publish(bundle, S3Uri.parse(f"{AT}/ships/1"))
    Models(store, S3Uri.parse(AT)).promote("ships/1", "latest")
    return AT


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    return done.stderr


@pytest.mark.parametrize("int8", [False, True])
def test_raw_chips_get_the_answers_of_the_prepared_ones(bundle, network, chips, dataset, int8):
    found = list(Bundle.open(bundle, int8=int8).predict([f"{chips / 'test'}/"]))
    assert [each.chip for each in found] == sorted(map(str, (chips / "test").rglob("*.png")))
    logits = predict(network, np.load(dataset / "test_images.npy"))
    assert np.mean([CLASSES.index(each.label) for each in found] == logits.argmax(axis=1)) >= (0.97 if int8 else 1)
    if not int8:
        ours = np.exp(logits - logits.max(axis=1, keepdims=True))
        theirs = np.array([each.probabilities for each in found])
        np.testing.assert_allclose(theirs, ours / ours.sum(axis=1, keepdims=True), atol=1e-4)
        assert all(each.confidence == each.probabilities.max() for each in found)


def test_it_works_where_pytorch_and_kfp_are_not_installed(bundle, chips, dataset):
    """In a fresh process that cannot import them."""
    blocked = ("torch", "torchvision", "kfp", "onnx", "sklearn", "scipy", "matplotlib", "jinja2", "safetensors", "yaml")
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from sarslim.cli.app import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
    )
    for arguments in (("predict", bundle, chips / "test"), ("evaluate", bundle, chips), ("evaluate", bundle, dataset)):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_predictions_as_csv_and_json_lines(bundle, chips, tmp_path):
    rows = list(csv.DictReader(io.StringIO(call("predict", bundle, chips / "test"))))
    assert len(rows) == 120
    assert set(rows[0]) == {"chip", "class", "confidence", "outside", *CLASSES}
    assert all(float(row["confidence"]) == max(float(row[name]) for name in CLASSES) for row in rows)
    call("predict", bundle, chips / "test", "--format", "jsonl", "--out", tmp_path / "out.jsonl", "--threads", 1)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["chip"], line["class"]) for line in lines] == [(row["chip"], row["class"]) for row in rows]
    assert sum(lines[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_products_and_images_are_read_by_polarisation(bundle, tmp_path):
    name = "S1A_IW_GRDH_1SDV_20150101T000000_20150101T000001_000001_000001_0000"
    with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as file:
        for number in range(3):
            for band in ("vv", "vh"):
                data = io.BytesIO()
                tifffile.imwrite(data, picture(number, number).astype(np.uint8))
                file.writestr(f"{name}/Patch_Uint8/Visual_Cargo_x{number}_y1_{band}.tif", data.getvalue())
    loaded = Bundle.open(bundle)
    how = loaded.session.preprocessing.model_copy(update={"channels": ("VV/VH",)})
    both = list(stream.unlabelled([tmp_path], how))
    assert [each.name.rpartition("/")[2] for each in both] == [
        f"Cargo_x{number}_y1 {band}" for number in range(3) for band in ("VV", "VH")
    ]
    assert all(each.image.shape == (1, 32, 32) for each in both)
    (tmp_path / "deep").mkdir()
    with zipfile.ZipFile(tmp_path / f"{name}.zip") as file:
        file.extractall(tmp_path / "deep")
    assert len(list(stream.unlabelled([tmp_path / "deep"], how))) == 6
    # This network was trained on chips of no named polarisation.
    with pytest.raises(InputError, match="has the polarisations VH, VV, the network takes amplitude"):
        list(loaded.predict([tmp_path]))
    tifffile.imwrite(tmp_path / "one.tif", picture(2, 7))
    (found,) = loaded.predict([tmp_path / "one.tif"])
    assert (found.chip, found.label) == (str(tmp_path / "one.tif"), "tug")


def test_a_bundle_comes_from_the_store_by_version_or_alias(published, chips, tmp_path):
    image = chips / "test" / "tanker" / "001.png"
    answers = {call("predict", f"{published}/{name}", image) for name in ("ships/1", "ships@latest", "ships")}
    assert len(answers) == 1
    header, row = answers.pop().splitlines()
    assert (header.split(",")[:2], row.split(",")[:2]) == (["chip", "class"], [str(image), "tanker"])
    assert "latest" in call("models", "list", "--at", published)
    assert "\n3 files in" in call("models", "pull", "ships", tmp_path / "pulled", "--at", published)
    assert ",tanker," in call("predict", tmp_path / "pulled", image)
    assert "exists already" in refused("models", "pull", "ships", tmp_path / "pulled", "--at", published)


def test_promotion_and_rollback_by_command(published, poor):
    Storage.from_environment().publish(poor, S3Uri.parse(f"{AT}/ships/2"))
    assert "ships@latest is at 2" in call("models", "promote", "ships/2", "--at", published)
    assert "ships@latest is at 1: rolled back from 2" in call("models", "rollback", "ships", "--at", published)


def test_evaluation_of_raw_and_of_prepared_chips_agrees(bundle, chips, dataset):
    loaded = Bundle.open(bundle)
    raw, prepared = loaded.evaluate(chips), loaded.evaluate(dataset)
    assert raw == prepared
    assert raw.chips == 120
    assert raw.accuracy == np.trace(raw.confusion) / 120 > 0.9
    assert [sum(row) for row in raw.confusion] == [each.chips for each in raw.classes] == [40, 40, 40]
    assert f"120 chips of 3 classes  accuracy {raw.accuracy:.2%}" in call("evaluate", bundle, chips)


def test_means_over_classes_are_over_those_that_the_chips_are_of(poor, chips, tmp_path):
    for name in ("cargo", "tug"):
        shutil.copytree(chips / "test" / name, tmp_path / name)
    scores = Bundle.open(poor).evaluate(tmp_path)
    there = [each for each in scores.classes if each.chips]
    assert [each.name for each in there] == ["cargo", "tug"]
    assert sum(row[1] for row in scores.confusion) > 0  # some were taken for tankers, of which there are none
    assert scores.macro_f1 == pytest.approx(np.mean([each.f1 for each in there]))
    assert scores.balanced_accuracy == pytest.approx(np.mean([each.recall for each in there]))
    said = call("evaluate", poor, tmp_path)
    assert "80 chips of 2 of 3 classes" in said
    assert "means over the classes that the data hold chips of" in said
    assert "\ntanker      0\n" in re.sub(" +\n", "\n", said)


def test_a_comparison_is_paired(bundle, poor, dataset):
    better, worse = Bundle.open(bundle), Bundle.open(poor)
    found = better.compare(worse, dataset)
    assert found.chips == 120
    assert found.difference == pytest.approx(found.accuracy[0] - found.accuracy[1])
    assert found.difference == pytest.approx((found.only_first - found.only_second) / 120)
    assert found.interval[0] <= found.difference <= found.interval[1]
    assert found.interval[0] > 0.3
    # The interval of a mean, by the central limit theorem.
    spread = np.sqrt((found.only_first + found.only_second) / 120 - found.difference**2) / np.sqrt(120)
    assert found.interval[1] - found.interval[0] == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert ": the first is better" in call("compare", bundle, poor, dataset)
    assert "difference of accuracy" in call("compare", bundle, bundle, dataset, "--second-int8")


def test_inspection_tells_what_is_in_a_bundle(bundle):
    said = call("inspect", bundle)
    for words in ("aconvnet", "cargo, tanker, tug", "quality gate   passed", "32 x 32", "model.int8.onnx", "90.00%"):
        assert words in said


def test_a_tampered_bundle_is_refused(bundle, chips, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / "model.onnx").write_bytes((copy / "model.int8.onnx").read_bytes())
    assert "model.onnx differs from its checksum" in refused("predict", copy, chips)
    (copy / "SHA256SUMS").write_text("")
    assert "SHA256SUMS does not list model.onnx" in refused("inspect", copy)
    assert "is not a bundle" in refused("predict", chips, chips)


def test_stacks_of_arrays_are_chips_too(bundle, chips, tmp_path):
    images = [chips / "test" / name / f"{number:03d}.png" for name in CLASSES for number in range(1, 5)]
    stack = np.stack([np.asarray(Image.open(image)) for image in images])
    np.save(tmp_path / "plain.npy", stack)
    np.save(tmp_path / "bands.npy", stack[:, None] * np.exp(1j * np.arange(12))[:, None, None, None])
    loaded = Bundle.open(bundle)
    found = list(loaded.predict([tmp_path]))
    assert [each.chip for each in found] == [
        f"{tmp_path / name}.npy {n}" for name in ("bands", "plain") for n in range(12)
    ]
    one_by_one = [each.probabilities for each in loaded.predict(images)]
    np.testing.assert_allclose([each.probabilities for each in found], one_by_one * 2, atol=1e-5)
    np.save(tmp_path / "one.npy", stack[0])
    assert "one.npy: holds uint8 of shape (40, 40)" in refused("predict", bundle, tmp_path / "one.npy")
    np.save(tmp_path / "one.npy", np.array([{}]), allow_pickle=True)
    assert "one.npy: is not an .npy file that can be read" in refused("predict", bundle, tmp_path / "one.npy")


def test_chips_in_a_store_are_named_by_their_address(bundle, chips, store):
    address = f"{AT}/chips"
    for name in CLASSES:
        store.upload(chips / "test" / name / "001.png", S3Uri.parse(f"{address}/test/{name}/1.png"))
    rows = list(csv.DictReader(io.StringIO(call("predict", bundle, address))))
    assert [(row["chip"], row["class"]) for row in rows] == [(f"{address}/test/{name}/1.png", name) for name in CLASSES]
    one = f"{address}/test/tug/1.png"
    assert [row["chip"] for row in csv.DictReader(io.StringIO(call("predict", bundle, one)))] == [one]
    assert "3 chips of 3 classes  accuracy 100.00%" in call("evaluate", bundle, address)
    assert "nothing is stored there" in refused("predict", bundle, f"{AT}/nowhere")


def test_without_imagecodecs_a_compressed_tiff_is_refused_by_name(bundle, tmp_path):
    tifffile.imwrite(tmp_path / "small.tif", picture(0, 0), compression="lzw")
    code = "import sys\nsys.modules['imagecodecs'] = None\nfrom sarslim.cli.app import app\napp(sys.argv[1:])"
    command = [sys.executable, "-c", code, "predict", str(bundle), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "small.tif: is a compressed TIFF. Install the package imagecodecs" in done.stderr


def test_more_threads_than_processors_are_refused(bundle, chips):
    for command in ("predict", "evaluate"):
        assert "threads: 100000 is more than the" in refused(command, bundle, chips, "--threads", "100000")


def test_what_is_no_chip_is_refused_by_name(bundle, chips, dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: holds no chips" in refused("predict", bundle, tmp_path / "empty")
    out = tmp_path / "out.csv"
    assert "chips: there is nothing at" in refused("predict", bundle, tmp_path / "missing", "--out", out)
    assert not out.exists()
    (tmp_path / "broken.png").write_bytes(b"PNG?")
    assert "broken.png: is not an image that can be read" in refused("predict", bundle, tmp_path / "broken.png")
    (tmp_path / "other" / "yacht").mkdir(parents=True)
    Image.fromarray(picture(0, 0)).save(tmp_path / "other" / "yacht" / "1.png")
    assert "has no chips of cargo, tanker, tug; its classes: yacht" in refused("evaluate", bundle, tmp_path / "other")
    prepare(PrepareConfig(source=str(chips), image_size=48), chips, tmp_path / "prepared")
    assert "was prepared with image_size 48" in refused("evaluate", bundle, tmp_path / "prepared")


def test_prepared_chips_are_not_scaled_a_second_time(bundle, dataset, chips, tmp_path):
    loaded = Bundle.open(bundle)
    record = json.loads((dataset / "dataset.json").read_text())
    assert record["scaling"][0]["high"] < 255  # a second scaling would change them
    expected = [each.probabilities for each in loaded.predict(chips / "test")]
    names = [f"{dataset / 'test_images.npy'} {number}" for number in range(120)]
    shutil.copytree(dataset, tmp_path / "deep" / "data")
    for given in (dataset, dataset / "test_images.npy", tmp_path / "deep"):
        found = list(loaded.predict(given))
        assert [each.chip for each in found] == [name.replace(str(dataset), str(given)) for name in names] or (
            given != dataset
        )
        np.testing.assert_allclose([each.probabilities for each in found], expected, atol=1e-5)
        right = np.mean([CLASSES.index(each.label) for each in found] == np.load(dataset / "test_labels.npy"))
        assert right == loaded.evaluate(dataset).accuracy
    train = list(loaded.predict(dataset / "train_images.npy"))
    assert [each.chip for each in train[:2]] == [f"{dataset / 'train_images.npy'} {number}" for number in (0, 1)]
    assert len(train) == record["parts"]["train"]["chips"]
    prepare(PrepareConfig(source=str(chips), image_size=48), chips, tmp_path / "other")
    for given in (tmp_path / "other", tmp_path / "other" / "test_images.npy"):
        with pytest.raises(InputError, match="was prepared with image_size 48"):
            list(loaded.predict(given))


def test_a_foreign_dataset_json_is_no_dataset(bundle, chips, tmp_path):
    shutil.copytree(chips / "test", tmp_path / "raw")
    (tmp_path / "raw" / "dataset.json").write_text('{"title": "ships"}')
    assert len(list(Bundle.open(bundle).predict(tmp_path / "raw"))) == 120
    assert Bundle.open(bundle).evaluate(tmp_path / "raw").chips == 120


def test_an_array_of_a_dataset_in_a_store_is_refused_alone_and_read_with_its_record(bundle, dataset, store):
    address = f"{AT}/dataset"
    store.upload(dataset, S3Uri.parse(address))
    loaded = Bundle.open(bundle)
    found = list(loaded.predict(address))
    assert found[0].chip == f"{address}/test_images.npy 0"
    np.testing.assert_array_equal(
        [each.probabilities for each in found], [each.probabilities for each in loaded.predict(dataset)]
    )
    with pytest.raises(
        InputError, match="test_images.npy: is part of a data set, and scaled. Give the whole of it, s3:"
    ):
        list(loaded.predict(f"{address}/test_images.npy"))


def test_chips_unlike_those_of_training_are_told_and_may_be_refused(bundle, chips, tmp_path, capsys):
    loaded = Bundle.open(bundle)
    usual = list(loaded.predict(chips / "test"))
    assert np.mean([each.outside.far for each in usual]) < 0.02
    assert "far outside" not in capsys.readouterr().out
    assert len(list(loaded.predict(chips / "test", refuse_outside=True))) == 120
    rng = np.random.default_rng(0)
    (tmp_path / "alien").mkdir()
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "alien" / "noise.png")
    tifffile.imwrite(tmp_path / "alien" / "scene.tif", rng.integers(0, 65536, (600, 600)).astype(np.uint16))
    Image.fromarray(picture(1, 3, 400)).save(tmp_path / "alien" / "wide.png")
    found = {Path(each.chip).name: each.outside for each in loaded.predict(tmp_path / "alien")}
    assert all(each.far for each in found.values())
    assert found["scene.tif"].distance > 5
    assert found["wide.png"].distance >= np.log2(10)
    said = capsys.readouterr().out
    assert "note: 3 of 3 chips: far outside of what the network was trained on (" in said
    with pytest.raises(
        InputError, match=r"noise.png: far outside of what the network was trained on: its mean is off by"
    ):
        list(loaded.predict(tmp_path / "alien", refuse_outside=True))


def test_a_bundle_of_an_earlier_version_cannot_tell(network, dataset, chips, tmp_path):
    record = json.loads((dataset / "dataset.json").read_text()) | {"typical": None}
    (tmp_path / "old").mkdir()
    for file in dataset.iterdir():
        shutil.copy(file, tmp_path / "old" / file.name)
    (tmp_path / "old" / "dataset.json").write_text(json.dumps(record))
    loaded = Bundle.open(bundle_of(network, tmp_path / "old", tmp_path / "bundle"))
    assert {each.outside for each in loaded.predict(chips / "test")} == {None}
    with pytest.raises(InputError, match="does not say what its network was trained on"):
        loaded.predict(chips / "test", refuse_outside=True)
