"""Which reader a source needs: as configured, or found out by looking."""

from collections.abc import Sequence
from pathlib import Path

from sarslim.chips.container import Folder, readable, told
from sarslim.chips.folder import FolderReader
from sarslim.chips.fusar import FusarReader
from sarslim.chips.identities import Identified, find_table
from sarslim.chips.index import Reader
from sarslim.chips.opensarship import OpenSarShipReader
from sarslim.config import PrepareConfig
from sarslim.errors import InputError


def open_reader(config: PrepareConfig, source: Path | None) -> Reader:
    """The reader for ``source``; None is the simulator.

    Raises:
        InputError: nothing there, an empty folder, a file that is not a zip, or a pattern of names for the simulator.
    """
    if source is None:
        if config.format not in ("auto", "simulator"):
            raise InputError(
                "prepare.format", f"{config.format} chips need a source, and none is given", "Set prepare.source"
            )  # fmt: skip
        if config.group_pattern:
            raise InputError(
                "prepare.group_pattern", "is for the names of files, and simulated chips have none", "Leave it empty"
            )
        from sarslim.chips.simulator import Simulator  # the only one that needs scipy

        return Simulator(config.simulator, size=config.image_size * config.multilook, seed=config.seed)
    if not source.exists():
        raise InputError(str(source), "does not exist", "Correct prepare.source")
    folder = walked(source, "prepare.source") if source.is_dir() else None
    name = find_format(folder.members if folder else [readable(source.name)], config)
    reader = _reader(name, folder, source, config)
    if config.group_pattern or (folder and find_table(folder.members)):
        return Identified(reader, folder, config)
    return reader


def _reader(name: str, folder: Folder | None, source: Path, config: PrepareConfig) -> Reader:
    if name == "opensarship":
        return OpenSarShipReader(folder or source, labels=config.labels, values=config.values, images=config.images)
    if folder is None:
        raise InputError(
            str(source), f"is a file, and {name} chips are read from a folder", "Give the folder that holds the chips"
        )
    if name == "fusar":
        return FusarReader(folder, config.images)
    if name == "folder":
        return FolderReader(folder, config.images)
    raise InputError(
        "prepare.format", "simulator takes no source", "Leave prepare.source empty, or set prepare.format to auto"
    )


def walked(source: Path, field: str) -> Folder:
    """The folder at a path that a field of the configuration gives.

    Raises:
        InputError: an empty folder, or one that cannot be read.
    """
    folder = Folder.at(source)
    if folder.members:
        return folder
    but = f" but for {told(row.reason for row in folder.skipped)}" if folder.skipped else ""
    raise InputError(str(source), f"is empty{but}", f"Put chips there, or correct {field}")


def find_format(names: Sequence[str], config: PrepareConfig) -> str:
    """How a source is laid out: as configured, or told from the names of its files relative to it."""
    if config.format != "auto":
        return config.format
    if OpenSarShipReader.recognises(names):
        return OpenSarShipReader.format
    return FusarReader.format if FusarReader.recognises(names) else FolderReader.format
