"""Many networks against each other: rows, intervals, the page and its Pareto figure."""

import itertools
import re

import example_records
import pytest
from defusedxml import ElementTree
from page import Page

from sarslim import report
from sarslim.records import Comparison, Measured, Origin
from sarslim.report import drawing, pareto
from sarslim.report.words import comparison as words


@pytest.fixture(scope="module")
def comparison() -> str:
    return report.comparison_page(example_records.comparison())


def test_a_comparison_has_a_row_for_all_seeds_of_a_network():
    rows = report.measured_rows(example_records.comparison())
    assert rows[0] == (
        "Network", "Accuracy", "Gain over finetune", "Balanced accuracy", "Macro-F1", "Parameters", "MACs", "Latency",
    )  # fmt: skip
    assert [row[0] for row in rows[1:]] == [
        "teacher", "10% finetune", "10% kd", "10% distill", "1% finetune", "1% kd", "1% distill", "aconvnet",
        "squeezenet1_1",
    ]  # fmt: skip
    assert rows[1] == ("teacher", "96.7 %", "–", "96.7 %", "96.7 %", "11.2 M", "148 M", "9.87 ms")
    # Fine-tuned: 92.8, 93.0, 93.2, 92.8, 93.0: mean 92.96, standard deviation 0.167, t(4) = 2.776, half 0.21.
    assert rows[2] == ("10% finetune", "93.0 % (92.8–93.2)", "–", "93.0 %", "92.5 %", "1.12 M", "14.8 M", "3.16 ms")
    # Gains of kd by seed: 1.0, 1.1, 1.0, 1.1, 1.0; those of distill are 2.0, 2.2, 2.0, 2.2, 2.0.
    assert rows[3][2] == "+1.0 (+1.0 to +1.1)"
    assert rows[4][2] == "+2.1 (+2.0 to +2.2)"
    assert rows[7][2] == "+4.1 (+4.0 to +4.2)"
    assert rows[8][2] == "–"


def test_few_seeds_give_no_interval():
    assert report.measured_rows(example_records.comparison(seeds=1))[3][:3] == ("10% kd", "93.8 %", "+1.0")
    two = report.measured_rows(example_records.comparison(seeds=2))[4]
    assert two[:3] == ("10% distill", "95.0 % (94.8–95.2)", "+2.1")
    text = report.comparison_table(example_records.comparison(seeds=1))
    assert "says nothing about the luck of a seed; seeds=0,1,2 gives intervals." in text
    text = report.comparison_table(example_records.comparison(seeds=2))
    assert "- Means over 2 seeds, with the least and the most accuracy; 3 give an interval." in text
    text = report.comparison_table(example_records.comparison(seeds=3))
    assert "| 1% kd | 92.0 % (91.5–92.6) | +2.0 (+2.0 to +2.1) | 92.0 % | 91.5 % | 112 k | 1.48 M | 1.00 ms |" in text
    assert "95 % interval of the accuracy over seeds (Student's t)." in text
    assert "leaves the teacher between 94.9 % and 97.8 % (95 % Wilson interval)." in text


def test_gains_are_paired_by_seed_and_budget():
    networks = [
        n for n in example_records.comparison().networks if (n.budget, n.method, n.seed) != ("10%", "finetune", 1)
    ]
    gains = {row[0]: row[2] for row in report.measured_rows(Comparison(networks=tuple(networks)))}
    assert gains["10% kd"] == "+1.0 (+1.0 to +1.1)"  # 1.0, 1.0, 1.1, 1.0
    assert gains["1% kd"] == "+2.0 (+2.0 to +2.1)"
    lone = [n for n in networks if n.method != "finetune"]
    assert {row[2] for row in report.measured_rows(Comparison(networks=tuple(lone)))[1:]} == {"–"}


def test_an_interval_of_shares_stays_within_all():
    assert words.spread([0.99, 1.0, 0.96]) == (pytest.approx(0.9316, abs=1e-4), 1.0)
    assert words.spread([0.9, 0.8]) == (0.8, 0.9)


def test_comparison_page(comparison):
    page = Page(comparison)
    text = page.text.replace("\u00a0", " ")
    assert "9 networks on the same 600 simulated test chips; the most accurate is teacher with 96.7 %." in text
    assert "1% distill 94.0 % 93.8–94.2 +4.1 +4.0 to +4.2 94.0 % 93.5 % 112 k 1.48 M 1.00 ms" in text
    assert "These chips are simulated" in text
    wide, narrow = page.all("svg")
    assert wide["aria-label"] == narrow["aria-label"]
    assert "1% kd 92.0 % with 112 k parameters, 1.48 M MACs and 1.00 ms; " in str(wide["aria-label"])
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for label in ("finetune", "kd", "distill", "Parameters", "MACs per chip", "Latency (ms)", "squeezenet1_1"):
        assert comparison.count(f">{label}</text>") >= 2, label


