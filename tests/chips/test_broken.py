"""Broken, lying and huge files: one line that names the file, whatever the decoder raises."""

import io
import random
import resource
import struct

import numpy as np
import pytest
import tifffile
from chip_sources import CASES, PRODUCT, configure, fleet, noise, product_files, write_fusar, write_tree, write_zip
from test_container import HOW
from test_images import GREY, RIGHT, png, saved, tiff

from sarslim.chips import images, stream
from sarslim.chips.fusar import FusarReader
from sarslim.chips.inspect import inspect
from sarslim.chips.opensarship import OpenSarShipReader
from sarslim.chips.prepare import prepare
from sarslim.config import ImagesConfig
from sarslim.errors import InputError


def spoilt(data, start=-200, value=0xA5):
    """The same with 60 bytes of its pixels overwritten."""
    data = bytearray(data)
    middle = len(data) + start if start < 0 else start
    data[middle : middle + 60] = bytes([value]) * 60
    return bytes(data)


def with_tag(data, code, value):
    """A TIFF with the value of one SHORT or LONG tag replaced."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags[code]
        offset, kind = tag.valueoffset, "<H" if tag.dtype == 3 else "<I"
    data = bytearray(data)
    struct.pack_into(kind, data, offset, value)
    return bytes(data)


BIG = np.clip(noise(5, 80, 80), 0, 255).astype(np.uint8)
BROKEN = {
    **{
        f"{name}.tif": spoilt(tiff(BIG.astype(np.uint16) * 3, compression=name))
        for name in ("lzw", "deflate", "zstd", "lzma")
    },
    "jpeg.tif": spoilt(tiff(BIG, compression="jpeg"), tiff(BIG, compression="jpeg").index(b"\xff\xda")),
    "deflate.png": spoilt(saved(BIG, "PNG")),
    "deep.png": spoilt(png(np.dstack([BIG.astype(np.uint16)] * 3), 16, 2)),
    "rows of 0.tif": with_tag(tiff(BIG, rowsperstrip=8, compression="lzw"), 278, 0),
    "tiles of 0.tif": with_tag(tiff(BIG, tile=(16, 16)), 322, 0),
    "no width.tif": with_tag(tiff(BIG), 256, 0),
    "no bits.tif": with_tag(tiff(BIG), 258, 0),
    "cut.tif": tiff(BIG)[:-3000],
    "cut strips.tif": tiff(BIG, rowsperstrip=8, compression="deflate")[:-3000],
    "cut tiles.tif": tiff(BIG, tile=(16, 16))[:-3000],
    "cut.png": saved(BIG, "PNG")[:-3000],
    "cut.jpg": saved(BIG, "JPEG", quality=95)[:-2000],
    "nothing.tif": b"",
    "nothing.png": b"",
    "text.jpg": b"not an image",
    "zeros.png": bytes(1000),
}
HUGE = {
    "wide.tif": with_tag(with_tag(tiff(np.zeros((70000, 1), np.uint8)), 256, 4_000_000), 257, 65_535),
    "wide.png": png(GREY, 8, 0)[:16] + struct.pack(">II", 10_000, 10_000) + png(GREY, 8, 0)[24:],
    "bomb.png": png(GREY, 8, 0)[:16] + struct.pack(">II", 2_000_000_000, 2_000_000_000) + png(GREY, 8, 0)[24:],
    "wide tile.tif": with_tag(with_tag(tiff(BIG, tile=(16, 16)), 322, 65_520), 323, 65_520),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_is_named(name, tmp_path):
    root = write_tree(tmp_path / "tree", {"A": 20, "B": 20})
    (root / "A" / name).write_bytes(BROKEN[name])
    with pytest.raises(InputError) as caught:
        prepare(configure(), root, tmp_path / "out")
    assert caught.value.where == f"A/{name}"
    assert caught.value.exit_code == 2
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=name):
        list(stream.unlabelled([root / "A"], HOW))


@pytest.mark.parametrize("name", HUGE)
def test_a_header_that_asks_for_too_much_is_refused_before_decoding(name, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for function in (images.shape, images.read):
        with pytest.raises(InputError, match="more than max_megapixels=16|is not an image that can be read"):
            function(HUGE[name], name, ImagesConfig())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_cases():
    files = sorted((CASES / "tiff_broken").iterdir())
    assert len(files) == 4
    for file in files:
        with pytest.raises(InputError, match=f"{file.name}: is not a TIFF that can be read") as caught:
            images.read(file, file.name, ImagesConfig())
        assert caught.value.exit_code == 2


def test_broken_members_of_a_zip_are_named_with_the_zip(tmp_path):
    files = product_files(PRODUCT, fleet(8))
    name = next(name for name in files if name.startswith("Patch_Uint8"))
    path = write_zip(tmp_path / f"{PRODUCT}.zip", files | {name: b"II*\0broken"})
    with pytest.raises(InputError, match=f"{PRODUCT}.zip/{name}: is not a TIFF"):
        OpenSarShipReader(path).index().check()
    with pytest.raises(InputError, match=f"{PRODUCT}.zip/{name}: is not a TIFF"):
        list(stream.unlabelled([path], HOW))


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    files = product_files(PRODUCT, fleet(8))
    path = write_zip(tmp_path / f"{PRODUCT}.zip", files | {"Patch_Uint8/Visual_Tug_x1_y8_vv.tif": bytes(3_000_000)})
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="Visual_Tug_x1_y8_vv.tif: has 3 MB, more than max_megabytes=1"):
        prepare(configure(images={"max_megabytes": 1}), path, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"PK\5\6" + bytes(18) + b"\0\0", bytes(5000)], ids=len)
def test_what_is_no_zip_is_named(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "b.zip").write_bytes(b"no")
    problems = inspect(tmp_path, configure()).problems
    assert any(problem.startswith("b.zip: is not a whole zip file") for problem in problems)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("archive.npy", lambda path: np.savez(path.open("wb"), a=np.zeros(3))),
        ("cut.npy", lambda path: path.write_bytes(stack()[:-5000])),
        ("header.npy", lambda path: path.write_bytes(stack()[:20])),
        ("nothing.npy", lambda path: path.write_bytes(b"")),
        ("objects.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True)),
        ("texts.npy", lambda path: np.save(path, np.array(["a"]))),
        ("flat.npy", lambda path: np.save(path, np.zeros((20, 20)))),
        ("no pixels.npy", lambda path: np.save(path, np.zeros((5, 0, 20)))),
        ("no bands.npy", lambda path: np.save(path, np.zeros((5, 0, 20, 20)))),
        ("no chips.npy", lambda path: np.save(path, np.zeros((0, 20, 20)))),
    ],
)
def test_what_is_no_stack_is_named(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(InputError, match=name) as caught:
        list(stream.unlabelled([tmp_path / name], HOW))
    assert len(str(caught.value).splitlines()) == 1


def stack():
    file = io.BytesIO()
    np.save(file, np.zeros((50, 20, 20), np.uint8))
    return file.getvalue()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"id,mmsi,path\n" + b"x" * 200_000 + b",1,A\\B\n", "cannot be read as a table"),
        (b'id,mmsi,path\n"a,1,A\\B\n' + b"y" * 200_000, "cannot be read as a table"),
        (b"\xff\xff\xff,mmsi\n", "is neither UTF-8 nor GB 18030"),
        (b"", "has the columns , and lacks id, mmsi, path"),
    ],
)
def test_a_broken_table_is_named(tmp_path, table, words):
    root = write_fusar(tmp_path / "fusar", [("Ship_C01S01N0001", "413000001", "Cargo\\Bulk")])
    (root / "meta.csv").write_bytes(table)
    with pytest.raises(InputError, match=f"meta.csv: {words}"):
        FusarReader(root).index()


def test_a_table_as_chinese_windows_writes_it(tmp_path):
    rows = [(f"Ship_C01S01N000{n}", f"41300000{n}", f"{name}\\散货") for n, name in enumerate(("货船", "油轮"))]
    root = write_fusar(tmp_path / "fusar", rows)
    (root / "meta.csv").write_bytes((root / "meta.csv").read_text().encode("gb18030"))
    assert {chip.label for chip in FusarReader(root).index().chips} == {"货船", "油轮"}


@pytest.mark.parametrize("kind", [".tif", ".png", ".jpg"])
def test_mutated_images_are_read_or_named(kind):
    rng = random.Random(7)
    names = sorted(name for name in RIGHT if name.endswith(kind))
    refused = []
    for _ in range(400):
        name = rng.choice(names)
        data = bytearray(RIGHT[name][0])
        for _ in range(rng.choice((1, 2, 8))):
            place = rng.randrange(min(len(data), rng.choice((200, 10**9))))
            data[place] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
        for function in (images.shape, images.read):
            try:
                function(bytes(data), name, ImagesConfig())
            except InputError as error:
                refused.append((error.where, name))
    assert len(refused) > 100
    assert all(where == name for where, name in refused)
