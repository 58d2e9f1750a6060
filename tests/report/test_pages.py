"""Pages and tables made from records: right numbers, honest words, one file that needs nothing else."""

import base64
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import example_records
import numpy as np
import pytest
import yaml
from page import Page
from PIL import Image

from sarslim import report
from sarslim.config import RunConfig
from sarslim.records import Comparison, Origin, PublishRecord
from sarslim.report import figures, units
from sarslim.report.words import run as words


@pytest.fixture(scope="module")
def simulated() -> str:
    return report.run_report(**example_records.story())


@pytest.fixture(scope="module")
def hostile() -> str:
    return report.run_report(**example_records.story(simulated=False, classes=example_records.HOSTILE, passed=False))


@pytest.fixture(scope="module")
def comparison() -> str:
    return report.comparison_page(example_records.comparison())


@pytest.fixture(scope="module")
def data_card() -> str:
    record = example_records.dataset()
    return report.data_card(record, example_records.examples(record))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.count(11_170_000), "11.2 M"),
        (units.count(36_900_000), "36.9 M"),
        (units.count(669), "669"),
        (units.count(999_600), "1.00 M"),
        (units.count(0), "0"),
        (units.size(44_740_000), "44.7 MB"),
        (units.size(512), "512 B"),
        (units.milliseconds(1.934), "1.93 ms"),
        (units.milliseconds(0.0499), "0.0499 ms"),
        (units.milliseconds(9.999), "10.0 ms"),
        (units.milliseconds(1234.5), "1234 ms"),
        (units.percent(0.97124), "97.1 %"),
        (units.points(-0.0133), "−1.3 points"),
        (units.points(0.021), "+2.1 points"),
        (units.points(-0.0001), "0.0 points"),
        (units.times(5, 100, "fewer", "more"), "20.0× fewer"),
        (units.times(120, 100, "faster", "slower"), "1.20× slower"),
        (units.times(1, 344, "smaller", "larger"), "344× smaller"),
        (units.times(7, 7, "fewer", "more"), "the same"),
        (units.gate_value("largest drop", 0.05), "5.0 points"),
        (units.gate_value("MACs at most", 7_400_000), "7.40 M"),
        (units.gate_value("macro-F1 at least", 0.9), "90.0 %"),
        (units.gate_value("latency at most", 0.8), "0.800 ms"),
        (units.no_break("from 3.2 M to 5 % in 2.0 ms"), "from 3.2\u00a0M to 5\u00a0% in 2.0\u00a0ms"),
    ],
)
def test_numbers_as_people_write_them(text, expected):
    assert text == expected


def test_wilson_interval():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert units.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert units.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert units.wilson(0, 0) == (0.0, 1.0)


def test_summary_table():
    assert report.summary_table(example_records.evaluation()) == [
        ("Network", "Accuracy", "Balanced accuracy", "Macro-F1", "Parameters", "MACs", "File", "Latency"),
        ("Teacher", "96.7 %", "96.7 %", "96.7 %", "11.2 M", "148 M", "44.7 MB", "9.87 ms"),
        ("Pruned, before recovery", "40.0 %", "40.0 %", "39.3 %", "541 k", "7.15 M", "2.21 MB", "1.93 ms"),
        ("Student", "95.3 %", "95.3 %", "95.3 %", "541 k", "7.15 M", "2.21 MB", "1.93 ms"),
    ]


def test_the_last_screen_says_which_condition_failed():
    assert report.gate_failures(example_records.evaluation()) == []
    assert report.gate_failures(example_records.evaluation(passed=False)) == [
        "drop from the teacher at most 1.0 points, but it is 1.3 points"
    ]


