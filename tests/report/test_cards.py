"""Data card, pruning table and model card."""

import re
from typing import Any

import example_records
import pytest
import yaml
from page import Page

from sarslim import report
from sarslim.config import RunConfig
from sarslim.config.fields import LICENSES
from sarslim.records import Scaling, Skipped, UnlabelledSource


def card(**changes) -> str:
    record = example_records.dataset(**changes)
    return report.data_card(record, example_records.examples(record))


def test_data_card():
    text = card()
    page = Page(text)
    assert "2,400 simulated SAR chips of 6 classes" in page.text
    assert "These chips are simulated" in page.text
    assert "tanker 250 50 100 400" in page.text
    assert "by ship: no ship is in two parts. Seed 0." in page.text
    assert "amplitude (percentile): 255 · (a − 0.0123) / (2.75 − 0.0123)" in page.text
    assert "2,403 chips read, 2,400 kept, 3 left out" in page.text
    assert "holds NaN (2)" in page.text
    assert "c0ffee" in page.text
    pictures = page.all("img")
    assert len(pictures) == 48
    assert pictures[0]["alt"] == "bulk carrier, example 1"
    assert pictures[0]["width"] == "128"


def test_what_was_done_before_the_scaling_and_what_came_from_a_second_source():
    rule = Scaling(kind="chip_log", low=-1.08, high=-0.25, offset=0.001)
    second = UnlabelledSource(
        source="s3://raw/<more>", format="images", chips=1234, multilook=2, scaling=(rule,),
        sources_sha256={"a": "cd" * 32},
    )  # fmt: skip
    record = example_records.dataset(simulated=False, multilook=4, scaling=(rule,), unlabelled_source=second)
    examples = example_records.examples(record, chips=2)
    page = Page(report.data_card(record, examples | {"unlabelled": examples["tug"]}))
    formula = "255 · (log(a / m + 0.001) + 1.08) / (−0.25 + 1.08)"
    assert f"amplitude (chip_log): {formula}." in page.text
    assert "4 × 4 pixels were averaged in power (multilook) before the crop. m is the median of the pixels" in page.text
    said = (
        "1,234 of the chips without a label are from s3://raw/<more> (images at any depth), averaged over 2 × 2 pixels"
    )
    assert f"{said} in power, scaled like the training chips." in page.text
    assert "Source without labels s3://raw/<more>" in page.text
    assert f"{'cd' * 32} s3://raw/<more>: a" in page.text
    assert page.all("img")[-1]["alt"] == "Unlabelled, example 2"
    other = second.model_copy(update={"scaling": (rule.model_copy(update={"low": 0.5}),), "multilook": 1})
    page = Page(card(unlabelled_source=other))
    assert "(images at any depth), scaled by 255 · (log(a / m + 0.001) − 0.5) / (−0.25 − 0.5)." in page.text
    assert "multilook" not in page.text


def test_same_records_same_card():
    assert card() == card()


def test_data_card_of_two_channels_an_unlabelled_part_and_no_examples():
    record = example_records.dataset(simulated=False, channels=("VV", "VH"), warnings=("<i>odd</i>",), skipped=())
    record = record.model_copy(
        update={"parts": record.parts | {"unlabelled": record.parts["test"].model_copy(update={"per_class": (0,) * 6})}}
    )
    pictures = example_records.examples(record, chips=2)
    del pictures["tug"]
    page = Page(report.data_card(record, pictures))
    assert "tug 250 50 100 – 400" in page.text
    assert "Channels from top to bottom: VV, VH." in page.text
    assert "No example." in page.text
    assert "<i>odd</i>." in page.text
    assert {picture["height"] for picture in page.all("img")} == {"256"}


def test_long_lists_of_skipped_chips_are_cut_with_a_count():
    skipped = [Skipped(name=f"{i}.png", reason="holds NaN") for i in range(5000)]
    skipped += [Skipped(name="z", reason=f"reason {i}") for i in range(80)]
    text = card(skipped=tuple(skipped))
    assert "holds NaN <span" in text
    assert "(5,000)" in text
    assert "and 4,800 more" in text
    assert "and 31 other reasons" in text
    assert len(text) < len(card()) + 20_000


def test_pruning_table():
    text = report.pruning_table(example_records.pruning())
    assert "| Parameters | 11.2 M | 541 k | 4.8 % |" in text
    assert "| `layer4.1.conv2` | 512 | 100 | 19.5 % |" in text
    assert "16.8 % as cut, 39.1 % with BatchNorm statistics measured again" in text
    assert "Latency" not in text
    timed = example_records.pruning().model_copy(update={"latency_ms_before": 10.0, "latency_ms_after": 2.0})
    assert "| Latency | 10.0 ms | 2.00 ms | 20.0 % |" in report.pruning_table(timed)


def test_model_card():
    text = report.model_card(**example_records.run(), name="sar-ships")
    assert (
        "\n---\n\n# sar-ships\n\nA resnet18 that names 6 kinds of ships in simulated SAR chips of 64 × 64 pixels"
        in text
    )
    assert "Measured on 28 January 2026, 12:34 UTC in the run 20260128-123400." in text
    assert "These chips are simulated" in text
    assert "not fit for use on real images" in text
    assert "| Student | 95.3 % | 95.3 % | 95.3 % | 541 k | 7.15 M | 2.21 MB | 1.93 ms |" in text
    assert "| bulk carrier | 100 | 94.0 % | 94.0 % | 87.5 % to 97.2 % | 94.0 % |" in text
    assert "Apache-2.0" in text
    assert "The chips were made by it, so no other licence binds these weights." in text
    assert "reconstruction" in text
    columns = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(columns) > 2
    assert "Not for decisions that nobody checks: 4.7 % of the test chips were named wrongly." in text
    # One row for each network and variant, times beside each other.
    rows = [line for line in text.splitlines() if "ONNX" in line or "PyTorch FP32" in line]
    rows = [line for line in rows if line.startswith("|")]
    assert len(rows) == 7
    assert "| Student | ONNX INT8 | 95.5 % | 94.5 % | 552 kB | 0.180 ms | 0.112 ms | 0.0900 ms | 0.0562 ms |" in rows


