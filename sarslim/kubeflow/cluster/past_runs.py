"""Runs that a cluster knows of: what their stages made, with which settings, and how to go on from there."""

import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from sarslim.config import RunConfig
from sarslim.config.parameters import ARTIFACTS, default, from_parameters, given_artifacts, names, start_with
from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.kubeflow.cluster import nodes, pod_logs
from sarslim.kubeflow.cluster.nodes import Look, Stage, State
from sarslim.kubeflow.cluster.server import API, Api, NotThere
from sarslim.kubeflow.cluster.watching import figures, key_figure, published, why
from sarslim.kubeflow.tasks import TASKS
from sarslim.progress import duration
from sarslim.records import JournalEntry
from sarslim.store import journal
from sarslim.store.storage import S3Uri, is_s3

ARTIFACT_ROUTE = "/artifacts/get"
REACH = (
    "Reach the store from here: kubectl -n {namespace} port-forward svc/sarslim-store 8333:8333, then set "
    "AWS_ENDPOINT_URL=http://localhost:8333 and the keys of the Secret sarslim-s3"
)


def latest(api: Api, most: int) -> list[tuple[str, str, str, str]]:
    """Id, name, state and start of the latest runs."""
    asked = {"page_size": most, "sort_by": "created_at desc", "namespace": api.server.namespace or ""}
    found = api.json(f"{API}/runs", **asked).get("runs") or []
    return [
        (run["run_id"], run.get("display_name", ""), run.get("state") or "PENDING", run.get("created_at", ""))
        for run in found
    ]


def look_at(api: Api, run: str) -> Look:
    """A run as it is now.

    Raises:
        InputError: there is no such run.
    """
    found = api.run(run)
    return nodes.read(found, api.spec(found))


def artifacts_of(api: Api, look: Look) -> dict[str, str]:
    """The artifacts of a run by name: those that it was given, and those that its stages made.

    The journal of the run tells them, which the UI's server reads from the store; where it cannot, the store itself if
    it can be reached from here, and else the logs of the stages, which the API has for as long as their pods are there.

    Raises:
        InputError: none of them tells.
    """
    given = {name: str(look.parameters.get(f"{name}_uri") or "") for name in ARTIFACTS}
    entries = _through_the_ui(api, look) or _from_the_store(look) or _from_the_logs(api, look)
    found = {name: uri for name, uri in given.items() if uri} | journal.artifacts(entries)
    if not found:
        remedy = REACH.format(namespace=api.server.pods_namespace)
        raise InputError(look.run, "neither its logs nor the UI's server tell what it made", remedy)
    return found


def config_of(look: Look) -> RunConfig:
    """The configuration of a run, from its parameters.

    Raises:
        InputError: the check of the run has not accepted them.
    """
    checks = [stage for stage in look.stages if stage.task == "check-inputs"]
    if not any(stage.state in (State.DONE, State.CACHED) for stage in checks):
        raise InputError(look.run, "ended before its parameters were checked", "Submit it again")
    known = names()
    values = {name: default(name) for name in known}
    return from_parameters(values | {name: value for name, value in look.parameters.items() if name in known})


def uris(artifacts: Mapping[str, str], start: str, run: str) -> dict[str, str]:
    """The parameters of an entry point that starts with ``start``.

    Raises:
        InputError: the run did not make all that is needed.
    """
    needed = given_artifacts(start)
    missing = [name for name in needed if name not in artifacts]
    if missing:
        stage = ARTIFACTS[missing[0]]
        raise InputError(run, f"has no {missing[0]}", f"Start --from {stage}, or name a run that made it")
    return {f"{name}_uri": artifacts[name] for name in needed}


def story(api: Api, look: Look) -> dict[str, Any]:
    """What there is to know of a run: its stages, what they made, why it failed, and how to go on."""
    rows = [_row(api, look, stage) for stage in look.stages]
    try:
        made = artifacts_of(api, look)
    except InputError as error:
        made, unknown = {}, [str(error)]
    else:
        unknown = []
    took = duration((look.finished - look.created).total_seconds()) if look.finished and look.created else ""
    told: dict[str, Any] = {
        "run": look.run,
        "name": look.name,
        "pipeline": look.pipeline,
        "state": "was stopped" if look.terminated and look.ended else look.state,
        "took": took,
        "see": api.link("runs", look.run),
        "stages": rows,
        "made": made,
        "bundle": [line.partition(" ")[2].strip() for line in published(api, look)],
        "why": why(api, look) if look.ended and look.state != "SUCCEEDED" else [],
        "go on": [start_with(made)] if start_with(made) else unknown,
    }
    if look.ended and not look.terminated and any(row["state"] == State.FAILED for row in rows):
        told["go on"].append("after a failure of the cluster or of a service: Retry in the UI goes on where it ended")
    return told


def file_of(api: Api, uri: str) -> bytes:
    """A file of the store as the UI's server shows it; a folder as an archive, where it knows folders.

    Raises:
        NotThere, ServiceError: it has none, or may not read it.
    """
    place = S3Uri.parse(uri)
    asked = {"source": uri.partition(":")[0], "namespace": api.server.pods_namespace}
    return api.bytes(ARTIFACT_ROUTE, **asked, bucket=place.bucket, key=place.key)


def _row(api: Api, look: Look, stage: Stage) -> dict[str, str]:
    text = pod_logs.of_stage(api, look, stage) if stage.state is State.DONE and stage.attempts else None
    return {
        "stage": stage.name,
        "state": str(stage.state),
        "time": duration(stage.seconds) if stage.attempts and stage.started and (stage.ended or not look.ended) else "",
        "attempts": str(len(stage.attempts) or ""),
        "figure": key_figure(figures(text), stage),
    }


def _root(look: Look) -> str:
    return f"{look.root.rstrip('/')}/{look.pipeline}/{look.run}"


def _through_the_ui(api: Api, look: Look) -> list[JournalEntry]:
    """The journal as the UI's server packs a folder of the store: a tar archive. Older ones know no folders."""
    if not is_s3(look.root):
        return []
    try:
        content = file_of(api, f"{_root(look)}/{journal.FOLDER}")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            files = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
            return [JournalEntry.model_validate_json(file.read()) for file in files if file is not None]
    except (NotThere, ServiceError, tarfile.TarError, EOFError, OSError, ValueError):
        return []


def _from_the_store(look: Look) -> list[JournalEntry]:
    try:
        return journal.read(_root(look)) if is_s3(look.root) else []
    except SarslimError:
        return []


def _from_the_logs(api: Api, look: Look) -> list[JournalEntry]:
    entries = []
    for stage in look.stages:
        if stage.state is not State.DONE or not stage.attempts or stage.task.startswith("importer"):
            continue
        lines = pod_logs.own(pod_logs.of_stage(api, look, stage) or "")
        given, made = _named(lines, pod_logs.GIVEN), _named(lines, pod_logs.MADE)
        if given or made:
            name = TASKS.get(re.sub(r"-\d+$", "", stage.task), stage.task)
            entries.append(JournalEntry(stage=name, state="succeeded", inputs=given, outputs=made))
    return entries


def _named(lines: Iterable[str], pattern: re.Pattern[str]) -> dict[str, str]:
    matches = filter(None, map(pattern.match, lines))
    return {match["name"]: match["uri"] for match in matches}