@pytest.mark.parametrize(
    ("stage", "record", "line"),
    [
        ("prepare", example_records.dataset(), "2,400 chips of 6 classes"),
        ("teacher", example_records.training(), "macro-F1 96.8 % on the validation part"),
        ("prune", example_records.pruning(), "4.8 % of the MACs and 4.8 % of the parameters kept"),
        ("evaluate", example_records.evaluation(), "student 95.3 % right, teacher 96.7 %"),
        ("measure", example_records.comparison().networks[0], "accuracy 96.7 %"),
        ("publish", PublishRecord(uri="s3://a/b/c", name="b", version="c", sha256={}, alias=None), ""),
    ],
)
def test_every_stage_has_a_line_of_figures(stage, record, line):
    assert report.headline(stage, record.figures()) == line


def test_report_says_what_was_achieved(simulated):
    text = Page(simulated).text.replace("\u00a0", " ")
    assert (
        "With 20.6× fewer parameters and 20.7× fewer MACs, the student recognises 95.3 % of 600 simulated test chips, "
        "1.3 percentage points less than its teacher, and it passes the quality gate." in text
    )
    assert "These chips are simulated" in text
    assert "2 chips of the test part are also in the training part." in text
    assert "between 93.3 % and 96.8 % (95 % Wilson interval)" in text
    assert "right for 16.7 % of the test chips" in text
    for row in (
        "Accuracy 96.7 % 40.0 % −56.7 points 95.3 % −1.3 points",
        "File 44.7 MB 2.21 MB 20.2× smaller 2.21 MB 20.2× smaller",
        "Latency 9.87 ms 1.93 ms 5.1× faster 1.93 ms 5.1× faster",
        "drop from the teacher at most 1.3 points 5.0 points ✓ pass",
        "bulk carrier 100 96.0 % 94.0 % 87.5 – 97.2 % 94.0 % 94.0 % 0.990",
        "All 1,500 300 600 2,400",
    ):
        assert row in text, row
    assert "57de" * 16 in text


def test_report_says_of_which_run_it_is_and_where_the_bundle_is(simulated):
    text = Page(simulated).text
    assert "Run 20260128-123400 Measured 28 January 2026, 12:34 UTC Data simulated SAR ship chips" in text
    assert "Bundle its address is in the receipt of the stage publish" in text
    assert "sarslim predict BUNDLE chips > found.csv" in text
    address = "s3://models/compress/0a1b/evaluate-student/7/bundle"
    records = example_records.story(origin=Origin(run="0a1b", time="2026-01-28T23:30:00-02:00", address=address))
    on_a_cluster = Page(report.run_report(**records)).text
    assert "Run 0a1b Measured 29 January 2026, 01:30 UTC" in on_a_cluster
    assert on_a_cluster.count(address) == 3
    assert "BUNDLE" not in on_a_cluster


def test_what_is_known_later_is_filled_in(simulated):
    told = report.filled(simulated, run="20270101-000000", bundle=r"s3://m/<x>\1&y")
    text = Page(told).text
    assert text.count(r"s3://m/<x>\1&y") == 3
    assert r"s3://m/&lt;x&gt;\1&amp;y" in told
    assert "20270101-000000" in text
    assert "20260128-123400" not in text
    assert "BUNDLE" not in text
    assert report.filled(told, run="20260128-123400").count("20260128-123400") == 1
    assert report.filled(simulated) == simulated


def test_contents_lead_to_every_section(simulated, comparison):
    for text in (simulated, comparison):
        page = Page(text)
        headings = [attrs["id"] for tag, attrs in page.elements if tag == "h2"]
        links = [link for link in page.all("a") if not str(link["href"]).startswith("#bundle-")]
        assert [link["href"] for link in links] == [f"#{name}" for name in headings]
        assert len(set(headings)) == len(headings) > 3
        # In the frame of the KFP UI a link without this target would load the UI into the page.
        assert {link["target"] for link in page.all("a")} == {"_top"}


def test_report_owns_up(hostile):
    text = Page(hostile).text.replace("\u00a0", " ")
    assert "not simulated: they were read from s3://raw/chips" in text
    assert "fails the quality gate, so it is not published" in text
    assert "1.3 points 1.0 points ✗ fail" in text


def test_a_student_no_better_than_the_majority_is_called_useless():
    evaluation = example_records.evaluation().model_copy(update={"majority_accuracy": 0.96})
    assert "it has learned nothing of use" in words.verdict(example_records.dataset(), evaluation)


