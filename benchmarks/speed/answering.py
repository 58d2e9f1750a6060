"""Image files recognised: by ``Bundle.predict``, and its two halves alone, decoding and inference."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from sarslim import Bundle
from sarslim.config.machine import cores
from sarslim.delivery import export
from sarslim.delivery.registry import METRICS, ONNX
from sarslim.delivery.session import Session
from sarslim.networks import build
from sarslim.records import BundleRecord, Preprocessing, Scaling, Typical
from sarslim.store.storage import write_sums

SIDE, CLASSES = 64, 4
BATCH = 64


def measure(kind: str, bundle: Path, folder: Path) -> float:
    """Seconds for all files of ``folder`` on all cores: ``ours``, ``decoding`` or ``inference``."""
    files = sorted(folder.iterdir())
    opened, bare = Bundle.open(bundle, threads=cores()), Session(bundle / ONNX, threads=cores())
    began = time.perf_counter()
    if kind == "ours":
        assert sum(1 for _ in opened.predict(folder)) == len(files)
    elif kind == "decoding":
        with ThreadPoolExecutor(cores()) as pool:
            assert sum(1 for _ in pool.map(decode, files, chunksize=8)) == len(files)
    else:
        for _ in range(0, len(files), BATCH):
            bare.run(np.zeros((BATCH, 1, SIDE, SIDE), np.uint8))
    return time.perf_counter() - began


def decode(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def write_chips(folder: Path, count: int) -> None:
    """JPEG files of 128 x 128 pixels of speckle."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        speckle = 60 * np.sqrt(rng.exponential(size=(128, 128)))
        Image.fromarray(speckle.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg")


def write_bundle(folder: Path) -> None:
    """A bundle of an untrained network, with what opening it asks for."""
    folder.mkdir()
    network = build("shufflenet_v2_x0_5", classes=CLASSES, channels=1, stem="3x3", mean=(100.0,), std=(50.0,)).eval()
    how = Preprocessing(
        channels=("amplitude",), image_size=SIDE, dtype="uint8", values="uint8", polarisation_as="samples",
        labels="visual", merge={}, scaling=(Scaling(kind="linear", low=0, high=255),),
        typical=Typical(clipped=1, mean=((0, 255),), spread=((0, 255),), sides_px=(1, 1000)),  # as published ones have
    )  # fmt: skip
    export.to_onnx(network, folder / ONNX, classes=[str(number) for number in range(CLASSES)], preprocessing=how)
    about = BundleRecord(
        sarslim_version="0", network="shufflenet_v2_x0_5", simulated=True, data_digest="", test_chips=0,
        gate_passed=True, files={},
    )  # fmt: skip
    (folder / METRICS).write_text(about.model_dump_json(), encoding="utf-8")
    write_sums(folder)


if __name__ == "__main__":
    print(measure(sys.argv[1], *map(Path, sys.argv[2:])))
