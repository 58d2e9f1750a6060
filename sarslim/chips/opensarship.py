"""OpenSARShip 1 and 2: Sentinel-1 ship chips with AIS identities, as published product zips or unpacked folders.

Accepted: a zip, an unpacked product, or a folder of either at any depth. A product is what holds ``Patch_Uint8`` or
``Patch_Cal``, at the top or below a folder of the product's name. ``Patch_Uint8`` has one 8-bit amplitude file per
polarisation; ``Patch_Cal`` one float file with intensities (GRD, SLC) or real and imaginary parts per polarisation,
cross-polarised first. Other files of a product are renderings, uncalibrated doubles and papers: not chips. The scene
of a chip is its product, the ship its MMSI.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from sarslim.chips import ahead, images, shiplist
from sarslim.chips.container import Container, Folder, Zip, readable
from sarslim.chips.index import Chip, Index, Pixels
from sarslim.config import ImagesConfig
from sarslim.errors import InputError
from sarslim.records import Skipped

FOLDERS = {"uint8": "Patch_Uint8", "calibrated": "Patch_Cal"}
COMPANIONS = ("Patch", "Patch_RGB")
CHIP_NAME = re.compile(r"(?:Visual_)?(?P<label>.+)_x(?P<x>\d+)_y(?P<y>\d+)(?:_(?P<band>[vh][vh]))?\.tiff?", re.I)
# In the order of the bands of Patch_Cal, by the polarisation mode in the name of a Sentinel-1 product.
MODES = {"SV": ("VV",), "SH": ("HH",), "DV": ("VH", "VV"), "DH": ("HV", "HH")}

Key = tuple[str, str, str]


@dataclass
class _Product:
    """One product: its files by folder, then by (label, x, y), then by polarisation."""

    name: str
    container: Container
    files: dict[str, dict[Key, dict[str, str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))
    ship_list: str = ""

    @property
    def polarisations(self) -> tuple[str, ...]:
        """Polarisations from the product's name, or else from the names of its chips."""
        mode = re.search(r"_\d[SA]([SD][VH])_", self.name)
        if mode:
            return MODES[mode[1]]
        found = {band for chips in self.files["Patch_Uint8"].values() for band in chips if band}
        return tuple(sorted(found, key=lambda band: band[0] == band[1]))


@dataclass(frozen=True)
class _Place:
    """Where the pixels of a chip are; ``complex`` if bands come in pairs of real and imaginary part."""

    container: Container
    members: tuple[str, ...]
    complex: bool = False


