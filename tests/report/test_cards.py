"""Data card, pruning table and model card."""

import example_records
from page import Page

from sarslim import report
from sarslim.config import RunConfig
from sarslim.records import Skipped


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
    text = report.model_card(**example_records.run(), name="sar-ships", version="1.2")
    assert text.startswith("# sar-ships 1.2\n")
    assert "These chips are simulated" in text
    assert "not fit for use on real images" in text
    assert "| Student | 95.3 % | 95.3 % | 541 k | 7.15 M | 2.21 MB | 1.93 ms |" in text
    assert "| bulk carrier | 100 | 94.0 % | 94.0 % | 87.5 % to 97.2 % | 94.0 % |" in text
    assert "Apache-2.0" in text
    assert "The data belong to their owners" in text
    assert "reconstruction" in text
    columns = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(columns) > 2


def test_model_card_of_real_data_with_hostile_names_and_no_version():
    text = report.model_card(
        **example_records.run(simulated=False, classes=example_records.HOSTILE), name="targets", version=""
    )
    assert text.startswith("# targets\n")
    assert "not fit for use on real images" not in text
    assert "<b>" not in text
    assert "a\\|b \\`c\\` \\*d\\*" in text


def test_fine_tuning_has_no_self_reflection_to_explain():
    config = RunConfig.model_validate({"distill": {"method": "finetune"}})
    text = report.model_card(**example_records.run(config=config), name="a", version="1")
    assert "reconstruction" not in text
    assert "recovered by fine-tuning on labels" in text
