"""What a TIFF, PNG or JPEG says about itself: decoded as tagged, or refused by name."""

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from chip_sources import CASES, configure, noise, write_tree
from PIL import Image, ImageOps
from test_container import HOW

from sarslim.chips import images, stream
from sarslim.chips.folder import FolderReader
from sarslim.chips.inspect import inspect
from sarslim.chips.prepare import prepare
from sarslim.config import ImagesConfig
from sarslim.errors import InputError

GREY = np.clip(noise(1, 20, 24), 0, 255).astype(np.uint8)
DEEP = GREY.astype(np.uint16) * 257 // 65
FLOATS = (noise(2, 20, 24) * 7).astype(np.float32)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
RAMP = np.arange(256, dtype=np.uint16)
OPAQUE = np.full_like(GREY, 255)
HOLES = np.where(GREY > 100, 0, 255).astype(np.uint8)
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
LUMINANCE = np.array([0.299, 0.587, 0.114])


def tiff(*pages, **options):
    """Bytes of a TIFF; pages are arrays, or (array, options)."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **options.pop("writer", {})) as writer:
        for page in pages:
            pixels, own = page if isinstance(page, tuple) else (page, {})
            writer.write(pixels, **{"photometric": "minisblack", "metadata": None, **options, **own})
    return stream.getvalue()


def png(pixels, depth, kind, *chunks, interlaced=False):
    """Bytes of a PNG of (height, width[, samples]), written by hand so that every chunk is as wanted."""
    passes = [(pixels[top::down], left, right) for top, left, down, right in ADAM7] if interlaced else [(pixels, 0, 1)]
    lines = b"".join(line(row[left::right], depth) for rows, left, right in passes for row in rows if len(row) > left)
    height, width = pixels.shape[:2]
    header, data = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced), zlib.compress(lines)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def line(row, depth):
    """One unfiltered line of a PNG."""
    if depth >= 8:
        return b"\0" + row.astype(f">u{depth // 8}").tobytes()
    return b"\0" + np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -depth:]).tobytes()


def saved(image, kind, **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def luminance(colour):
    return (colour.astype(np.float64) @ LUMINANCE)[None]


def palette(values):
    return np.stack([values] * 3)


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def jpeg_luminance():
    return np.asarray(Image.open(io.BytesIO(saved(COLOUR, "JPEG", quality=95))).convert("RGB"))


MISSING = np.where(GREY > 100, np.nan, GREY.astype(np.float32))
WITH_HOLES = np.where(GREY > 100, -9999, FLOATS).astype(np.float32)
SCALE = (
    '<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.5</Item><Item name="AREA">Point</Item>'
    '<Item name="OFFSET" sample="0" role="offset">-3</Item></GDALMetadata>'
)
NO_DATA = [(42113, "s", 0, "-9999", True)]
RIGHT = {
    # TIFF: what the samples are
    "grey.tif": (tiff(GREY), GREY),
    "deep.tif": (tiff(DEEP), DEEP),
    "floats.tif": (tiff(FLOATS), FLOATS),
    "doubles.tif": (tiff(FLOATS.astype(np.float64)), FLOATS),
    "halves.tif": (tiff(FLOATS.astype(np.float16)), FLOATS.astype(np.float16)),
    "signed.tif": (tiff(DEEP.astype(np.int16) - 500), DEEP.astype(np.int16) - 500),
    "long.tif": (tiff(DEEP.astype(np.uint32) * 100), DEEP.astype(np.float32) * 100),
    "complex.tif": (tiff((FLOATS * np.exp(1j * FLOATS)).astype(np.complex64)), FLOATS),
    "one bit.tif": (tiff(GREY > 50), GREY > 50),
    "one bit, white is 0.tif": (tiff(GREY > 50, photometric="miniswhite"), GREY <= 50),
    "four bits.tif": (tiff(GREY // 16, bitspersample=4), GREY // 16),
    "twelve bits.tif": (tiff(DEEP, bitspersample=12), DEEP),
    "white is 0.tif": (tiff(GREY, photometric="miniswhite"), 255 - GREY),
    "white is 0, deep.tif": (tiff(DEEP, photometric="miniswhite"), 65535 - DEEP),
    "white is 0, twelve bits.tif": (tiff(DEEP, photometric="miniswhite", bitspersample=12), 4095 - DEEP),
    "palette.tif": (tiff(GREY, photometric="palette", colormap=palette((255 - RAMP) * 257)), 255 - GREY),
    "palette times 256.tif": (tiff(GREY, photometric="palette", colormap=palette((255 - RAMP) * 256)), 255 - GREY),
    "palette of 8 bit.tif": (tiff(GREY, photometric="palette", colormap=palette(255 - RAMP)), 255 - GREY),
    "coloured palette.tif": (
        tiff(GREY, photometric="palette", colormap=np.stack([RAMP, 0 * RAMP, 0 * RAMP]) * 257), GREY * 0.299,
    ),
    # TIFF: bands and what is none
    "two bands.tif": (tiff(np.stack([FLOATS, 2 * FLOATS], -1), planarconfig="contig"), [FLOATS, 2 * FLOATS]),
    "two planes.tif": (tiff(np.stack([FLOATS, 2 * FLOATS]), planarconfig="separate"), [FLOATS, 2 * FLOATS]),
    "two pages.tif": (tiff(GREY, 255 - GREY), [GREY, 255 - GREY]),
    "three bands.tif": (tiff(COLOUR, planarconfig="contig"), np.moveaxis(COLOUR, -1, 0)),
    "alpha.tif": (tiff(np.stack([GREY, OPAQUE], -1), planarconfig="contig", extrasamples=["unassalpha"]), GREY),
    "alpha plane.tif": (tiff(np.stack([GREY, OPAQUE]), planarconfig="separate", extrasamples=["unassalpha"]), GREY),
    "deep alpha.tif": (
        tiff(np.stack([DEEP, np.full_like(DEEP, 65535)], -1), planarconfig="contig", extrasamples=["unassalpha"]), DEEP,
    ),
    "two bands and alpha.tif": (
        tiff(np.dstack([GREY, 255 - GREY, OPAQUE]), planarconfig="contig", extrasamples=["unspecified", "unassalpha"]),
        [GREY, 255 - GREY],
    ),
    "multiplied by alpha.tif": (
        tiff(np.stack([GREY // 2, OPAQUE // 2], -1), planarconfig="contig", extrasamples=["assocalpha"]),
        (GREY // 2) * (255 / 127),
    ),
    "holes.tif": (tiff(np.stack([GREY, HOLES], -1), planarconfig="contig", extrasamples=["unassalpha"]), MISSING),
    "colour.tif": (tiff(COLOUR, photometric="rgb"), luminance(COLOUR)),
    "colour planes.tif": (
        tiff(np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate"), luminance(COLOUR),
    ),
    "deep colour.tif": (tiff(COLOUR.astype(np.uint16) * 200, photometric="rgb"), luminance(COLOUR.astype(float) * 200)),
    "colour and alpha.tif": (
        tiff(np.dstack([COLOUR, OPAQUE]), photometric="rgb", extrasamples=["unassalpha"]), luminance(COLOUR),
    ),
    "floats as colour.tif": (tiff(np.stack([FLOATS] * 3, -1), photometric="rgb"), [FLOATS] * 3),
    "no data.tif": (tiff(WITH_HOLES, extratags=NO_DATA), np.where(GREY > 100, np.nan, FLOATS)),
    "no data in bytes.tif": (
        tiff(np.where(GREY > 100, 0, GREY + 1).astype(np.uint8), extratags=[(42113, "s", 0, "0", True)]),
        np.where(GREY > 100, np.nan, GREY + 1.0),
    ),
    "no data that cannot occur.tif": (tiff(GREY, extratags=NO_DATA), GREY),
    "no data is NaN.tif": (tiff(FLOATS, extratags=[(42113, "s", 0, "nan", True)]), FLOATS),
    "the smallest float.tif": (
        tiff(np.where(GREY > 100, np.finfo(np.float32).min, FLOATS).astype(np.float32),
             extratags=[(42113, "s", 0, "-3.4028235e+38", True)]),
        np.where(GREY > 100, np.nan, FLOATS),
    ),
    "scaled.tif": (
        tiff(np.stack([DEEP, DEEP]), planarconfig="separate", extratags=[(42112, "s", 0, SCALE, True)]),
        [DEEP * 0.5 - 3, DEEP * 1.0],
    ),
    "scaled, and no data.tif": (
        tiff(np.where(GREY > 100, -9999, DEEP).astype(np.int16), extratags=[(42112, "s", 0, SCALE, True), *NO_DATA]),
        np.where(GREY > 100, np.nan, DEEP * 0.5 - 3),
    ),
    "mask.tif": (tiff(GREY, (GREY <= 100, {"photometric": "mask", "subfiletype": 4})), MISSING),
    # TIFF: which page
    "thumbnail first.tif": (tiff((GREY[::4, ::4], {"subfiletype": 1}), GREY), GREY),
    "thumbnail last.tif": (tiff(GREY, (GREY[::4, ::4], {"subfiletype": 1})), GREY),
    "old thumbnail first.tif": (tiff((GREY[::3, ::5], {"extratags": [(255, "H", 1, 2, True)]}), GREY), GREY),
    "image below a thumbnail.tif": (tiff((GREY[::4, ::4], {"subfiletype": 1, "subifds": 1}), GREY), GREY),
    "pyramid.tif": (tiff((GREY, {"subifds": 1}), GREY[::2, ::2]), GREY),
    "odd copy below.tif": (tiff((GREY, {"subifds": 1}), GREY[::3, ::5]), GREY),
    # TIFF: how it is stored
    "tiles.tif": (tiff(DEEP, tile=(16, 16)), DEEP),
    "strips.tif": (tiff(DEEP, rowsperstrip=3), DEEP),
    "big.tif": (tiff(DEEP, writer={"bigtiff": True}), DEEP),
    "big endian.tif": (tiff(DEEP, writer={"byteorder": ">"}), DEEP),
    "predicted.tif": (tiff(DEEP, compression="deflate", predictor=True), DEEP),
    "predicted floats.tif": (tiff(FLOATS, compression="lzw", predictor=True), FLOATS),
    "packed.tif": (tiff(GREY, compression="packbits"), GREY),
    "zstd.tif": (tiff(FLOATS, compression="zstd"), FLOATS),
    "shaped.tif": (tiff(np.stack([FLOATS, 2 * FLOATS]), metadata={}), [FLOATS, 2 * FLOATS]),
    # PNG
    "grey.png": (saved(GREY, "PNG"), GREY),
    "deep.png": (saved(DEEP, "PNG"), DEEP),
    "interlaced.png": (png(GREY, 8, 0, interlaced=True), GREY),
    "interlaced deep colour.png": (
        png(COLOUR.astype(np.uint16) * 4, 16, 2, interlaced=True), luminance(COLOUR.astype(float) * 4),
    ),
    "one bit.png": (png(GREY > 50, 1, 0), 255 * (GREY > 50)),
    "two bits.png": (png(GREY // 64, 2, 0), 85 * (GREY // 64)),
    "four bits.png": (png(GREY // 16, 4, 0), 17 * (GREY // 16)),
    "gamma.png": (png(GREY, 8, 0, (b"gAMA", struct.pack(">I", 45455))), GREY),
    "palette.png": (png(GREY, 8, 3, (b"PLTE", bytes(np.repeat(255 - RAMP, 3).astype(np.uint8)))), 255 - GREY),
    "palette with holes.png": (
        png(GREY, 8, 3, (b"PLTE", bytes(np.repeat(RAMP, 3).astype(np.uint8))),
            (b"tRNS", bytes([255] * 101 + [0] * 155))),
        MISSING,
    ),
    "colour.png": (saved(COLOUR, "PNG"), np.rint(luminance(COLOUR))),
    "deep colour.png": (png(COLOUR.astype(np.uint16) * 4, 16, 2), luminance(COLOUR.astype(float) * 4)),
    "deep colour and alpha.png": (
        png(np.dstack([COLOUR.astype(np.uint16) * 4, OPAQUE.astype(np.uint16) * 257]), 16, 6),
        luminance(COLOUR.astype(float) * 4),
    ),
    "deep alpha.png": (png(np.dstack([DEEP, OPAQUE.astype(np.uint16) * 257]), 16, 4), DEEP),
    "alpha.png": (png(np.dstack([GREY, OPAQUE]), 8, 4), GREY),
    "holes.png": (png(np.dstack([GREY, HOLES]), 8, 4), MISSING),
    "colour with holes.png": (
        png(np.dstack([GREY, GREY, GREY, HOLES]), 8, 6), MISSING,
    ),
    "transparent grey.png": (
        png(GREY, 8, 0, (b"tRNS", struct.pack(">H", 40))), np.where(GREY == 40, np.nan, GREY),
    ),
    "transparent deep grey.png": (
        png(DEEP, 16, 0, (b"tRNS", struct.pack(">H", int(DEEP[0, 0])))), np.where(DEEP[0, 0] == DEEP, np.nan, DEEP),
    ),
    "transparent grey of four bits.png": (
        png(GREY // 16, 4, 0, (b"tRNS", struct.pack(">H", 3))),
        np.where(GREY // 16 == 3, np.nan, 17.0 * (GREY // 16)),
    ),
    "transparent grey of one bit.png": (
        png(GREY > 50, 1, 0, (b"tRNS", struct.pack(">H", 0))), np.where(GREY > 50, 255, np.nan),
    ),
    # JPEG
    "grey.jpg": (saved(GREY, "JPEG", quality=95), np.asarray(Image.open(io.BytesIO(saved(GREY, "JPEG", quality=95))))),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_read_as_tagged(tmp_path, name):
    data, expected = RIGHT[name]
    expected = np.asarray(expected, np.float64)
    expected = expected if expected.ndim == 3 else expected[None]
    (tmp_path / name).write_bytes(data)
    for given in (data, tmp_path / name):
        found = images.read(given, name, ImagesConfig())
        assert found.dtype == np.float32
        assert images.shape(given, name, ImagesConfig()) == found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0.51 if name == "colour.png" else 1e-4)


def test_a_jpeg_in_a_tiff_is_one_band():
    data = tiff(COLOUR, photometric="ycbcr", compression="jpeg")
    found = images.read(data, "a.tif", ImagesConfig())
    assert found.shape == (1, 20, 24)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        np.testing.assert_allclose(found, luminance(file.asarray()), rtol=1e-5)
    grey = images.read(tiff(np.stack([GREY] * 3, -1), photometric="rgb", compression="jpeg"), "a.tif", ImagesConfig())
    assert np.abs(grey[0] - GREY).mean() < 3


def test_deep_colour_with_a_transparent_one():
    colour = COLOUR.astype(np.uint16) * 4
    data = png(colour, 16, 2, (b"tRNS", struct.pack(">HHH", *map(int, colour[3, 5]))))
    found = images.read(data, "a.png", ImagesConfig())[0]
    assert np.isnan(found[3, 5])
    assert np.isnan(found).sum() == (colour == colour[3, 5]).all(axis=-1).sum()


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["tif", "png", "jpg"])
def test_turned_upright(kind, orientation):
    if kind == "tif":
        data = tiff(GREY, extratags=[(274, "H", 1, orientation, True)])
    else:
        data = saved(GREY, {"png": "PNG", "jpg": "JPEG"}[kind], exif=exif(orientation))
    plain = Image.open(io.BytesIO(saved(GREY, "JPEG"))) if kind == "jpg" else Image.fromarray(GREY)
    plain.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(plain))
    found = images.read(data, f"a.{kind}", ImagesConfig())
    np.testing.assert_array_equal(found[0], upright)
    assert images.shape(data, f"a.{kind}", ImagesConfig()) == found.shape


FILM = saved(Image.fromarray(GREY), "PNG", save_all=True, append_images=[Image.fromarray(255 - GREY)])
REFUSED = {
    "cmyk.tif": (tiff(np.dstack([COLOUR, OPAQUE]), photometric="separated"), "its samples are SEPARATED"),
    "lab.tif": (tiff(COLOUR, photometric="cielab"), "its samples are CIELAB"),
    "ycbcr.tif": (tiff(COLOUR, photometric="ycbcr"), "its samples are YCbCr, and not as JPEG"),
    "mask.tif": (tiff(GREY > 9, photometric="mask"), "its samples are MASK"),
    "white is 0 of floats.tif": (
        tiff(FLOATS, photometric="miniswhite"),
        "0 is white, which has no meaning for float32",
    ),
    "white is 0 of signed.tif": (tiff(DEEP.astype(np.int16), photometric="miniswhite"), "no meaning for int16"),
    "two sizes.tif": (tiff(GREY[::3, ::5], GREY), "it holds 2 images of 7 x 5, 20 x 24, and does not say which counts"),
    "nothing but a thumbnail.tif": (tiff((GREY, {"subfiletype": 1})), "it holds 0 images"),
    "films.tif": (tiff(np.stack([COLOUR] * 2), photometric="rgb", metadata={}), "it holds"),
    "no number.tif": (tiff(GREY, extratags=[(42113, "s", 0, "none", True)]), "its value of no data, 'none', is not"),
    "film.png": (FILM, "it is a film of 2 pictures"),
    "cmyk.jpg": (saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "its samples are CMYK"),
    "twelve bits.jpg": (imagecodecs.jpeg_encode(DEEP % 4096, bitspersample=12), "is not an image that can be read"),
    "a gif.png": (saved(GREY, "GIF"), "is not an image that can be read"),
    "a tiff.png": (tiff(GREY, photometric="miniswhite"), "is not an image that can be read"),
    "a jpeg.tif": (saved(GREY, "JPEG"), "is not a TIFF that can be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    data, words = REFUSED[name]
    for function in (images.shape, images.read)[name == "twelve bits.jpg" :]:
        with pytest.raises(InputError) as caught:
            function(data, name, ImagesConfig())
        assert caught.value.where == name
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize("name", ["alpha", "minwhite", "palette"])
def test_cases(name):
    reader = FolderReader(CASES / "tiff_meaning" / name)
    index = reader.index()
    assert len(index.chips) == 8
    for chip, found in zip(index.chips, reader.load(index.chips), strict=True):
        with tifffile.TiffFile(CASES / "tiff_meaning" / name / chip.file) as file:
            raw, photometric = file.asarray(), file.pages[0].photometric
        grey = raw[..., 0] if raw.ndim == 3 else raw
        np.testing.assert_array_equal(found[0], grey if photometric == 1 else 255 - grey)
        assert chip.bands == ("",)


def test_training_and_prediction_read_the_same(tmp_path):
    """One tree of grey PNGs, and the same amplitudes in every disguise."""
    plain = write_tree(tmp_path / "plain", {"A": 20, "B": 20})
    for number, path in enumerate(sorted(plain.rglob("*.png"))):
        grey = np.asarray(Image.open(path))
        opaque = np.full_like(grey, 255)
        disguised = tmp_path / "disguised" / path.relative_to(plain)
        disguised.parent.mkdir(parents=True, exist_ok=True)
        kinds = {
            ".tif": tiff(255 - grey, photometric="miniswhite"),
            ".tiff": tiff((grey[::4, ::4], {"subfiletype": 1}), grey),
            ".TIF": tiff(np.stack([grey, opaque], -1), planarconfig="contig", extrasamples=["unassalpha"]),
            ".png": saved(np.dstack([grey, opaque]), "PNG"),
            ".TIFF": tiff(grey.T, extratags=[(274, "H", 1, 5, True)]),
        }
        suffix = list(kinds)[number % len(kinds)]
        disguised.with_suffix(suffix).write_bytes(kinds[suffix])
    one, two = (prepare(configure(), tmp_path / name, tmp_path / f"out {name}") for name in ("plain", "disguised"))
    assert one.digest == two.digest
    first, second = (list(stream.unlabelled([tmp_path / name], HOW)) for name in ("plain", "disguised"))
    for left, right in zip(first, second, strict=True):
        assert Path(left.name).stem == Path(right.name).stem
        np.testing.assert_array_equal(left.image, right.image)


def test_pixels_of_no_value_are_refused_by_name_or_kept(tmp_path):
    root = write_tree(tmp_path / "tree", {"A": 20, "B": 20})
    pixels = np.where(np.eye(20) > 0, -9999, noise(3, 20, 20)).astype(np.float32)
    (root / "A" / "holes.tif").write_bytes(tiff(pixels, extratags=NO_DATA))
    words = (
        "A/holes.tif: chip .*A/holes.tif has 20 of 400 pixels that are not finite .*GDAL_NODATA.*prepare.images.no_data"
    )
    with pytest.raises(InputError, match=words):
        prepare(configure(), root, tmp_path / "out")
    with pytest.raises(InputError, match=words):
        list(stream.unlabelled([root], HOW))
    kept = prepare(configure(images={"no_data": "keep"}, scaling="linear"), root, tmp_path / "kept")
    assert kept.scaling[0].low == -9999
    assert len(list(stream.unlabelled([root], HOW.model_copy(update={"images": {"no_data": "keep"}})))) == 41


def test_limits_are_told_by_name(tmp_path):
    root = write_tree(tmp_path / "tree", {"A": 20, "B": 20})
    (root / "A" / "scene.png").write_bytes(saved(np.zeros((1100, 1000), np.uint8), "PNG"))
    small = {"images": {"max_megapixels": 1}}
    with pytest.raises(
        InputError, match=r"A/scene.png: asks for 1 million samples \(1100 x 1000 pixels\), more than max_"
    ):
        prepare(configure(**small), root, tmp_path / "out")
    assert "A/scene.png" in inspect(root, configure(**small)).problems[0]
    with pytest.raises(InputError, match="scene.png: asks for 1 million samples"):
        list(stream.unlabelled([root], HOW, ImagesConfig(max_megapixels=1)))
    (root / "A" / "scene.tif").write_bytes(tiff(np.zeros((600, 600), np.float32)) + bytes(1_000_000))
    with pytest.raises(InputError, match="scene.tif: has 2 MB, more than max_megabytes=1"):
        list(stream.unlabelled([root / "A" / "scene.tif"], HOW, ImagesConfig(max_megabytes=1)))
    np.save(tmp_path / "stack.npy", np.zeros((2, 1100, 1000), np.uint8))
    with pytest.raises(InputError, match="stack.npy: asks for 1 million samples"):
        list(stream.unlabelled([tmp_path / "stack.npy"], HOW, ImagesConfig(max_megapixels=1)))
