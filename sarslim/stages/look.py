"""What is at the addresses of sources, and what names of files there tell to be wrong before anything is trained."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sarslim.chips.dataset import RECORD
from sarslim.chips.inspect import check_labels, find_table, fingerprint, is_data, labels, names, simulated_classes
from sarslim.config import EvaluateConfig, PrepareConfig
from sarslim.stages.findings import Findings
from sarslim.store.storage import S3Uri, Storage, is_s3, local_copy


class Seen(NamedTuple):
    """Names of files, the table of the chips' identities among them if there is one, and a digest of what they hold."""

    files: Sequence[str]
    table: bytes | None
    digest: str


def look_at_shifted(
    config: EvaluateConfig,
    prepared: PrepareConfig,
    classes: Sequence[str] | None,
    findings: Findings,
    store: Callable[[], Storage],
) -> str:
    """The fingerprint of all shifted sources. What is wrong with them goes to ``findings``.

    Args:
        prepared: how the chips of training are prepared.
        classes: of the network, where they are known for certain; None: as far as the source of training tells.
        store: asked for what is at ``s3://`` addresses.
    """
    sources = config.sources
    known = classes or _known(prepared, findings, store)
    digests = []
    for where, address in sources.items():
        if findings.out_of_reach([address]):
            break
        with findings.kept(where):
            files, _, digest = seen(address, where, store)
            digests.append([where, digest])
            how = prepared.model_copy(update={"format": "auto", "source": address})
            found = labels(files, how, source=None if is_s3(address) else Path(address), test=True)
            # A data set that is prepared already tells its classes when it is read.
            if known and found is not None and RECORD not in files:
                check_labels(where, found, known, refuse_others=not prepared.classes)
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def _known(config: PrepareConfig, findings: Findings, store: Callable[[], Storage]) -> Sequence[str] | None:
    """The classes of the network, as far as they can be known before the data are read; None where they cannot."""
    if config.classes:
        return config.classes
    if config.simulated:
        return simulated_classes(config.simulator)
    if findings.errors:
        return None  # what is wrong with the main source is told already
    return sorted(labels(seen(config.source, "prepare.source", store).files, config) or ()) or None


def seen(address: str, where: str, store: Callable[[], Storage]) -> Seen:
    """The files at an address of chips, which the field ``where`` gives.

    Raises:
        InputError: there is nothing.
    """
    if is_s3(address):
        uri = S3Uri.parse(address, where)
        rows = [row for row in store().objects(uri) if is_data(row[0])]
        keys = [key or uri.key for key, _, _ in rows]
        table = find_table(keys)
        digest = hashlib.sha256(repr(rows).encode()).hexdigest()
        return Seen(keys, store().read(uri / table) if table else None, digest)
    with local_copy(address, where) as path:
        found = names(path)
        table = find_table(found) if path.is_dir() else None
        return Seen(found, (path / table).read_bytes() if table else None, fingerprint(path))