def judged(**accuracies: float):
    """The example with other accuracies of its networks, each on 600 chips of six classes."""
    evaluation = example_records.evaluation()
    return evaluation.model_copy(
        update={
            name: getattr(evaluation, name).model_copy(update={"accuracy": value}) for name, value in accuracies.items()
        }
    )


def test_a_student_that_is_not_shown_to_beat_guessing_is_told_so():
    told = words.verdict(example_records.dataset(), judged(student=0.18, pruned=0.17))
    assert "but so few chips leave it at 15.1 % or more, and guessing gets 16.7 %" in told
    assert told.endswith("that it has learned anything is not shown, so it is not published.")


def test_a_student_below_its_own_pruned_network_is_said_aloud():
    dataset = example_records.dataset()
    worse = "Recovery made it worse: right after pruning it recognised 40.0 %, and now 39.8 %."
    assert words.verdict(dataset, judged(student=0.398)).endswith(worse)
    assert "Recovery made it worse" not in words.verdict(dataset, judged(student=0.4))
    assert words.verdict(dataset, judged()).endswith("and it passes the quality gate.")
    assert worse in Page(report.run_report(**example_records.story(evaluation=judged(student=0.398)))).text.replace(
        "\u00a0", " "
    )


def test_a_teacher_that_only_guesses_is_said_aloud():
    told = words.verdict(example_records.dataset(), judged(teacher=0.17, student=0.9))
    assert told.endswith("Its teacher is not clearly better than guessing, so being near it says nothing.")


def test_pages_need_nothing_but_themselves(simulated, hostile, comparison, data_card):
    for text in (simulated, hostile, comparison, data_card):
        page = Page(text)
        assert "http" not in text
        assert not re.search(r"url\((?!#)|@import", text)
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
        assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
        for _, attrs in page.elements:
            for name in ("src", "href"):
                assert (attrs.get(name) or "#").startswith(("#", "data:image/png;base64,"))


def test_figures_have_labels_and_ids_of_their_own(simulated):
    page = Page(simulated)
    figures = page.all("svg")
    assert len(figures) == 13
    assert all(figure["role"] == "img" and len(figure["aria-label"] or "") > 30 for figure in figures)
    assert any("Student: bulk carrier 94.0 %" in (figure["aria-label"] or "") for figure in figures)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids)) > 100
    used = {target.removeprefix("#") for _, attrs in page.elements if (target := attrs.get("href"))}
    assert used <= set(ids)
    # Every term of the loss has its line; numbers stay text, never formulae.
    for term in ("label", "response", "scd", "crd", "auxiliary label", "total"):
        assert f">{term}</text>" in simulated
    assert "mathdefault" not in simulated


def test_figures_take_the_colours_of_the_page(simulated, comparison):
    for text in (simulated, comparison):
        style, body = text.split("</style>", 1)
        for name in re.findall(r"var\((--[a-z-]+)", text):
            assert style.count(f"{name}:") == 2, f"{name} needs a light and a dark value"
        assert "currentColor" in body
        assert "#111418" not in body


def test_class_names_cannot_break_the_page(hostile):
    assert "<b>" not in hostile
    assert "&lt;b&gt;bold&lt;/b&gt;" in hostile
    text = Page(hostile).text
    assert "$x_1$ & y" in text
    assert "船" in text
    assert "x" * 60 in text


def test_configuration_in_the_report_reads_back(simulated):
    page = Page(simulated)
    text = next(word for word in page.words if word.startswith("prepare:"))
    assert RunConfig.model_validate(yaml.safe_load(text)) == example_records.config()