def alone(name: str, accuracies: list[float], macs: int) -> list[Measured]:
    """A network without a budget, once per seed."""
    template = example_records.comparison(1).networks[0]
    return [
        template.model_copy(update={"name": name, "method": name, "seed": seed, "accuracy": accuracy, "macs": macs})
        for seed, accuracy in enumerate(accuracies)
    ]


@pytest.mark.parametrize(
    ("middle", "small", "chosen"),
    [
        # Of 600 chips 0.90 has the Wilson interval 0.8734 to 0.9216 and 0.89 has 0.8625 to 0.9127.
        ([0.90], [0.89], "middle"),
        ([0.89], [0.88], "large"),
        ([0.90], [0.90], "small"),
        # Over seeds: always 0.01 below is clear, now below and now above is not.
        ([0.91, 0.92, 0.91], [0.90, 0.91, 0.90], "large"),
        ([0.91, 0.93, 0.92], [0.90, 0.91, 0.90], "middle"),
        ([0.91, 0.93, 0.92], [0.93, 0.91, 0.92], "small"),
    ],
)
def test_the_best_tradeoff_is_the_smallest_that_is_not_clearly_below_the_best(middle, small, chosen):
    large = [0.92, 0.93, 0.92][: len(middle)]
    first = alone("teacher", [0.99], 1000)[0].model_copy(update={"method": ""})
    networks = [first, *alone("large", large, 100), *alone("middle", middle, 10), *alone("small", small, 1)]
    record = Comparison(networks=tuple(networks))
    assert words.group_name(words.best_tradeoff(record)) == chosen
    assert words.tradeoff(record).startswith(f"Best trade-off: {chosen}, ")
    assert ("paired by seed, lies below zero" in words.tradeoff_rule(record)) == (len(middle) == 3)
    assert ("Wilson interval, because 3 seeds are missing" in words.tradeoff_rule(record)) == (len(middle) == 1)


def test_of_networks_that_cost_the_same_the_most_accurate_is_the_best_tradeoff():
    first = alone("teacher", [0.99], 1000)[0].model_copy(update={"method": ""})
    record = Comparison(networks=(first, *alone("a", [0.90], 10), *alone("b", [0.91], 10)))
    assert words.tradeoff(record) == "Best trade-off: b, 91.0 % with 10 MACs, 100× fewer than the teacher"
    assert words.best_tradeoff(Comparison(networks=record.networks[:2])) == []
    assert words.tradeoff(Comparison(networks=record.networks[:2])) == ""


def test_the_best_tradeoff_is_marked_and_its_rule_told(comparison):
    text = Page(comparison).text.replace("\u00a0", " ")
    assert "★ Best trade-off: 10% distill, 95.0 % with 14.8 M MACs, 10.0× fewer than the teacher." in text
    assert (
        "the fewest MACs among the networks that are not clearly below the most accurate of them, 10% distill" in text
    )
    assert "The choice was made on the test chips, which flatters it a little." in text
    assert "10% distill ★ 95.0 %" in text
    assert comparison.count('<tr class="chosen">') == 1
    assert comparison.count(">best trade-off</text>") == 2  # beside each other and below each other
    table = report.comparison_table(example_records.comparison())
    assert "**Best trade-off: 10% distill, 95.0 % with 14.8 M MACs, 10.0× fewer than the teacher.**" in table


def test_every_recovered_row_leads_to_what_makes_its_bundle(comparison):
    page = Page(comparison)
    text = page.text
    assert (
        "sarslim rerun RUN --from prune --set prune.macs=1% --set prune.params=1% --set distill.method=finetune" in text
    )
    assert "They take the first of the seeds 0, 1, 2, 3, 4" in text
    links = [str(link["href"]).removeprefix("#") for link in page.all("a") if "bundle-" in str(link["href"])]
    assert links == [pre["id"] for pre in page.all("pre")] == [f"bundle-{number}" for number in range(1, 7)]
    told = Page(report.filled(comparison, rerun="sarslim rerun 20260128-123400 --runs /a")).text
    assert told.count("sarslim rerun 20260128-123400 --runs /a --from prune --set ") == 6
    origin = Origin(run="0a1b", time="2026-01-28T12:34:56+00:00", address="s3://a/b")
    on_a_cluster = Page(report.comparison_page(example_records.comparison(), origin)).text
    assert on_a_cluster.count("sarslim rerun 0a1b --host URL --from prune --set ") == 6
    assert "Run 0a1b Compared 28 January 2026, 12:34 UTC" in on_a_cluster


