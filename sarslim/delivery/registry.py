"""Published models: versions that never change, and aliases that move between them.

Below an address ``s3://bucket/models`` there is ``NAME/VERSION/`` with a bundle each, complete once it has its
``SHA256SUMS``, and ``NAME/aliases/ALIAS.json``. An alias is one object, so a reader sees it before or after a move; of
two moves at the same time the later one stays.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from sarslim.config import parse
from sarslim.errors import InputError
from sarslim.records import AliasDecision, AliasMove, AliasRecord, BundleRecord
from sarslim.store.storage import SUMS, S3Uri, Storage

# Files of a bundle.
ONNX, INT8, METRICS, REPORT = "model.onnx", "model.int8.onnx", "metrics.json", "report.html"
ALIASES = "aliases"
SIMULATED = "simulated"
SLACK = 1e-9  # differences of shares are not exact


@dataclass(frozen=True)
class Version:
    """One published bundle, and when it was published (UTC). ``metrics`` is None for one without ``metrics.json``."""

    name: str
    version: str
    bytes: int
    aliases: tuple[str, ...]
    metrics: BundleRecord | None
    published: datetime

    @property
    def simulated(self) -> bool | None:
        """Whether it was measured on simulated chips; None where the bundle does not tell."""
        return self.metrics.simulated if self.metrics else None

    @property
    def data_digest(self) -> str:
        """Digest of the data that it was measured on; empty where the bundle does not tell."""
        return self.metrics.data_digest if self.metrics else ""


def default_name(metrics: BundleRecord) -> str:
    """What a network is published as where no name is given: its data, and simulated ones never like real ones."""
    words = re.sub(r"[^a-z0-9]+", "-", metrics.data_name.lower()).strip("-")
    if not metrics.simulated:
        real = words or f"data-{metrics.data_digest[:8]}"
        return f"real-{real}" if real.startswith(SIMULATED) else real
    rest = words.removeprefix(SIMULATED).strip("-").removeprefix("sar-ship-chips")
    return f"{SIMULATED}-{rest or 'ships'}"


class Models:
    """All models below one address."""

    def __init__(self, storage: Storage, root: S3Uri) -> None:
        self._storage, self._root = storage, root

    @classmethod
    def at(cls, address: str) -> "Models":
        """Those below ``s3://bucket/path``, in the store that the environment names.

        Raises:
            InputError: not such an address, or no credentials.
        """
        return cls(Storage.from_environment(), S3Uri.parse(address))

    def list(self) -> list[Version]:
        """Every complete version, by name and version."""
        sizes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        aliases: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key, size, _ in self._storage.list(self._root):
            match PurePosixPath(key).parts:
                case (name, folder, file) if folder == ALIASES and file.endswith(".json"):
                    alias = file.removesuffix(".json")
                    aliases[name, self.moves(name, alias)[-1].version].append(alias)
                case (name, version, *rest) if rest:
                    sizes[name, version]["/".join(rest)] = size
        return [
            Version(
                name,
                version,
                sum(files.values()),
                tuple(aliases[name, version]),
                self.metrics(name, version),
                self._storage.modified(self._root / name / version / SUMS),
            )
            for (name, version), files in sorted(sizes.items())
            if SUMS in files
        ]

    def metrics(self, name: str, version: str) -> BundleRecord | None:
        """On which data a version was measured, and what its files can do; None where the bundle does not tell."""
        uri = self._root / name / version / METRICS
        if not self._storage.exists(uri):
            return None
        return parse(BundleRecord, self._storage.read(uri), where=str(uri))

    def require_kind(self, name: str, *, simulated: bool) -> None:
        """
        Raises:
            InputError: the name holds networks for simulated chips where this one is for real ones, or the other way
                round: nobody could tell from the name what is recognised.
        """
        if not self._storage.has_bucket(self._root):  # nothing was ever published
            return
        keys = [PurePosixPath(key).parts for key, _, _ in self._storage.list(self._root / name)]
        for version in sorted({parts[0] for parts in keys if parts[1:] == (METRICS,)}):
            found = self.metrics(name, version)
            if found is not None and found.simulated != simulated:
                held, own = ("simulated", "real") if found.simulated else ("real", "simulated")
                raise InputError(
                    "publish.name",
                    f"{self._root / name} holds networks for {held} chips, such as {version}, and these are {own}",
                    "Choose another publish.name, or leave it empty",
                )

    def moves(self, name: str, alias: str) -> tuple[AliasMove, ...]:
        """Every move of an alias, the last one last; none where there is no such alias."""
        uri = self._alias(name, alias)
        if not self._storage.exists(uri):
            return ()
        return parse(AliasRecord, self._storage.read(uri), where=str(uri)).moves

    def find(self, name: str) -> tuple[str, str]:
        """``NAME/VERSION``, ``NAME@ALIAS`` or ``NAME`` (the alias ``latest``) as name and version.

        Raises:
            InputError: no such alias or version.
        """
        name, slash, version = name.partition("/")
        if not slash:
            name, _, alias = name.partition("@")
            alias = alias or "latest"
            moves = self.moves(name, alias)
            if not moves:
                known = ", ".join(row.version for row in self.list() if row.name == name) or "no version"
                raise InputError(f"{name}@{alias}", f"there is no such alias; {name} has {known}", "Write NAME/VERSION")
            version = moves[-1].version
        if not self._storage.exists(self._root / name / version / SUMS):
            raise InputError(
                str(self._root / name / version), "there is no complete bundle", "See sarslim models list"
            )  # fmt: skip
        return name, version

    def pull(self, model: str, directory: Path) -> dict[str, str]:
        """Downloads a bundle and checks every file; gives their SHA-256 by name.

        Raises:
            InputError: no such model, or a file that differs from its checksum.
        """
        name, version = self.find(model)
        return self._storage.fetch_bundle(self._root / name / version, directory)

    def challenge(self, name: str, version: str, alias: str, max_regression: float) -> AliasDecision:
        """Moves an alias to a new version, if it passed the gate and is not worse than the one that the alias is at."""
        moves = self.moves(name, alias)
        passed, reason = self._judge(name, version, moves[-1] if moves else None, max_regression)
        if passed:
            moves = (*moves, self._move(name, alias, moves, version, reason))
        return AliasDecision(alias=alias, moved=passed, version=moves[-1].version if moves else None, reason=reason)

    def standing(self, name: str, version: str, alias: str, max_regression: float) -> AliasDecision:
        """What became of an alias when a version was published: as ``challenge`` said then, and nothing is moved."""
        moves = self.moves(name, alias)
        if moves and moves[-1].version == version:
            return AliasDecision(alias=alias, moved=True, version=version, reason=moves[-1].reason)
        reason = self._judge(name, version, moves[-1] if moves else None, max_regression)[1]
        return AliasDecision(alias=alias, moved=False, version=moves[-1].version if moves else None, reason=reason)

    def promote(self, model: str, alias: str) -> AliasMove:
        """Moves an alias by hand, to any complete version.

        Raises:
            InputError: no such version, or the alias is there already.
        """
        name, version = self.find(model)
        moves = self.moves(name, alias)
        if moves and moves[-1].version == version:
            raise InputError(f"{name}@{alias}", f"is at {version} already", "Name another version")
        return self._move(name, alias, moves, version, "promoted by hand")

    def rollback(self, name: str, alias: str) -> AliasMove:
        """Moves an alias back to where it was before its last move; again: one more step back.

        Raises:
            InputError: the alias was nowhere else before.
        """
        moves = self.moves(name, alias)
        if len(moves) < 2:
            raise InputError(f"{name}@{alias}", "has no earlier version", "See sarslim models list")
        left, back = moves[-1], moves[-2]
        self.find(f"{name}/{back.version}")
        return self._move(name, alias, moves[:-2], back.version, rolled_back(left.version))

    def _judge(self, name: str, version: str, held: AliasMove | None, max_regression: float) -> tuple[bool, str]:
        challenger = self.metrics(name, version)
        if challenger is None:
            return False, f"the new version has no {METRICS}"
        if not challenger.gate_passed:
            return False, "the new version did not pass its gate"
        if held is None:
            return True, "the first version"
        if held.version == version:
            return False, "it is at this version already"
        if held.reason == rolled_back(version):
            return False, "it was rolled back from this version; promote by hand to use it again"
        champion = self.metrics(name, held.version)
        if champion is None:
            return False, f"{held.version} has no {METRICS}; compare both, then promote by hand"
        if champion.data_digest != challenger.data_digest:
            return False, (
                f"{held.version} was measured on other data ({champion.data_digest[:12]}, now "
                f"{challenger.data_digest[:12]}), so the figures say nothing; compare both on one data set, then "
                f"promote by hand"
            )
        new, old = challenger.files[ONNX], champion.files[ONNX]
        lost = max(old.accuracy - new.accuracy, old.macro_f1 - new.macro_f1)
        passed = lost <= max_regression + SLACK
        figures = (
            f"accuracy {new.accuracy:.2%} against {old.accuracy:.2%}, macro-F1 {new.macro_f1:.2%} against "
            f"{old.macro_f1:.2%} of {held.version} on the same {challenger.test_chips} test chips"
        )
        return passed, f"{'not worse' if passed else 'worse'}: {figures}"

    def _move(self, name: str, alias: str, before: tuple[AliasMove, ...], version: str, reason: str) -> AliasMove:
        """Writes the moves ``before`` and this one."""
        move = AliasMove(version=version, time=datetime.now(UTC).isoformat(timespec="seconds"), reason=reason)
        record = AliasRecord(moves=(*before, move))
        self._storage.write(self._alias(name, alias), (record.model_dump_json(indent=2) + "\n").encode())
        return move

    def _alias(self, name: str, alias: str) -> S3Uri:
        return self._root / name / ALIASES / f"{alias}.json"


def fetch(address: str, directory: Path) -> tuple[str, dict[str, str]]:
    """Downloads and checks a bundle by ``s3://bucket/models/NAME/VERSION``, ``.../NAME@ALIAS`` or ``.../NAME``.

    Returns:
        NAME, and the SHA-256 of every file by name.

    Raises:
        InputError: no such model, or a file that differs from its checksum.
    """
    storage, uri = Storage.from_environment(), S3Uri.parse(address)
    above, _, last = uri.key.rpartition("/")
    if storage.exists(uri / SUMS):
        return above.rpartition("/")[2] or last, storage.fetch_bundle(uri, directory)
    return last.partition("@")[0], Models(storage, S3Uri(uri.bucket, above)).pull(last, directory)


def rolled_back(version: str) -> str:
    """Why an alias left ``version``."""
    return f"rolled back from {version}"
