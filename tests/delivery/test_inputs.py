"""What a bundle takes in Python: a path, an array, an image, any iterable of these; and how it shows itself."""

import io
import itertools
import shutil
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

from sarslim.delivery import export
from sarslim.delivery.registry import Models
from sarslim.delivery.runtime import BATCH, Bundle, Prediction
from sarslim.errors import InputError
from sarslim.records import BundleRecord, FileScores, Preprocessing, Scaling
from sarslim.store.storage import S3Uri, write_sums

CLASSES = ("dark", "grey", "bright")
SIDE = 24


class Brightness(nn.Module):
    """Knows its classes by the mean of a chip, of each channel weighted by its number plus one."""

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        weights = torch.arange(1, chips.shape[1] + 1, dtype=torch.float32)
        mean = (chips.float().mean(dim=(2, 3)) * weights).sum(dim=1, keepdim=True) / weights.sum()
        return torch.cat([-((mean - centre) ** 2) / 200 for centre in (40.0, 128.0, 215.0)], dim=1)


def written(folder: Path, channels: tuple[str, ...], polarisation_as: str = "samples", **record: object) -> Path:
    """A bundle whose network takes chips of these channels."""
    scale = Scaling(kind="linear", low=0, high=255)
    how = Preprocessing(
        channels=channels, image_size=SIDE, dtype="uint8", scaling=(scale,) * len(channels), values="uint8",
        polarisation_as=polarisation_as, labels="visual", merge={},
    )  # fmt: skip
    folder.mkdir(parents=True)
    export.to_onnx(Brightness().eval(), folder / "model.onnx", classes=CLASSES, preprocessing=how)
    (folder / "model.int8.onnx").write_bytes((folder / "model.onnx").read_bytes())
    scores = {
        "model.onnx": FileScores(accuracy=0.982, macro_f1=0.97),
        "model.int8.onnx": FileScores(accuracy=0.975, macro_f1=0.9),
    }
    values = {"network": "resnet18", "simulated": False, "gate_passed": True, "test_chips": 600} | record
    metrics = BundleRecord(sarslim_version="0", data_digest="0" * 64, files=scores, **values)
    (folder / "metrics.json").write_text(metrics.model_dump_json())
    write_sums(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("bundle") / "ships", ("amplitude",))


@pytest.fixture(scope="module")
def bundle(folder) -> Bundle:
    return Bundle.open(folder)


@pytest.fixture(scope="module")
def dual(tmp_path_factory) -> Bundle:
    return Bundle.open(written(tmp_path_factory.mktemp("bundle") / "dual", ("VV", "VH"), "channels"))


def chip(value: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20, 21, (SIDE, SIDE)).astype(np.float32) + np.float32(value)


STACK = np.stack([chip(value, seed) for seed, value in enumerate((40, 215, 128, 215))])
LABELS = ["dark", "bright", "grey", "bright"]


def told(found: Iterator[Prediction]) -> list[tuple[str, str]]:
    return [(each.chip, each.label) for each in found]


def test_a_string_is_a_path_and_so_is_a_path(bundle, tmp_path):
    file = tmp_path / "chip.png"
    Image.fromarray(chip(215).astype(np.uint8)).save(file)
    expected = [(str(file), "bright")]
    assert told(bundle.predict(str(file))) == expected
    assert told(bundle.predict(file)) == expected
    assert told(bundle.predict(str(tmp_path))) == expected
    assert told(bundle.predict([file, str(file)])) == expected * 2
    assert told(bundle.predict(np.array([str(file)] * 2))) == expected * 2
    assert told(bundle.predict(np.array([file, file], dtype=object))) == expected * 2
    assert told(bundle.predict(path for path in tmp_path.iterdir())) == expected


def test_an_array_counts_as_the_stack_file_of_it(bundle, tmp_path):
    np.save(tmp_path / "stack.npy", STACK)
    of_file = list(bundle.predict(tmp_path / "stack.npy"))
    shapes = [
        STACK,
        STACK[:, None],
        STACK * np.exp(1j),
        STACK.astype(np.float64),
        torch.from_numpy(STACK),
        np.load(tmp_path / "stack.npy", mmap_mode="r"),
    ]
    for given in shapes:
        found = list(bundle.predict(given))
        assert told(found) == [(f"array 0 {number}", label) for number, label in enumerate(LABELS)]
        np.testing.assert_array_equal([each.probabilities for each in found], [each.probabilities for each in of_file])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">i4", "float16", "float64", "complex64", "bool"])
def test_amplitudes_of_any_type_of_number(bundle, dtype):
    array = np.full((SIDE, SIDE), 1 if dtype == "bool" else 215).astype(dtype)
    assert told(bundle.predict(array)) == [("array 0", "dark" if dtype == "bool" else "bright")]