# Of huggingface/hub-docs, modelcard.md: what a model card may say, and what a result has to.
HUB_FIELDS = {
    "language", "license", "license_name", "license_link", "library_name", "pipeline_tag", "tags", "datasets",
    "metrics", "base_model", "base_model_relation", "new_version", "thumbnail", "co2_eq_emissions", "model-index",
}  # fmt: skip
HUB_TASK, HUB_METRIC = {"type", "name"}, {"type", "value", "name", "config", "args", "verified"}
HUB_DATASET = {"type", "name", "config", "split", "revision", "args"}
HUB_METRICS = {"accuracy", "f1", "recall", "precision"}


def front_matter(text: str) -> dict[str, Any]:
    """The fields of a card, each checked against what Hugging Face knows."""
    empty, fields, _ = text.split("---\n", 2)
    assert empty == ""
    card = yaml.safe_load(fields)
    assert set(card) <= HUB_FIELDS
    assert card["license"] in (*LICENSES, "other", "unknown")
    assert ("license_name" in card and "license_link" in card) == (card["license"] == "other")
    assert all(re.fullmatch(r"[a-z0-9.-]+", text) for text in (card["license"], card["library_name"], *card["tags"]))
    assert set(card["metrics"]) <= HUB_METRICS
    (index,) = card["model-index"]  # the Hub keeps one model only
    assert set(index) == {"name", "results"}
    for result in index["results"]:
        assert set(result) == {"task", "dataset", "metrics"}
        assert {"type"} <= set(result["task"]) <= HUB_TASK
        assert {"type", "name"} <= set(result["dataset"]) <= HUB_DATASET
        assert result["task"]["type"] == card["pipeline_tag"] == "image-classification"
        assert re.fullmatch(r"[a-z0-9._-]+", result["dataset"]["type"])
        for metric in result["metrics"]:
            assert {"type", "value"} <= set(metric) <= HUB_METRIC
            assert metric["type"] in HUB_METRICS
            assert isinstance(metric["value"], float)
    return card


def test_hugging_face_reads_the_figures_of_a_card():
    evaluation = example_records.evaluation()
    student = evaluation.student.model_copy(update={"balanced_accuracy": 0.87654})
    records = example_records.run(evaluation=evaluation.model_copy(update={"student": student}))
    card = front_matter(report.model_card(**records, name="sar-ships"))
    assert card["license"] == "apache-2.0"  # chips of our own simulator
    assert {"sar", "onnx", "pruning", "knowledge-distillation", "ship-recognition", "simulated-data"} <= set(
        card["tags"]
    )
    (index,) = card["model-index"]
    (result,) = index["results"]
    assert index["name"] == "sar-ships"
    assert result["dataset"] == {
        "type": "simulated-sar-ship-chips",
        "name": "simulated SAR ship chips",
        "split": "test",
    }
    assert [(metric["type"], metric["value"], metric.get("args")) for metric in result["metrics"]] == [
        ("accuracy", 0.9533, None),
        ("f1", round(student.macro_f1, 4), {"average": "macro"}),
        ("recall", 0.8765, {"average": "macro"}),  # which is balanced accuracy
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", {"license": "unknown"}),
        ("cc-by-nc-4.0", {"license": "cc-by-nc-4.0"}),
        (
            "https://example.org/terms",
            {
                "license": "other",
                "license_name": "licence-of-the-data",
                "license_link": "https://example.org/terms",
            },
        ),
    ],
)
def test_a_card_has_the_licence_of_its_data(given, expected):
    config = RunConfig.model_validate({"evaluate": {"data_license": given, "data_name": "MSTAR"}})
    text = report.model_card(**example_records.run(simulated=False, config=config), name="targets")
    card = front_matter(text)
    assert {key: value for key, value in card.items() if key.startswith("license")} == expected
    assert given in text.split("## Licences")[1]
    assert ("which nobody has stated" in text) == (not given)
    assert card["model-index"][0]["results"][0]["dataset"]["name"] == "MSTAR"


def test_vehicles_are_never_called_ships():
    vehicles = ("BMP2", "T72", "ZSU23 4", "D7", "BTR70", "2S1")
    config = RunConfig.model_validate({"evaluate": {"data_name": "MSTAR"}})
    records = example_records.run(simulated=False, classes=vehicles, config=config)
    text = report.model_card(**records, name="mstar-targets")
    assert "ship" not in text.lower()
    assert "automatic-target-recognition" in front_matter(text)["tags"]
    page = report.run_report(**example_records.story(simulated=False, classes=vehicles, config=config))
    assert "ship" not in Page(page).text.split("Configuration prepare:")[0].lower()


def test_model_card_of_real_data_with_hostile_names():
    text = report.model_card(**example_records.run(simulated=False, classes=example_records.HOSTILE), name="targets")
    front_matter(text)
    text = text.split("---\n", 2)[2]
    assert text.startswith("\n# targets\n")
    assert "not fit for use on real images" not in text
    assert "<b>" not in text
    assert "a\\|b \\`c\\` \\*d\\*" in text


def test_fine_tuning_has_no_self_reflection_to_explain():
    config = RunConfig.model_validate({"distill": {"method": "finetune"}})
    text = report.model_card(**example_records.run(config=config), name="a")
    assert "reconstruction" not in text
    assert "recovered by fine-tuning on labels" in text
