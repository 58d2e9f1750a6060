"""What the names of the files of shifted sources tell to be wrong, before anything is trained."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from sarslim.chips.dataset import RECORD
from sarslim.chips.inspect import check_labels, fingerprint, is_data, labels, names, simulated_classes
from sarslim.config import EvaluateConfig, PrepareConfig
from sarslim.stages.findings import Findings
from sarslim.store.storage import S3Uri, Storage, is_s3, local_copy


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
            files, digest = _seen(address, where, store)
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
    files, _ = _seen(config.source, "prepare.source", store)
    return sorted(labels(files, config) or ()) or None


def _seen(address: str, where: str, store: Callable[[], Storage]) -> tuple[Sequence[str], str]:
    """Names of the files at an address, and a digest that changes with what they hold.

    Raises:
        InputError: there is nothing.
    """
    if is_s3(address):
        uri = S3Uri.parse(address, where)
        rows = [row for row in store().objects(uri) if is_data(row[0])]
        return [key or uri.key for key, _, _ in rows], hashlib.sha256(repr(rows).encode()).hexdigest()
    with local_copy(address, where) as path:
        return names(path), fingerprint(path)
