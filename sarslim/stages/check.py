"""Stage 0: what can be known to be wrong is refused before anything expensive starts, all of it at once.

This is the one place for that. It looks at the source, builds every network that the run needs, holds numbers against
the machine, and writes to every place that the run will write to.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sarslim.chips.inspect import check_names
from sarslim.chips.simulated_folder import is_simulated
from sarslim.config import STAGES, PrepareConfig, RunConfig, TrainingConfig
from sarslim.config.parameters import ARTIFACTS, from_parameters, given_artifacts
from sarslim.config.recoveries import recovery
from sarslim.config.settings import require_data
from sarslim.delivery import registry
from sarslim.progress import note
from sarslim.stages.findings import Findings
from sarslim.stages.given import check_given, prepared
from sarslim.stages.look import look_at_shifted, seen
from sarslim.stages.tryout import Setting, try_networks
from sarslim.store import client
from sarslim.store.storage import SUMS, S3Uri, Storage, is_s3

PATIENCE_SECONDS = 2.0


def check(parameters: Mapping[str, Any], *, room: Path | None = None) -> RunConfig:
    """Validates all pipeline parameters together and tries out all that the run will need.

    Args:
        parameters: of the pipeline, by name; ``start`` names the last artifact that an earlier run gives, if any, and
            ``publishes`` is False where no bundle is published, ``methods`` are the recovery methods that are compared.
        room: a folder on the disk that the artifacts go to.

    Returns:
        The complete configuration, with the fingerprints of the sources and what the teacher is shown filled in.

    Raises:
        InputError: everything that is wrong, at once: parameters; a source that is not there, is needed and was not
            given, or whose folders contradict each other; artifacts of another kind than asked for; a network that does
            not take chips of this size, a budget out of reach; numbers beyond this machine; a place that cannot be
            written to.
        ServiceError: the object store cannot be reached.
    """
    config = from_parameters(parameters)
    methods = [name.strip() for name in parameters.get("methods", "").split(",") if name.strip()]
    recipes = [recovery(name, config.distill) for name in methods] or [config.distill]
    config = config.model_copy(update={"ask": config.ask.filled(*recipes)})
    start = parameters.get("start", "")
    given = {name: parameters[f"{name}_uri"] for name in given_artifacts(start)}
    stages = STAGES[STAGES.index(ARTIFACTS[start]) + 1 :] if start else STAGES
    if not parameters.get("publishes", True):
        stages = tuple(stage for stage in stages if stage != "publish")
    findings = Findings()
    records = None
    _try_places(config, stages, findings)
    if given and not findings.out_of_reach(given.values()):
        with findings.kept():
            records = check_given(given)
    digest = config.prepare.fingerprint
    if "prepare" in stages and not findings.out_of_reach(config.prepare.sources.values()):
        with findings.kept():
            digest = _look_at(config.prepare)
    if "publish" in stages and config.publish.name and not findings.errors:
        with findings.kept("publish.name"):
            _look_at_name(config, _simulated(config.prepare, records))
    shifted = ""
    if config.evaluate.shifted and (records is not None or not given):
        with findings.kept():
            how = config.prepare if records is None else prepared(given["dataset"])
            classes = None if records is None else records["dataset"].classes
            shifted = look_at_shifted(config.evaluate, how, classes, findings, _store)
    if records is not None or not given:
        try_networks(Setting.of(config, stages, records), config, room, findings)
    findings.end()
    prepare = config.prepare.model_copy(update={"fingerprint": digest})
    evaluate = config.evaluate.model_copy(update={"shifted_fingerprint": shifted})
    return config.model_copy(update={"prepare": prepare, "evaluate": evaluate})


def _look_at(config: PrepareConfig) -> str:
    """The fingerprint of the sources; the names of the first one are held against the configuration."""
    require_data(config)
    digests = []
    for field, address in config.sources.items():
        if address:
            files, table, digest = seen(address, f"prepare.{field}", _store)
            digests.append(digest)
            if field == "source":
                check_names(files, config, table)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest() if len(digests) > 1 else "".join(digests)


def _store() -> Storage:
    """The object store, asked with little patience: who waits for the check waits for an answer."""
    return Storage.from_environment(retries=1, timeout_seconds=PATIENCE_SECONDS)


def _try_places(config: RunConfig, stages: tuple[str, ...], findings: Findings) -> None:
    """Writes, reads and deletes a small object wherever the run will write to."""
    places: dict[str, list[str]] = {}
    if "publish" in stages:
        places.setdefault(config.publish.destination, []).append("publish.destination")
    for stage in ("teacher", "distill"):
        section: TrainingConfig = getattr(config, stage)
        # Without any store training goes on without checkpoints.
        if stage in stages and section.checkpoints and (places or client.configured()):
            places.setdefault(section.checkpoints, []).append(f"{stage}.checkpoints")
    for address, fields in places.items():
        with findings.kept(", ".join(fields)):
            _store().probe(S3Uri.parse(address))
        if findings.store_is_out_of_reach:
            return


def _look_at_name(config: RunConfig, simulated: bool | None) -> None:
    """Refuses a name of networks for other chips, and tells of a version that only the same bundle can be."""
    publish, root = config.publish, S3Uri.parse(config.publish.destination)
    if simulated is not None:
        registry.Models(_store(), root).require_kind(publish.name, simulated=simulated)
    place = root / publish.name / publish.version
    if publish.version and _store().exists(place / SUMS):
        note(f"{place} is published already; another bundle will not take its place")


def _simulated(config: PrepareConfig, records: Mapping[str, Any] | None) -> bool | None:
    """Whether the chips are simulated, as far as it can be known before they are read."""
    if records is not None:
        return bool(records["dataset"].simulated)
    if not config.source or is_s3(config.source):
        return config.simulated or None
    return is_simulated(Path(config.source))
