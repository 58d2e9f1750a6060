"""OpenSARShip products: zips and folders, both layouts, GRD and SLC, labels, identities, damage."""

import numpy as np
import pytest
from chip_sources import (
    COMPLEX,
    PRODUCT,
    SINGLE,
    configure,
    fleet,
    noise,
    product_files,
    tiff,
    write_folder,
    write_zip,
)

from sarslim.chips import shiplist
from sarslim.chips.formats import open_reader
from sarslim.chips.opensarship import OpenSarShipReader
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError


def read(reader, chip):
    (pixels,) = reader.load([chip])
    return pixels


@pytest.mark.parametrize("below", ["", PRODUCT])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("malformed", [True, False])
def test_both_layouts_as_zip_and_as_folder(tmp_path, below, packed, malformed):
    files = product_files(PRODUCT, fleet(4), malformed=malformed)
    if packed:
        source = write_zip(tmp_path / "in" / f"{PRODUCT}.zip", files, below=below).parent
    else:
        source = write_folder(tmp_path / PRODUCT, files) if not below else tmp_path / "in"
        write_folder(source / below, files)
    reader = open_reader(configure(), source)
    assert isinstance(reader, OpenSarShipReader)
    index = reader.index()
    assert (list(index.skipped), list(index.problems), list(index.warnings)) == ([], [], [])
    assert [(chip.label, chip.bands, chip.height) for chip in index.chips] == [
        ("Cargo", ("VH", "VV"), 13),
        ("Cargo", ("VH", "VV"), 15),
        ("Tanker", ("VH", "VV"), 14),
        ("Tanker", ("VH", "VV"), 16),
    ]
    assert {chip.scene for chip in index.chips} == {PRODUCT}
    assert sorted(chip.ship for chip in index.chips) == [str(413000100 + n) for n in range(4)]
    expected = np.clip(noise(100, 2, 13, 13), 1, 255).astype(np.uint8)
    np.testing.assert_array_equal(read(reader, index.chips[0]), expected)


@pytest.mark.parametrize(("name", "bands"), [(PRODUCT, ("VH", "VV")), (SINGLE, ("VV",)), (COMPLEX, ("VV",))])
def test_calibrated_values_become_amplitudes(tmp_path, name, bands):
    source = write_zip(tmp_path / f"{name}.zip", product_files(name, fleet(2)))
    reader = OpenSarShipReader(source, values="calibrated")
    chip = reader.index().chips[0]
    assert chip.bands == bands
    expected = np.clip(noise(100, len(bands), 13, 13), 1, 255).astype(np.uint8)
    np.testing.assert_allclose(read(reader, chip), expected, rtol=1e-4)


def test_single_polarisation_is_named_by_the_product(tmp_path):
    source = write_zip(tmp_path / f"{SINGLE}.zip", product_files(SINGLE, fleet(2)))
    assert {chip.bands for chip in OpenSarShipReader(source).index().chips} == {("VV",)}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("visual", {"Cargo": 2, "Tanker": 2, None: 0}),
        ("ais", {"Passenger": 1, "Tug": 1, "Tanker": 1, None: 1}),
        ("marinetraffic", {"Ro-Ro Cargo": 1, "LPG Tanker": 1, None: 2}),
    ],
)
def test_labels_from_name_ais_and_marinetraffic(tmp_path, labels, expected):
    ships = fleet(4)
    for ship, code, elaborated in zip(ships, (60, 52, 84, 0), ("Ro-Ro Cargo", "NA", "LPG Tanker", "NaN"), strict=True):
        ship.update(type=code, elaborated=elaborated)
    source = write_zip(tmp_path / f"{SINGLE}.zip", product_files(SINGLE, ships))
    found = [chip.label for chip in OpenSarShipReader(source, labels=labels).index().chips]
    assert {label: found.count(label) for label in expected} == expected
    assert len(found) == sum(expected.values())


def test_every_chip_is_read_or_skipped_with_a_reason(tmp_path):
    files = product_files(PRODUCT, fleet(4))
    del files["Patch_Uint8/Visual_Cargo_x100_y7_vh.tif"], files["Patch_Uint8/Visual_Cargo_x100_y7_vv.tif"]
    del files["Patch_Uint8/Visual_Tanker_x101_y7_vh.tif"]
    files["Patch_Uint8/thumbs.db"] = b"x"
    write_zip(tmp_path / f"{PRODUCT}.zip", files)
    write_zip(tmp_path / "copy.zip", files, below=PRODUCT)
    (tmp_path / "notes.txt").write_text("mine")
    index = OpenSarShipReader(tmp_path).index()
    assert [chip.bands for chip in index.chips] == [("VH", "VV"), ("VV",), ("VH", "VV")]
    reasons = {skip.name.rpartition("/")[2]: skip.reason for skip in index.skipped}
    assert reasons == {
        "notes.txt": "is not part of an OpenSARShip product",
        "thumbs.db": "left there by a tool",
        "Cargo_x100_y7": "has no file in Patch_Uint8",
        "copy.zip": f"a second copy of product {PRODUCT}",
    }


