"""The published products and MSTAR, where they are at hand (SARSLIM_DATA, or shared/data beside the repository)."""

from collections import Counter

import pytest
from chip_sources import DATA, configure

from sarslim.chips.prepare import prepare

OPENSARSHIP, MSTAR = DATA / "opensarship", DATA / "mstar_soc"


@pytest.mark.skipif(not OPENSARSHIP.is_dir(), reason="no OpenSARShip products")
@pytest.mark.parametrize(
    ("values", "read", "skipped"),
    [
        ({}, 359, {"class Tug has": 1}),
        ({"classes": ["Cargo", "Tanker"], "polarisations": ["VV"]}, 248, {"class Other Type": 19}),
        ({"values": "calibrated", "polarisation_as": "channels"}, 90, {"lacks polarisation": 180}),
        ({"labels": "ais", "merge": {"Passenger": "Other Type"}, "keep_unlabelled": False}, 343, {"has no label,": 14}),
    ],
)  # fmt: skip
def test_every_chip_of_the_published_products_is_accounted_for(tmp_path, values, read, skipped):
    record = prepare(configure(image_size=64, **values), OPENSARSHIP, tmp_path / "out")
    assert record.chips_read == read
    rows = (tmp_path / "out" / "chips.csv").read_text().splitlines()[1:]
    chips = {row.split(",")[0] for row in rows}
    assert len(chips) + len(record.skipped) == 270
    reasons = Counter(skip.reason for skip in record.skipped)
    for start, count in skipped.items():
        assert sum(number for reason, number in reasons.items() if reason.startswith(start)) == count
    assert not [warning for warning in record.warnings if "ships are in" in warning or "same content" in warning]


@pytest.mark.skipif(not MSTAR.is_dir(), reason="no MSTAR chips")
def test_mstar_keeps_its_given_split(tmp_path):
    record = prepare(configure(image_size=64), MSTAR, tmp_path / "out")
    assert {name: part.chips for name, part in record.parts.items()} == {"train": 3119, "val": 552, "test": 3203}
    assert len(record.classes) == 10
    assert record.skipped == ()
    assert record.split_rule.startswith("test, train as given by the source; val drawn by chip, stratified by class")
