"""Splits: nothing torn apart, every class everywhere, given splits honoured."""

from collections import Counter, defaultdict

import pytest

from sarslim.chips.index import Chip
from sarslim.chips.select import Sample
from sarslim.chips.split import overlaps, split
from sarslim.errors import InputError

CLASSES = ("A", "B")


def sample(number, label, *, ship="", scene="", given=""):
    chip = Chip(f"{label}-{number:05d}", label, "f", 9, 9, ship=ship, scene=scene, split=given)
    return Sample(chip, None if label is None else CLASSES.index(label), (0,), "VV")


def cut(samples, **options):
    values = {"group_by": "auto", "val_fraction": 0.15, "test_fraction": 0.25, "seed": 0} | options
    return split(samples, CLASSES, **values)


def counts(samples, parts):
    return Counter((part, s.chip.label) for s, part in zip(samples, parts, strict=True))


def test_chips_without_identity_are_stratified_exactly():
    samples = [sample(n, "A") for n in range(400)] + [sample(n, "B") for n in range(40)]
    parts, rule = cut(samples)
    assert counts(samples, parts) == {
        ("test", "A"): 100, ("val", "A"): 45, ("train", "A"): 255,
        ("test", "B"): 10, ("val", "B"): 4, ("train", "B"): 26,
    }  # fmt: skip
    assert rule == "test and val drawn by chip, stratified by class (no ship known; no scene known)"


def test_ships_are_never_torn_apart():
    samples = [sample(n, "AB"[n % 2], ship=f"{'AB'[n % 2]}{n // 12}") for n in range(1200)]
    parts, rule = cut(samples)
    assert rule == "test and val drawn by ship, stratified by class"
    assert overlaps(samples, parts, lambda chip: chip.ship) == []
    found = counts(samples, parts)
    for label in CLASSES:
        assert found["test", label] == pytest.approx(150, abs=6)
        assert found["val", label] == pytest.approx(67.5, abs=6)


def test_scenes_are_used_where_ships_are_unknown_or_asked_for():
    samples = [sample(n, "AB"[n % 2], scene=f"s{n // 20}") for n in range(400)]
    parts, rule = cut(samples)
    assert "by scene" in rule
    assert overlaps(samples, parts, lambda chip: chip.scene) == []
    ships = [sample(n, "AB"[n % 2], scene=f"s{n // 20}", ship=str(n)) for n in range(400)]
    assert overlaps(ships, cut(ships)[0], lambda chip: chip.scene)
    assert not overlaps(ships, cut(ships, group_by="scene")[0], lambda chip: chip.scene)


def test_seed_decides_and_order_of_the_source_does_not():
    samples = [sample(n, "AB"[n % 2], ship=f"{'AB'[n % 2]}{n // 8}") for n in range(400)]
    first = dict(zip([s.chip.id for s in samples], cut(samples)[0], strict=True))
    again = dict(zip([s.chip.id for s in samples[::-1]], cut(samples[::-1])[0], strict=True))
    assert first == again
    assert cut(samples)[0] != cut(samples, seed=1)[0]


def test_given_test_is_honoured_and_validation_carved_out_of_training():
    samples = [sample(n, "AB"[n % 2], given="test" if n < 60 else "train") for n in range(260)]
    parts, rule = cut(samples)
    assert {parts[n] for n in range(60)} == {"test"}
    assert Counter(parts[60:]) == {"train": 170, "val": 30}
    assert rule.startswith("test, train as given by the source; val drawn by chip")


def test_given_validation_is_honoured_too():
    given = ["train", "train", "val", "test"]
    samples = [sample(n, "AB"[n // 4 % 2], given=given[n % 4]) for n in range(80)]
    parts, rule = cut(samples)
    assert parts == given * 20
    assert rule == "test, train, val as given by the source"


def test_identities_known_for_some_classes_only_do_not_take_variants_out_of_training():
    """As in MSTAR: three serial numbers for one class, none for the others."""
    samples = [sample(n, "A", ship=f"sn{n % 3}", given="train" if n < 240 else "test") for n in range(300)]
    samples += [sample(n, "B", given="train" if n < 80 else "test") for n in range(100)]
    parts, rule = cut(samples)
    assert "val drawn by chip" in rule
    assert "no ship known for most chips of B" in rule
    assert counts(samples, parts)["val", "A"] == 36


def test_rare_class_keeps_training_first_and_does_not_loosen_the_grouping():
    samples = [sample(n, "A", ship=f"a{n // 4}") for n in range(100)]
    samples += [sample(n, "B", ship=f"b{n}") for n in range(2)]
    parts, rule = cut(samples)
    assert "by ship" in rule
    found = counts(samples, parts)
    assert (found["train", "B"], found["test", "B"], found["val", "B"]) == (1, 1, 0)


def test_few_large_ships_still_fill_every_part():
    samples = [sample(n, "AB"[n % 2], ship=f"{'AB'[n % 2]}{n % 6 // 2}") for n in range(120)]
    parts, rule = cut(samples)
    assert "by ship" in rule
    assert set(counts(samples, parts).values()) == {20}


def test_unlabelled_chips_of_held_out_ships_are_left_out():
    samples = [sample(n, "AB"[n % 2], ship=f"s{n // 2}") for n in range(80)]
    samples += [sample(n, None, ship=f"s{n}") for n in range(40)]
    parts, _ = cut(samples, group_by="ship")
    for s, part in zip(samples[80:], parts[80:], strict=True):
        twins = {p for t, p in zip(samples[:80], parts[:80], strict=True) if t.chip.ship == s.chip.ship}
        assert part == ("unlabelled" if twins == {"train"} else "")


def test_polarisations_of_one_chip_stay_together():
    chips = [sample(n, "AB"[n % 2]) for n in range(60)]
    samples = [s for s in chips for _ in range(2)]
    parts, _ = cut(samples)
    together = defaultdict(set)
    for s, part in zip(samples, parts, strict=True):
        together[s.chip.id].add(part)
    assert all(len(found) == 1 for found in together.values())


def test_identity_that_is_not_known_cannot_be_asked_for():
    with pytest.raises(InputError, match="prepare.group_by: ship asked for"):
        cut([sample(n, "AB"[n % 2]) for n in range(60)], group_by="ship")


def test_given_split_without_test_part_is_refused():
    samples = [sample(n, "AB"[n % 2], given="train") for n in range(60)]
    with pytest.raises(InputError, match="but no test part") as caught:
        cut(samples)
    assert caught.value.exit_code == 2


def test_one_ship_per_class_leaves_nothing_to_test_on():
    samples = [sample(n, "AB"[n % 2], ship="AB"[n % 2]) for n in range(60)]
    with pytest.raises(InputError, match="too little data for a test part"):
        cut(samples, group_by="ship")


def test_a_share_of_the_labels_is_kept_by_ship_for_training_and_validation():
    samples = [sample(n, "AB"[n % 2], ship=f"{'AB'[n % 2]}{n // 12}") for n in range(1200)]
    whole, _ = cut(samples)
    parts, rule = cut(samples, label_fraction=0.1)
    assert [part == "test" for part in whole] == [part == "test" for part in parts]
    found = counts(samples, parts)
    for label in CLASSES:
        kept = found["train", label] + found["val", label]
        assert kept == pytest.approx(0.1 * (kept + found["spare", label]), abs=6)
        assert found["val", label] == pytest.approx(0.15 * kept, abs=6)
    ships = {(s.chip.ship, part) for s, part in zip(samples, parts, strict=True)}
    assert len({ship for ship, _ in ships}) == len(ships)
    assert rule.endswith("0.1 of the labels of training and validation chips kept, drawn by ship")