def test_arrays_of_one_chip_are_named_by_their_place(bundle, tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(chip(40).astype(np.uint8)).save(file)
    given = [chip(215), chip(128)[None], file, STACK[:2], Image.fromarray(chip(40).astype(np.uint8)), Image.open(file)]
    assert told(bundle.predict(given)) == [
        ("array 0", "bright"),
        ("array 1", "grey"),
        (str(file), "dark"),
        ("array 3 0", "dark"),
        ("array 3 1", "bright"),
        ("image 4", "dark"),
        (str(file), "dark"),
    ]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGB", "RGBA", "I", "F", "I;16"])
def test_an_image_is_read_as_its_file_is(bundle, mode, tmp_path):
    rng = np.random.default_rng(3)
    colour = Image.fromarray(rng.integers(0, 256, (30, 28, 3), dtype=np.uint8))
    image = (
        Image.fromarray(rng.integers(0, 256, (30, 28)).astype(np.uint16)) if mode == "I;16" else colour.convert(mode)
    )
    kind = {"F": "tiff", "I": "tiff"}.get(mode, "png")
    file = tmp_path / f"chip.{kind}"
    image.save(file)
    (of_file,) = bundle.predict(file)
    with Image.open(file) as opened:
        (of_opened,) = bundle.predict(opened)
    np.testing.assert_array_equal(of_opened.probabilities, of_file.probabilities)
    assert of_opened.chip == of_file.chip == str(file)
    (of_image,) = bundle.predict(image)
    assert of_image.chip == "image 0"
    np.testing.assert_array_equal(of_image.probabilities, of_file.probabilities)
    with Image.open(io.BytesIO(file.read_bytes())) as nameless:
        assert next(bundle.predict([nameless])).chip == "image 0"


def test_bands_of_an_array_are_the_channels_of_the_network_in_order(dual, tmp_path):
    first, second = np.stack([chip(40), chip(215)]), np.stack([chip(215), chip(40)])  # means 157 and 98
    assert told(dual.predict(first)) == [("array 0", "grey")]
    both = [list(dual.predict(given)) for given in ([first, second], np.stack([first, second]))]
    assert [each.chip for each in both[1]] == ["array 0 0", "array 0 1"]
    np.testing.assert_array_equal(*([each.probabilities for each in found] for found in both))
    assert not np.allclose(both[0][0].probabilities, both[0][1].probabilities)
    for given in (first[0], first[:1], STACK[:3], STACK[:, None]):
        with pytest.raises(
            InputError, match=r"array 0: is of shape .*; the network takes 2 bands, VV, VH. Give \(2, h"
        ):
            dual.predict(given)


def test_a_network_of_each_polarisation_names_every_band(tmp_path):
    each = Bundle.open(written(tmp_path / "each", ("VV/VH",)))
    assert told(each.predict(STACK[:2])) == [("array 0 0", "dark"), ("array 0 1", "bright")]
    assert told(each.predict(STACK.reshape(2, 2, SIDE, SIDE))) == [
        ("array 0 0 VV", "dark"),
        ("array 0 0 VH", "bright"),
        ("array 0 1 VV", "grey"),
        ("array 0 1 VH", "bright"),
    ]
    with pytest.raises(InputError, match="takes 1 or 2 bands, VV, VH"):
        each.predict(np.zeros((4, 3, SIDE, SIDE)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((SIDE, SIDE, 3)), r"array 0: is of shape \(24, 24, 3\), which looks like bands at the end"),
        (np.zeros((5, SIDE, SIDE, 1)), r"shape \(5, 24, 24, 1\), which looks like bands at the end"),
        (np.zeros((5, 2, SIDE, SIDE)), r"shape \(5, 2, 24, 24\); the network takes 1 band, amplitude"),
        ([chip(1), np.zeros((1, 1, 1, SIDE, SIDE))], r"array 1: is of shape \(1, 1, 1, 24, 24\), 5 dimensions"),
        (np.zeros(9), r"shape \(9,\), 1 dimensions"),
        (np.zeros((0, SIDE, SIDE)), "holds no pixels"),
        (np.zeros((SIDE, SIDE), "datetime64[s]"), "an array of datetime64"),
        (np.full((2, 2), "a"), "holds no amplitudes"),
        (torch.zeros(SIDE, SIDE, requires_grad=True), "NumPy cannot read this Tensor"),
        (5, "5 is a int"),
        (None, "None is a NoneType"),
        (b"chip.png", "bytes are no chips"),
        ([chip(1), None], "item 1 of the chips: is a NoneType"),
        ([[1, 2], [3, 4]], "item 0 of the chips: is a list"),
        ("", "there is nothing at ''"),
        (["no-such.png"], "there is nothing at 'no-such.png'"),
    ],
)  # fmt: skip
def test_what_is_no_chip_is_refused_at_once(bundle, given, words):
    with pytest.raises(InputError, match=words):
        bundle.predict(given)