def test_unreadable_ship_list_is_a_warning_and_ships_stay_unknown(tmp_path):
    files = product_files(SINGLE, fleet(2)) | {"Ship.xml": b"<ShipList><ship>"}
    index = OpenSarShipReader(write_zip(tmp_path / f"{SINGLE}.zip", files)).index()
    assert [chip.ship for chip in index.chips] == ["", ""]
    assert f"product {SINGLE}: Ship.xml cannot be read" in index.warnings[0]


def test_entity_expansion_in_the_ship_list_is_not_followed():
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ShipList><ship>&b;</ship></ShipList>'
    with pytest.raises(ValueError, match="Entities"):
        shiplist.read(bomb)


def test_truncated_zip_is_refused_by_name(tmp_path):
    write_zip(tmp_path / "in" / f"{SINGLE}.zip", product_files(SINGLE, fleet(8)))
    broken = write_zip(tmp_path / "in" / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(8)))
    broken.write_bytes(broken.read_bytes()[:5000])
    with pytest.raises(InputError, match=f"{PRODUCT}.zip: is not a whole zip file") as caught:
        prepare(configure(), tmp_path / "in", tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_damaged_member_is_refused_by_name(tmp_path):
    path = write_zip(tmp_path / f"{SINGLE}.zip", product_files(SINGLE, fleet(8)))
    data = bytearray(path.read_bytes())
    place = data.find(b"Patch_Uint8/Visual_Cargo_x100_y7.tif") + 60
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(InputError, match="Visual_Cargo_x100_y7.tif: cannot be unpacked"):
        OpenSarShipReader(path).index().check()


@pytest.mark.parametrize("entry", ["../evil.tif", "/etc/evil.tif", "Patch_Cal/../../evil.tif", "C:\\evil.tif", "..\\e"])
def test_zip_entry_that_escapes_is_refused(tmp_path, entry):
    files = product_files(SINGLE, fleet(8)) | {entry: b"x"}
    source = write_zip(tmp_path / f"{SINGLE}.zip", files)
    with pytest.raises(InputError, match="escapes the folder"):
        prepare(configure(), source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_tiff_that_is_not_one_is_refused_by_name(tmp_path):
    files = product_files(SINGLE, fleet(8)) | {"Patch_Uint8/Visual_Cargo_x1_y1.tif": b"not a TIFF"}
    source = write_zip(tmp_path / f"{SINGLE}.zip", files)
    with pytest.raises(InputError, match="Visual_Cargo_x1_y1.tif: is not a TIFF"):
        prepare(configure(), source, tmp_path / "out")


def test_nan_chip_is_refused_by_name(tmp_path):
    files = product_files(SINGLE, fleet(8))
    bad = noise(0, 15, 15).astype(np.float32)
    bad[3, 4] = np.nan
    files["Patch_Cal/Cargo_x100_y7.tif"] = tiff(bad)
    source = write_zip(tmp_path / f"{SINGLE}.zip", files)
    with pytest.raises(InputError, match=r"Cargo_x100_y7.tif: chip .* has 1 of 225 pixels that are not finite"):
        prepare(configure(values="calibrated"), source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_polarisations_as_samples_stay_in_one_part(tmp_path):
    source = write_zip(tmp_path / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(24)))
    record = prepare(configure(), source, tmp_path / "out")
    assert record.channels == ("VV/VH",)
    assert record.chips_read == 48
    rows = [line.split(",") for line in (tmp_path / "out" / "chips.csv").read_text().splitlines()[1:]]
    parts = {}
    for row in rows:
        parts.setdefault(row[0], []).append((row[5], row[6]))
    assert len(parts) == 24
    for found in parts.values():
        assert sorted(band for band, _ in found) == ["VH", "VV"]
        assert len({part for _, part in found}) == 1


def test_polarisations_as_channels_skip_chips_that_lack_one(tmp_path):
    write_zip(tmp_path / "in" / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(12)))
    write_zip(tmp_path / "in" / f"{SINGLE}.zip", product_files(SINGLE, fleet(5, first=300)))
    record = prepare(configure(polarisation_as="channels"), tmp_path / "in", tmp_path / "out")
    assert (record.channels, record.chips_read, len(record.scaling), len(record.mean)) == (("VV", "VH"), 12, 2, 2)
    assert [skip.reason for skip in record.skipped] == ["lacks polarisation VH"] * 5
