"""Sources of chips that the tests write themselves: real TIFFs, zips and tables."""

import csv
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from sarslim.config import PrepareConfig

PRODUCT = "S1A_IW_GRDH_1SDV_20160101T000000_20160101T000025_000001_000001_ABCD"
SINGLE = "S1A_IW_GRDH_1SSV_20160202T000000_20160202T000025_000002_000002_BCDE"
COMPLEX = "S1A_IW_SLC__1SSV_20160303T000000_20160303T000025_000003_000003_CDEF"

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
DATA = Path(os.environ.get("SARSLIM_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def configure(**values: Any) -> PrepareConfig:
    """A configuration for small chips; ``values`` as in a YAML file."""
    return PrepareConfig.model_validate({"image_size": 16, **values})


def noise(seed: int, *shape: int) -> np.ndarray:
    """Rayleigh amplitudes: speckle."""
    return np.random.default_rng(seed).rayleigh(40, shape)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def write_image(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".tiff"):
        path.write_bytes(tiff(pixels))
    else:
        Image.fromarray(pixels).save(path)


def write_tree(root: Path, counts: dict[str, int], *, size: int = 20) -> Path:
    """A class-per-folder tree of 8-bit PNG chips, ``counts`` chips per folder."""
    for number, (folder, count) in enumerate(sorted(counts.items())):
        for chip in range(count):
            pixels = np.clip(noise(1000 * number + chip, size, size), 0, 255).astype(np.uint8)
            write_image(root / folder / f"{number}_{chip:03d}.png", pixels)
    return root


def ship_xml(ships: list[dict[str, Any]], *, malformed: bool = False) -> bytes:
    """Ship.xml of OpenSARShip; malformed as some published ones are."""
    body = "".join(
        f"""<ship><SARShipInformation><Center_x>{ship["x"]}</Center_x><Center_y>{ship["y"]}</Center_y>
        </SARShipInformation><AISShipInformation><MMSI>{ship["mmsi"]}</MMSI><Name>SALT & PEPPER</Name>
        <Ship_Type>{ship.get("type", 70)}</Ship_Type></AISShipInformation><MarineTrafficInformation>
        <Elaborated_type>{ship.get("elaborated", "Bulk Carrier")}</Elaborated_type></MarineTrafficInformation></ship>"""
        for ship in ships
    )
    end = "<\\ShipList>" if malformed else "</ShipList>"
    return f'<?xml version="1.0" encoding="UTF-8"?><ShipList>{body}{end}'.encode()


def product_files(name: str, ships: list[dict[str, Any]], *, malformed: bool = False) -> dict[str, bytes]:
    """The files of one product: dual-polarised GRD, single-polarised GRD or single-polarised SLC by its name."""
    files = {"Ship.xml": ship_xml(ships, malformed=malformed), "ReadMe.pdf": b"%PDF-1.4"}
    bands = ("vh", "vv") if "SDV" in name else ("",)
    for ship in ships:
        stem, side = f"{ship['label']}_x{ship['x']}_y{ship['y']}", ship.get("side", 15)
        amplitude = np.clip(noise(ship["x"], len(bands), side, side), 1, 255).astype(np.uint8)
        for band, pixels in zip(bands, amplitude, strict=True):
            suffix = f"_{band}" if band else ""
            files[f"Patch_Uint8/Visual_{stem}{suffix}.tif"] = tiff(pixels)
            files[f"Patch_RGB/{stem}{suffix}.png"] = b"rendering"
        if "SLC" in name:
            turn = np.exp(1j * noise(1, side, side))
            signal = amplitude[0] * turn
            calibrated = np.stack([signal.real, signal.imag], axis=-1)
        else:
            calibrated = np.moveaxis(amplitude.astype(float) ** 2, 0, -1)
        calibrated = calibrated.astype(np.float32).squeeze()
        files[f"Patch_Cal/{stem}.tif"] = files[f"Patch/{stem}.tif"] = tiff(
            calibrated, **({"planarconfig": "contig", "photometric": "minisblack"} if calibrated.ndim == 3 else {})
        )
    return files


def fleet(count: int, *, first: int = 100) -> list[dict[str, Any]]:
    """Cargo ships and tankers in turn, each with an MMSI of its own."""
    return [
        {"label": ("Cargo", "Tanker")[n % 2], "x": first + n, "y": 7, "mmsi": 413000000 + first + n, "side": 13 + n % 5}
        for n in range(count)
    ]


def write_zip(path: Path, files: dict[str, bytes], *, below: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{below}/{name}" if below else name, data)
    return path


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_fusar(root: Path, rows: list[tuple[str, str, str]], *, size: int = 24, delimiter: str = ",") -> Path:
    """A FUSAR-Ship folder; ``rows`` of id, MMSI and category\\subcategory."""
    root.mkdir(parents=True)
    columns = ("id", "mmsi", "length", "width", "polarMode", "centerLookAngle", "heightspace", "widthspace", "path")
    with (root / "meta.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows((name, mmsi, 138, 26, "DH", 42.5, 1.7, 1.1, path) for name, mmsi, path in rows)
    for number, (name, _, path) in enumerate(rows):
        pixels = np.clip(noise(number, size, size), 0, 255).astype(np.uint8)
        write_image(root / Path(*path.split("\\")) / f"{name}.tiff", pixels)
    return root