def test_of_a_chip_itself_is_told_by_its_name(bundle, tmp_path):
    broken = chip(40)
    broken[3, 3] = np.nan
    with pytest.raises(InputError, match="array 1: chip array 1 has 1 of 576 pixels that are not finite"):
        list(bundle.predict([chip(40), broken]))
    with pytest.raises(InputError, match="has 4 of 576 pixels that are not finite"):
        list(bundle.predict(np.ma.masked_array(chip(40), mask=np.pad(np.ones((2, 2), bool), (0, SIDE - 2)))))
    Image.fromarray(chip(40).astype(np.uint8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut.png: is not an image that can be read"):
        list(bundle.predict(Image.open(tmp_path / "cut.png")))
    with Image.open(tmp_path / "cut.png") as closed:
        pass
    with pytest.raises(InputError, match="cut.png: is closed"):
        list(bundle.predict(closed))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: holds no chips"):
        list(bundle.predict(tmp_path / "empty"))


def test_an_endless_iterable_is_read_a_few_batches_ahead_and_left_in_peace(bundle):
    taken = []

    def camera() -> Iterator[np.ndarray]:
        for number in itertools.count():
            taken.append(number)
            yield chip(40)

    before = threading.active_count()
    found = bundle.predict(camera())
    assert taken == []
    assert next(found).chip == "array 0"
    most = (bundle.threads + 2) * BATCH
    assert BATCH <= len(taken) <= most
    assert [each.chip for each in itertools.islice(found, BATCH)][-1] == f"array {BATCH}"
    assert 2 * BATCH <= len(taken) <= most + BATCH
    found.close()
    assert threading.active_count() == before


def test_a_mistake_in_an_iterable_comes_after_what_was_before_it(bundle):
    found = bundle.predict(iter([*STACK, *STACK, "no-such.png"]))
    assert len([next(found) for _ in range(2 * len(STACK))]) == 2 * len(STACK)  # of the same batch
    with pytest.raises(InputError, match="there is nothing at 'no-such.png'"):
        next(found)

    def failing() -> Iterator[np.ndarray]:
        yield from [STACK[0]] * BATCH
        raise LookupError("the caller's own")

    found = bundle.predict(failing())
    assert [next(found).label for _ in range(BATCH)] == ["dark"] * BATCH
    with pytest.raises(LookupError, match="the caller's own"):
        next(found)


def test_of_a_large_array_on_the_disk_little_is_in_memory(bundle, tmp_path):
    large = np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.float32, shape=(640, 96, 96))
    large[:] = 215
    tracemalloc.start()
    assert {each.label for each in bundle.predict(large)} == {"bright"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * large.nbytes


def test_reprs_are_short(folder, store, tmp_path):
    whole = Bundle.open(folder)
    assert repr(whole) == f"Bundle(ships {whole.version}, resnet18 student, 3 classes, FP32, 98.2 % on 600 test chips)"
    assert "INT8, 97.5 % on" in repr(Bundle.open(folder, int8=True))
    weak = written(tmp_path / "weak", ("amplitude",), gate_passed=False, simulated=True)
    assert repr(Bundle.open(weak)).endswith("on 600 simulated test chips, quality gate not passed)")
    address = S3Uri.parse("s3://tests/inputs/sar-ships") / whole.version
    store.publish(folder, address)
    Models(store, S3Uri.parse("s3://tests/inputs")).promote(f"sar-ships/{whole.version}", "latest")
    for given in (str(address), "s3://tests/inputs/sar-ships@latest", "s3://tests/inputs/sar-ships"):
        assert repr(Bundle.open(given)) == repr(whole).replace("ships", "sar-ships")
    kept = tmp_path / "models" / "sar-ships" / whole.version
    kept.parent.mkdir(parents=True)
    shutil.copytree(folder, kept)
    assert repr(Bundle.open(kept)) == repr(whole).replace("ships", "sar-ships")
    (found,) = whole.predict(chip(215))
    assert repr(found) == f"Prediction(array 0: bright, {100 * found.confidence:.1f} %)"
    for number, (value, label) in enumerate(zip((40, 215, 128, 215), LABELS, strict=True)):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(tmp_path / "data" / label / f"{number}.tif", chip(value))
    scores = whole.evaluate(tmp_path / "data")
    assert (
        repr(scores)
        == str(scores)
        == "BundleScores(4 chips of 3 classes, accuracy 100.0 %, balanced 100.0 %, macro-F1 100.0 %)"
    )
