"""FUSAR-Ship folders."""

import numpy as np
import pytest
from chip_sources import configure, noise, write_fusar, write_image

from sarslim.chips.formats import open_reader
from sarslim.chips.fusar import FusarReader
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError

ROWS = [(f"Ship_C01S02N{n:04d}", f"{351445000 + n // 2}", "Cargo\\BulkCarrier") for n in range(12)]
ROWS += [(f"Ship_C08S01N{n:04d}", f"{371469000 + n // 2}", "Tanker\\OilTanker") for n in range(12)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_reads_table_and_chips(tmp_path, delimiter):
    root = write_fusar(tmp_path / "fusar", ROWS, delimiter=delimiter)
    reader = open_reader(configure(), root)
    assert isinstance(reader, FusarReader)
    index = reader.index()
    assert [chip.label for chip in index.chips] == ["Cargo"] * 12 + ["Tanker"] * 12
    assert len({chip.ship for chip in index.chips}) == 12
    assert [skip.name for skip in index.skipped] == ["meta.csv"]
    (pixels,) = reader.load(index.chips[:1])
    np.testing.assert_array_equal(pixels[0], np.clip(noise(0, 24, 24), 0, 255).astype(np.uint8))


def test_prepares_by_ship(tmp_path):
    root = write_fusar(tmp_path / "fusar", ROWS)
    record = prepare(configure(format="fusar"), root, tmp_path / "out")
    assert record.classes == ("Cargo", "Tanker")
    assert {name: part.per_class for name, part in record.parts.items()} == {
        "train": (8, 8),
        "val": (2, 2),
        "test": (2, 2),
    }
    assert record.split_rule.startswith("test and val drawn by ship")
    assert not [warning for warning in record.warnings if "identities are in more than one part" in warning]


def test_chips_without_row_and_rows_without_chip_are_skipped(tmp_path):
    root = write_fusar(tmp_path / "fusar", ROWS)
    (root / "Cargo" / "BulkCarrier" / "Ship_C01S02N0000.tiff").unlink()
    write_image(root / "SeaClutter" / "clutter_1.tiff", noise(1, 24, 24).astype(np.float32))
    reasons = {skip.name: skip.reason for skip in FusarReader(root).index().skipped}
    assert reasons["Ship_C01S02N0000"] == "in the meta table, but there is no such file"
    assert reasons["SeaClutter/clutter_1.tiff"].startswith("not in the meta table")


def test_table_is_needed_with_its_columns(tmp_path):
    root = write_fusar(tmp_path / "fusar", ROWS)
    (root / "meta.csv").write_text("name,mmsi\nShip_C01S02N0000,1\n")
    with pytest.raises(InputError, match="meta.csv: has the columns name, mmsi, and lacks id, path"):
        FusarReader(root).index()
    (root / "meta.csv").unlink()
    assert isinstance(open_reader(configure(), root), FusarReader)
    with pytest.raises(InputError, match="no meta.csv"):
        FusarReader(root).index()