def test_what_makes_a_bundle_starts_with_the_first_stage_that_differs():
    networks = example_records.comparison(1).networks
    sets = {
        "10% finetune": ("distill.method=finetune",),
        "10% kd": (),
        "10% distill": ("prune.seed=1", "distill.seed=1"),
    }
    record = Comparison(
        networks=tuple(
            each.model_copy(update={"sets": sets.get(f"{each.budget} {each.method}", each.sets)}) for each in networks
        )
    )
    assert words.makings(record, remote=False)[:3] == [
        ("10% finetune", "--from distill --set distill.method=finetune"),
        ("10% kd", "--from evaluate"),
        ("10% distill", "--from prune --set prune.seed=1 --set distill.seed=1"),
    ]
    # The journal of a run on a cluster has the data set and the teacher only where several students were made.
    assert {options.split()[1] for _, options in words.makings(record, remote=True)} == {"prune"}


POINTS = [
    pareto.Point("teacher", "", 0.97, 0.97, 0.97, 1e7, 1e8, 10),
    *(
        pareto.Point(f"{size:g} {name}", name, 0.9 + gain, 0.89 + gain, 0.91 + gain, size, 10 * size, size / 1e6)
        for name, gain in (("finetune", 0.0), ("kd", 0.03))
        for size in (1e5, 1e6)
    ),
]


def places(svg: str, label: str) -> list[tuple[float, float]]:
    """Where a text stands in a figure, in points from the upper left corner."""
    found = re.findall(
        rf'transform="translate\(([\d.]+) ([\d.]+)\)[^>]*>{label}</text>|x="([\d.]+)" y="([\d.]+)"[^>]*>{label}</text>',
        svg,
    )
    return [(float(a or c), float(b or d)) for a, b, c, d in found]


def test_the_pareto_figure_has_three_panels_beside_or_above_each_other():
    for stacked, axis in ((False, 0), (True, 1)):
        svg = pareto.figure(POINTS, stacked=stacked)
        corners = [places(svg, name)[0] for name in ("Parameters", "MACs per chip", "Latency \\(ms\\)")]
        apart = [corner[axis] for corner in corners]
        assert apart == sorted(apart)
        assert min(b - a for a, b in zip(apart, apart[1:], strict=False)) > 150
        assert len(places(svg, "teacher")) == 3


def test_many_networks_that_stand_alone_are_numbered():
    rivals = [POINTS[0]._replace(name=f"net{i}", params=1e6 * i) for i in range(1, 5)]
    svg = pareto.figure([*POINTS[1:], *rivals])
    assert ">1: net1</text>" in svg
    assert ">4: net4</text>" in svg
    assert ">net4</text>" not in svg


def test_a_network_that_was_trained_in_two_ways_has_one_number_and_a_ring():
    rivals = [POINTS[0]._replace(name=f"net{i}", params=1e6 * i) for i in range(1, 5)]
    taught = rivals[3]._replace(accuracy=0.97, ring="with a teacher")
    without, given = (pareto.figure([*POINTS[1:], *rivals, *more]) for more in ((), (taught,)))
    assert given.count(">4: net4</text>") == without.count(">4: net4</text>") == 1
    assert given.count(">4</text>") == without.count(">4</text>") + 3
    assert given.count(">with a teacher</text>") == 1
    assert "net4, with a teacher 97.0 %" in given


def test_the_panels_keep_their_height_whatever_stands_in_the_legend():
    rivals = [POINTS[0]._replace(name=f"network number {i}", params=1e6 * i) for i in range(1, 30)]
    few, many = (places(pareto.figure(points), "Parameters")[0][1] for points in (POINTS, [*POINTS[1:], *rivals]))
    assert many == pytest.approx(few, abs=25)


def test_names_in_the_pareto_figure_do_not_overlap():
    # Five networks on one spot.
    crowd = [POINTS[0]._replace(name=f"net{i}", accuracy=0.95 + i / 1e4) for i in range(1, 6)]
    svg = pareto.figure([*POINTS, *crowd])
    numbers = [place for number in range(1, 7) for place in places(svg, str(number))]
    assert len(numbers) >= 3 * 6
    for first, second in itertools.combinations(numbers, 2):
        assert abs(first[0] - second[0]) > 5 or abs(first[1] - second[1]) > 8


def test_a_figure_as_a_file_of_its_own():
    text = drawing.standalone(pareto.figure(POINTS))
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in text
    assert "#0072b2" in text
    assert root[0].attrib == {"width": "100%", "height": "100%", "fill": "#ffffff"}
    assert drawing.standalone(pareto.figure(POINTS)) == text