def test_what_is_delivered_has_a_row_and_a_bar_per_variant(simulated):
    for variant, rows in (("PyTorch FP32", 2), ("ONNX FP32", 3), ("ONNX INT8", 2)):
        assert simulated.count(f"<td>{variant}</td>") == rows
    assert "Student, ONNX INT8 0.180" in simulated  # read aloud in place of the bars
    assert "the same class as PyTorch for every test chip" in simulated
    text = Page(simulated).text.replace("\u00a0", " ")
    assert (
        "Student in ONNX Runtime, one chip at a time: 1.93 ms; 5.1× faster than the teacher; "
        "2.7× faster than mobilenet_v3_small, untrained. "
        "Student in INT8: 0.180 ms, 25.0 % of the bytes, accuracy 95.5 %, in FP32 95.3 %."
    ) in text
    assert "mobilenet_v3_small, ONNX FP32 5.20" in simulated


def test_mistakes_are_shown_with_what_the_teacher_said(simulated):
    page = Page(simulated)
    assert "The student got 28 of 600 test chips wrong. Here are the 24 of which it was surest" in page.text
    assert "The teacher was right on 12 of 24." in page.text
    text = page.text.replace("\u00a0", " ")
    assert "bulk carrier chip 0 HB00000.png student container 98 % teacher bulk carrier 90 % ✓" in text
    assert "bulk carrier chip 1 HB00001.png student container 96 % teacher container 89 %" in text
    assert [span["title"] for span in page.all("span") if span.get("class") == "file"][23] == "TEST/tanker/HB00423.png"
    chips = [picture for picture in page.all("img") if "Test chip" in str(picture["alt"])]
    assert len(chips) == 24
    assert chips[23]["alt"] == "Test chip 423, true class tanker"


def test_generations_and_rounds_are_told():
    assert "generations" not in words.curve(example_records.training(epochs=8))
    record = example_records.training(epochs=8)
    assert words.curve(record, 2, "generations").startswith("8 epochs in 10 s, 2 generations; the weights of epoch 6 ")


def test_terms_that_a_later_generation_adds_are_drawn():
    first, second = example_records.training(epochs=4), example_records.training(student=True, epochs=4)
    record = second.model_copy(update={"epochs": (*first.epochs, *second.epochs)})
    drawn = figures.losses(record, "teacher")
    assert {"label", "response", "scd", "crd"} <= set(Page(drawn).words)
    assert not {"response", "scd", "crd"} & set(Page(figures.losses(first, "teacher")).words)


def test_a_report_without_pictures_shows_no_chip_and_says_what_was_wrong(simulated):
    page = Page(report.run_report(**(example_records.story() | {"mistaken": [], "examples": {}})))
    assert page.all("img") == []
    assert len(page.all("svg")) == len(Page(simulated).all("svg"))
    assert "The student got 28 of 600 test chips wrong." in page.text
    assert "The 24 of which it was surest, by their files" in page.text
    assert "TEST/tanker/HB00423.png 423 tanker bulk carrier" in page.text
    assert "Examples" not in page.words
    assert "Examples" in Page(simulated).words


def test_pictures_are_lossless_and_large_ones_few():
    records = example_records.story(
        dataset=example_records.dataset(image_size=256, dtype="float16"),
        teacher=example_records.training(epochs=1),
        distill=example_records.training(epochs=1),
    )
    records["examples"]["tug"] = records["examples"]["tug"].astype(np.float16)
    pictures = {str(picture["alt"]): str(picture["src"]) for picture in Page(report.run_report(**records)).all("img")}
    assert len([alt for alt in pictures if alt.startswith("Test chip")]) == 6
    wanted = {
        "Test chip 0, true class bulk carrier": records["mistaken"][0][0],
        "tug, example 4": records["examples"]["tug"][3, 0],
    }
    for alt, pixels in wanted.items():
        file = io.BytesIO(base64.b64decode(pictures[alt].removeprefix("data:image/png;base64,")))
        np.testing.assert_array_equal(np.asarray(Image.open(file)), pixels)


def test_a_student_without_mistakes_is_said_to_have_none():
    perfect = tuple(tuple(100 if row == column else 0 for column in range(6)) for row in range(6))
    evaluation = example_records.evaluation()
    student = evaluation.student.model_copy(update={"confusion": perfect})
    found = words.mistaken(evaluation.model_copy(update={"student": student, "mistakes": ()}), 0)
    assert found == "Nothing: the student named all 600 test chips rightly."
    assert words.mistaken(evaluation, 0) == "The student got 28 of 600 test chips wrong."
    few = evaluation.model_copy(update={"mistakes": evaluation.mistakes[:1]})
    assert "Here is the one of which it was surest" in words.mistaken(few, 1)


