"""The published products and MSTAR, where they are at hand (SARSLIM_DATA, or shared/data beside the repository)."""

from collections import Counter
from pathlib import Path

import pytest
from chip_sources import DATA, configure

from sarslim.chips.prepare import prepare
from sarslim.config.settings import load_config

CONFIGS = Path(__file__).parents[2] / "configs"

OPENSARSHIP, MSTAR, FUSAR3 = DATA / "opensarship", DATA / "mstar_soc", DATA / "fusar3"


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


@pytest.mark.skipif(not FUSAR3.is_dir(), reason="no chips of FUSAR-Ship")
def test_ships_are_divided_by_their_table_as_the_ready_configuration_says(tmp_path):
    config = load_config(CONFIGS / "fusar3.yaml", str(FUSAR3), []).prepare
    record = prepare(config, FUSAR3, tmp_path / "out")
    assert (record.classes, record.multilook) == (("BulkCarrier", "CargoShip", "Fishing"), 8)
    assert {name: part.per_class for name, part in record.parts.items()} == {
        "train": (101, 163, 141), "val": (38, 45, 35), "test": (97, 203, 100),
    }  # fmt: skip
    assert (record.skipped, record.warnings) == ((), ())
