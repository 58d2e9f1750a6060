"""Classes, merging and polarisations."""

import pytest
from chip_sources import configure

from sarslim.chips.index import Chip
from sarslim.chips.select import select
from sarslim.errors import InputError


def chips(**counts):
    return [
        Chip(f"{label}{n}", None if label == "none" else label, "f", 9, 9)
        for label, count in counts.items()
        for n in range(count)
    ]


def test_classes_are_sorted_or_as_asked_for():
    found = select(chips(Tanker=3, Cargo=3, Tug=3), configure())
    assert found.classes == ("Cargo", "Tanker", "Tug")
    assert found.channels == ("amplitude",)
    asked = select(chips(Tanker=3, Cargo=3, Tug=3), configure(classes=["Tanker", "Cargo"]))
    assert asked.classes == ("Tanker", "Cargo")
    assert [sample.label for sample in asked.samples] == [0, 0, 0, 1, 1, 1]
    assert {skip.reason for skip in asked.skipped} == {"class Tug is not among classes"}


def test_merging_comes_before_selection():
    found = select(chips(Bulk=2, Box=1, Tanker=2), configure(merge={"Bulk": "Cargo", "Box": "Cargo"}))
    assert found.classes == ("Cargo", "Tanker")
    assert [sample.label for sample in found.samples] == [0, 0, 0, 1, 1]


def test_small_classes_are_left_out_with_a_reason():
    found = select(chips(A=9, B=9, Tug=1), configure())
    assert found.classes == ("A", "B")
    assert [(s.name, s.reason) for s in found.skipped] == [
        ("Tug0", "class Tug has 1 chip, fewer than min_chips_per_class=2")
    ]


def test_unlabelled_chips_are_left_out_on_request():
    left = select(chips(A=3, B=3, none=2), configure(keep_unlabelled=False))
    assert [skip.reason for skip in left.skipped] == ["has no label, and keep_unlabelled is off"] * 2
    kept = select(chips(A=3, B=3, none=2), configure())
    assert [sample.label for sample in kept.samples][-2:] == [None, None]


def test_polarisations_to_keep():
    both = [Chip(f"{label}{n}", label, "f", 9, 9, ("VH", "VV")) for label in "AB" for n in range(3)]
    one = select(both, configure(polarisations=["VH"]))
    assert one.channels == ("VH",)
    assert {(sample.bands, sample.name[3:]) for sample in one.samples} == {((0,), "VH")}
    stacked = select(both, configure(polarisations=["VV", "VH"], polarisation_as="channels"))
    assert stacked.channels == ("VV", "VH")
    assert {sample.bands for sample in stacked.samples} == {(1, 0)}


def test_classes_are_counted_after_polarisations():
    mixed = [Chip(f"{label}{n}", label, "f", 9, 9, ("VH", "VV")) for label in "AB" for n in range(3)]
    mixed += [Chip(f"C{n}", "C", "f", 9, 9, ("VV",)) for n in range(3)]
    found = select(mixed, configure(polarisation_as="channels"))
    assert found.classes == ("A", "B")
    assert [(skip.name, skip.reason) for skip in found.skipped] == [
        (f"C{n}", "lacks polarisation VH") for n in range(3)
    ]
    with pytest.raises(InputError, match="class C has 0 chips"):
        select(mixed, configure(polarisation_as="channels", classes=["A", "C"]))


@pytest.mark.parametrize(
    ("counts", "values", "message"),
    [
        ({}, {}, "prepare.source: the source holds no chips"),
        ({"A": 9}, {}, r"prepare.source: recognition needs two classes or more, 1 left .*A \(9 chips\)"),
        ({"A": 9, "B": 1}, {}, r"1 left with at least 2 chips; found: A \(9 chips\), B \(1 chip\)"),
        ({"A": 9, "B": 9, "C": 1}, {"classes": ["A", "C"]}, "prepare.classes: class C has 1 chip, fewer than min"),
        ({"Cargo": 9, "Tanker": 9}, {"classes": ["Crago", "Tanker"]}, r"no 'Crago' \(did you mean Cargo\?\)"),
        ({"Cargo": 9, "Tanker": 9}, {"merge": {"Tnker": "Cargo"}}, r"prepare.merge: .*did you mean Tanker"),
        ({"A": 9, "B": 9}, {"polarisations": ["VV"]}, "prepare.polarisations: the source has no 'VV'"),
        ({"none": 9}, {}, "0 left with at least 2 chips; found: none"),
    ],
)
def test_what_cannot_be_selected_is_refused(counts, values, message):
    with pytest.raises(InputError, match=message) as caught:
        select(chips(**counts), configure(**values))
    assert caught.value.exit_code == 2