class OpenSarShipReader:
    """Reads OpenSARShip products; ``labels`` and ``values`` as in the configuration of the prepare stage."""

    format = "opensarship"

    def __init__(
        self,
        source: Path | Folder,
        *,
        labels: Literal["visual", "ais", "marinetraffic"] = "visual",
        values: Literal["uint8", "calibrated"] = "uint8",
        images: ImagesConfig | None = None,
    ) -> None:
        self._source = Folder.at(source) if isinstance(source, Folder) or source.is_dir() else source
        self._labels, self._values, self._images = labels, values, images or ImagesConfig()
        self._places: dict[str, _Place] = {}

    @staticmethod
    def recognises(names: Sequence[str]) -> bool:
        """Whether there is a zip, or a folder that only these products have."""
        paths = map(PurePosixPath, names)
        return any(path.suffix.lower() == ".zip" or path.parent.name in FOLDERS.values() for path in paths)

    def index(self) -> Index:
        """Lists the chips from file names, image headers and the lists of ships."""
        chips: list[Chip] = []
        skipped: list[Skipped] = []
        problems: list[InputError] = []
        warnings: list[str] = []
        seen: set[str] = set()
        for container in self._containers(problems):
            skipped += container.skipped
            warnings += container.warnings
            products = _products(container, skipped)
            for product in products:
                if product.name in seen:
                    skipped.append(Skipped(name=container.name, reason=f"a second copy of product {product.name}"))
                    continue
                seen.add(product.name)
                ships = self._ships(product, problems, warnings)
                self._add(product, ships, chips, skipped, problems)
        return Index(chips, skipped, problems, warnings)

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        return ahead.in_order(self._load, chips, size=ahead.float32)

    def _load(self, chip: Chip) -> Pixels:
        place = self._places[chip.id]
        pixels = np.concatenate([images.read(*each) for each in self._files(place.container, place.members)])
        if self._values == "uint8":
            return pixels
        if place.complex:
            return np.hypot(pixels[0::2], pixels[1::2])
        # Calibrated values are intensities; NaN stays NaN and is refused later.
        return np.sqrt(np.maximum(pixels, 0))

    def _files(self, container: Container, members: Sequence[str]) -> Iterator[tuple[bytes, str, ImagesConfig]]:
        """What it takes to read each of some members."""
        for member in members:
            yield container.read(member, self._images.max_bytes), f"{container.name}/{member}", self._images

    def _containers(self, problems: list[InputError]) -> Iterator[Container]:
        source = self._source
        if isinstance(source, Folder):
            yield source
            zips = {member: source.path(member) for member in source.members if member.lower().endswith(".zip")}
        else:
            zips = {readable(source.name): str(source)}
        for name, path in zips.items():
            try:
                yield Zip(path, name)
            except InputError as error:
                problems.append(error)

    def _ships(
        self, product: _Product, problems: list[InputError], warnings: list[str]
    ) -> dict[tuple[str, str], shiplist.Ship]:
        if not product.ship_list:
            warnings.append(f"product {product.name} has no Ship.xml: its ships are not known")
            return {}
        try:
            return shiplist.read(product.container.read(product.ship_list, self._images.max_bytes))
        except InputError as error:
            problems.append(error)
        except ValueError as error:
            warnings.append(f"product {product.name}: Ship.xml cannot be read ({error}), its ships are not known")
        return {}

    def _add(
        self,
        product: _Product,
        ships: dict[tuple[str, str], shiplist.Ship],
        chips: list[Chip],
        skipped: list[Skipped],
        problems: list[InputError],
    ) -> None:
        wanted = FOLDERS[self._values]
        for key in sorted({key for files in product.files.values() for key in files}):
            label, x, y = key
            name = f"{product.name}/{label}_x{x}_y{y}"
            files = product.files[wanted].get(key)
            if not files:
                skipped.append(Skipped(name=name, reason=f"has no file in {wanted}"))
                continue
            try:
                place, bands, height, width = self._place(product, files)
            except InputError as error:
                problems.append(error)
                continue
            ship = ships.get((x, y), shiplist.UNKNOWN)
            self._places[name] = place
            chips.append(
                Chip(
                    id=name,
                    label=label if self._labels == "visual" else getattr(ship, self._labels),
                    file=f"{product.container.name}/{place.members[0]}",
                    height=height,
                    width=width,
                    bands=bands,
                    ship=ship.mmsi,
                    scene=product.name,
                )
            )

    def _place(self, product: _Product, files: dict[str, str]) -> tuple[_Place, tuple[str, ...], int, int]:
        """Where a chip is, the polarisation of its bands, height and width."""
        members = tuple(files[band] for band in sorted(files))
        shapes = [images.shape(*each) for each in self._files(product.container, members)]
        count, height, width = sum(shape[0] for shape in shapes), *shapes[0][1:]
        if any(shape[1:] != (height, width) for shape in shapes):
            raise InputError(members[0], "differs in size from the other polarisation", "Replace or remove the chip")
        named = tuple(band for band in sorted(files) if band)
        bands = named or product.polarisations
        is_complex = self._values == "calibrated" and count == 2 * len(bands)
        if count != len(bands) and not is_complex:
            if count != 1:
                raise InputError(
                    members[0],
                    f"has {count} bands, and the product is of the polarisations {', '.join(bands) or 'unknown'}",
                    "Name the product as published (S1A_IW_GRDH_1SDV_...)",
                )
            bands = ("",)
        return _Place(product.container, members, is_complex), bands, height, width


def _products(container: Container, skipped: list[Skipped]) -> list[_Product]:
    """The products in a container; files that belong to none are added to ``skipped``."""
    known = (*FOLDERS.values(), *COMPANIONS)
    roots: dict[str, _Product] = {}
    paths = [PurePosixPath(member) for member in container.members]
    for path in paths:
        if path.parent.name in FOLDERS.values():
            root = path.parent.parent
            stem = PurePosixPath(container.name)
            name = root.name or (stem.stem if stem.suffix.lower() == ".zip" else stem.name)
            roots.setdefault(str(root), _Product(name, container))
    for path in paths:
        folder = path.parent
        if folder.name in known and str(folder.parent) in roots:
            match = CHIP_NAME.fullmatch(path.name)
            if folder.name == "Patch_RGB":
                continue
            if match is None:
                skipped.append(Skipped(name=f"{container.name}/{path}", reason="is not named like a chip"))
                continue
            chips = roots[str(folder.parent)].files[folder.name]
            chips[match["label"], match["x"], match["y"]][(match["band"] or "").upper()] = str(path)
        elif str(folder) in roots:
            if path.name.lower() == "ship.xml":
                roots[str(folder)].ship_list = str(path)
        elif path.suffix.lower() != ".zip":
            skipped.append(Skipped(name=f"{container.name}/{path}", reason="is not part of an OpenSARShip product"))
    return list(roots.values())