def test_the_report_holds_the_data_card_and_says_how_to_repeat_the_run(simulated):
    text = Page(simulated).text
    assert "by ship: no ship is in two parts. Seed 0." in text
    assert "2,403 chips read, 2,400 kept, 3 left out" in text
    assert "make run CONFIG=experiment.yaml" in text
    assert "Evaluated with python 3.11.9, sarslim 0.1.0, torch 2.12.0." in text


def test_same_records_same_bytes(simulated):
    assert report.run_report(**example_records.story()) == simulated


def test_report_of_a_single_epoch_and_many_classes():
    classes = tuple(f"class {index}" for index in range(15))
    confusion = tuple(tuple(9 if i == j else 1 if i == j + 1 else 0 for j in range(15)) for i in range(15))
    costs: dict[str, Any] = {"params": 100, "macs": 2000, "file": 400, "ms": 0.1}
    scores = example_records.scores(confusion, classes, **costs)
    evaluation = example_records.evaluation().model_copy(
        update={"teacher": scores, "pruned": scores, "student": scores, "gate": ()}
    )
    text = report.run_report(
        **example_records.story(
            dataset=example_records.dataset(classes=classes, warnings=()),
            evaluation=evaluation,
            teacher=example_records.training(epochs=1).model_copy(update={"kept_epoch": 1}),
            distill=example_records.training(epochs=1, student=True),
        )
    )
    page = Page(text)
    assert "as many parameters and as many MACs" in page.text
    assert "the same as its teacher" in page.text
    assert "No condition was set." in page.text
    assert "warnings about the data" not in page.text


@pytest.mark.parametrize(
    ("missing", "call"),
    [
        (("torch", "matplotlib", "sklearn"), "report.data_card(r.dataset(), r.examples(r.dataset()))"),
        (("torch", "matplotlib", "jinja2", "PIL"), "report.pruning_table(r.pruning())"),
        (("torch", "matplotlib", "jinja2", "PIL"), "report.model_card(**r.run(), name='a')"),
        (("torch",), "from sarslim.report import figures; figures.validation(r.training(), r.training())"),
    ],
)
def test_each_page_needs_only_what_its_image_holds(missing, call):
    code = f"import sys\nfor name in {missing!r}: sys.modules[name] = None\n"
    code += f"import example_records as r\nfrom sarslim import report\n{call}"
    path = [str(Path(__file__).parents[up]) for up in (1, 2)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def with_shortcuts(**changes):
    """The evaluation of a run with other shortcuts."""
    found = [
        each.model_copy(update={"accuracy": changes[each.name], "balanced_interval": (changes[each.name] - 0.02, 1)})
        if each.name in changes
        else each
        for each in example_records.shortcuts()
    ]
    return example_records.evaluation().model_copy(update={"shortcuts": tuple(found)})


def test_report_tells_what_shortcuts_get_and_how_far_networks_are_above_them(simulated):
    text = Page(simulated).text.replace("\u00a0", " ")
    assert (
        "The best shortcut, size and shape of the bright blob, gets 60.0 %: the teacher is 36.7 points above, the "
        "pruned network 20.0 points below and the student 35.3 points above." in text
    )
    assert (
        "Background the border of the chip: mean, spread and quantiles 18.0 % 18.0 % 17.0 % +1.3 points −1.7 to +4.3"
        in text
    )
    assert "Student +35.3 points +32.3 to +38.3 224 12" in text
    assert "1 warning about the data" in text


def test_a_class_that_the_background_gives_away_is_a_warning_about_the_data():
    evaluation = with_shortcuts(background=0.4, brightness=0.3)
    (card,) = {report.model_card(**example_records.run(evaluation=evaluation), name="x")}
    page = Page(report.run_report(**example_records.story(evaluation=evaluation))).text.replace("\u00a0", " ")
    for told in (page, card):
        assert "background alone gets 40.0 % of the test chips right (the largest class 16.7 %)" in told
        assert "brightness alone gets 30.0 %" in told
    assert "3 warnings about the data" in page
    assert "size and shape of the bright blob alone" not in page


def test_a_student_that_is_not_clearly_above_a_shortcut_is_told_so():
    evaluation = example_records.evaluation()
    near = evaluation.over_shortcut | {"student": example_records.paired(0.6, 0.59)}
    verdict = report.verdict(example_records.dataset(), evaluation.model_copy(update={"over_shortcut": near}))
    assert verdict.endswith(
        "That it knows more than size and shape of the bright blob, which alone gets 60.0 %, is not shown."
    )
    assert "is not shown" not in report.verdict(example_records.dataset(), evaluation)


def test_data_card_says_what_the_largest_class_gets(data_card):
    text = Page(data_card).text.replace("\u00a0", " ")
    assert "Floor: always naming the largest class, bulk carrier, is right for 16.7 % of the test part." in text


def test_pages_tell_what_compression_costs_where_chips_differ(simulated):
    evaluation = example_records.evaluation().model_copy(update={"shifted": example_records.shifted()})
    verdict = report.verdict(example_records.dataset(), evaluation)
    assert verdict.endswith("On winter, it is 4.0 points behind its teacher (95 % interval −6.0 to −2.0).")
    text = Page(report.run_report(**example_records.story(evaluation=evaluation))).text.replace("\u00a0", " ")
    assert "Test part 600 96.7 % (96.7) 40.0 % (40.0) 95.3 % (95.3) −1.3 points −2.8 to +0.2" in text
    assert "winter 600 90.0 % (90.0) 35.0 % (35.0) 86.0 % (86.0) −4.0 points −6.0 to −2.0" in text
    assert "other-sensor: 600 chips of 3 of 6 classes from s3://raw/other-sensor, SHA-256 5eed5eed5eed." in text
    assert "3 of 600 chips of other-sensor are in the training or validation part" in text
    card = report.model_card(**example_records.run(evaluation=evaluation), name="x")
    assert "| winter | 600 | 90.0 % (90.0) | 35.0 % (35.0) | 86.0 % (86.0) | −4.0 points | −6.0 to −2.0 |" in card
    assert "Measured only on the test part, winter and other-sensor described below" in card
    assert "Under shift" not in Page(simulated).text


def test_a_comparison_tells_of_shifted_sources():
    record = example_records.compared_under_shift()
    text = Page(report.comparison_page(record)).text.replace("\u00a0", " ")
    assert "10% distill 95.0 % +2.1 (+2.0 to +2.2) 85.0 % +2.1 (+2.0 to +2.2)" in text
    assert "squeezenet1_1 94.0 % 74.0 %" in text
    table = report.comparison_table(record)
    assert "| Network | Test part | winter (300) |" in table
    assert "| 10% finetune | 93.0 % | 83.0 % |" in table
    assert "Under shift" not in report.comparison_table(example_records.comparison())


def test_a_disturbed_latency_is_marked_wherever_it_stands():
    run = example_records.story()
    slow = run["evaluation"].student.latency[0].model_copy(update={"disturbed": True})
    student = run["evaluation"].student.model_copy(update={"latency": (slow, *run["evaluation"].student.latency[1:])})
    run["evaluation"] = run["evaluation"].model_copy(update={"student": student})
    text = Page(report.run_report(**run)).text.replace("\u00a0", " ")
    assert "1.93 ms* 5.1× faster" in text
    assert "* Other work on the machine disturbed this latency" in text
    assert "9.87 ms*" not in text
    networks = list(example_records.comparison(1).networks)
    assert networks[1].latency is not None
    networks[1] = networks[1].model_copy(update={"latency": networks[1].latency.model_copy(update={"disturbed": True})})
    table = report.comparison_table(Comparison(networks=tuple(networks)))
    assert len(re.findall(r"ms\\?\*", table)) == 1
