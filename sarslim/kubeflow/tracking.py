"""Copies the records of a finished local run to an MLflow tracking server. Nothing else depends on it."""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.kubeflow.run_folder import Entry, read_run
from sarslim.progress import note

EXPERIMENT = "sarslim"
# MLflow itself waits for minutes, prints its address with any password in it, and reports its use to its makers.
MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def wanted(uri: str | None) -> str | None:
    """The server that a run is to be logged to, looked at before anything is trained; None: to none.

    Args:
        uri: what ``--mlflow`` says; without it, ``MLFLOW_TRACKING_URI`` counts.

    Raises:
        InputError: ``uri`` is no address that MLflow knows, or the package is missing.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not chosen:
        return None
    try:
        with _manners():
            _client(chosen)
    except InputError as error:
        if uri:
            raise
        # The variable may be meant for other programs.
        note(f"this run will not be logged: {error}")
        return None
    return chosen


def log_ended(folder: Path, uri: str) -> bool:
    """Logs a run that has just ended and says where; a failure is told and costs the run nothing.

    Returns:
        Whether it is logged.
    """
    try:
        print(f"{'mlflow':<8}{log_run(folder, uri)}", flush=True)
    except SarslimError as error:
        sys.stdout.flush()
        print(error.line, file=sys.stderr)
        return False
    return True


def log_run(folder: Path, uri: str | None = None) -> str:
    """Logs the finished run in ``folder``, now or later; a run that is there already is not logged twice.

    A comparison becomes a run with a run per network below it. What an interrupted attempt left is replaced.

    Args:
        folder: ``runs/<id>``.
        uri: the tracking server. None: that of ``MLFLOW_TRACKING_URI``.

    Returns:
        The address of the run for a browser, without credentials.

    Raises:
        InputError: no finished run, no server named, an unusable address, or the package is missing.
        ServiceError: the server does not answer, or refuses.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError("--mlflow", "no MLflow server is named", "Give its URI, or set MLFLOW_TRACKING_URI")
    entry = read_run(folder)
    with _manners():
        client = _client(uri)
        with _told(uri, entry.name):
            experiment = _experiment(client)
            run = _logged_before(client, experiment, entry.tags) or _log(client, experiment, entry)
    address = _shown(uri).rstrip("/")
    return f"{address}/#/experiments/{experiment}/runs/{run}" if address.startswith("http") else f"{address} run {run}"


def _client(uri: str) -> Any:
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise InputError(
            "--mlflow", "the package mlflow is not installed", "Install it: pip install 'sarslim[mlflow]'"
        ) from None
    try:
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https") and not (parts.hostname and parts.port != 0):  # a port may be no number
            raise ValueError
        return MlflowClient(tracking_uri=uri)
    except (MlflowException, ValueError):
        raise InputError(
            "--mlflow", f"{_shown(uri)!r} is no address of an MLflow server", "Write one such as http://localhost:5000"
        ) from None


def _experiment(client: Any) -> str:
    """The id of the experiment that runs belong to, which is made where it is missing."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name)
    if found.lifecycle_stage != "active":
        remedy = "Restore it there, or set MLFLOW_EXPERIMENT_NAME to another name"
        raise InputError("MLFLOW_EXPERIMENT_NAME", f"the experiment {name!r} was deleted on the server", remedy)
    return found.experiment_id


def _logged_before(client: Any, experiment: str, tags: Mapping[str, str]) -> str | None:
    """The same run if it is there as a whole; parts that an interrupted attempt left are deleted."""
    same = " and ".join(f"tags.`{name}` = '{tags[name]}'" for name in ("sarslim.run", "sarslim.sha256"))
    found = client.search_runs([experiment], same)
    for run in found:
        if run.info.status == "FINISHED" and "mlflow.parentRunId" not in run.data.tags:
            return run.info.run_id
    for run in found:
        client.delete_run(run.info.run_id)
    return None


def _log(client: Any, experiment: str, entry: Entry, parent: str = "") -> str:
    from mlflow.entities import Metric, Param

    tags = entry.tags | ({"mlflow.parentRunId": parent} if parent else {})
    run = client.create_run(experiment, start_time=entry.start, run_name=entry.name, tags=tags).info.run_id
    try:
        metrics = [Metric(point.name, point.value, point.time, point.step) for point in entry.points]
        client.log_batch(run, metrics=metrics, params=[Param(*item) for item in entry.params.items()])
        for file in entry.files:
            client.log_artifact(run, str(file))
        for child in entry.children:
            _log(client, experiment, child, parent=run)
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run, "FAILED")
        raise
    # Last of all: only what is whole counts as finished.
    client.set_terminated(run, "FINISHED", end_time=entry.end)
    return run


@contextmanager
def _manners() -> Iterator[None]:
    """MLflow without long waits, chatter and telemetry; what the user has set stays as it is."""
    added = {name: value for name, value in MANNERS.items() if name not in os.environ}
    os.environ.update(added)
    loggers = [logging.getLogger(name) for name in ("mlflow", "urllib3.connectionpool")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _told(uri: str, run: str) -> Iterator[None]:
    """Turns what MLflow and its parts raise into one clear line."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    again = f"then log the run, which is whole: sarslim runs mlflow {run}"
    try:
        yield
    except ImportError as error:
        problem = f"keeps artifacts where the package {error.name} is needed"
        raise InputError(_shown(uri), problem, f"Install it, {again}") from None
    except (MlflowException, OSError) as error:  # those of requests are OSErrors
        cause = error.__context__ if isinstance(error, MlflowException) else error
        answer = getattr(cause, "response", None)
        status = error.get_http_status_code() if isinstance(error, MlflowException) else None
        if {status, getattr(answer, "status_code", None)} & {401, 403}:
            problem, remedy = "refuses the credentials", f"Set {', '.join(CREDENTIALS)} as it asks, {again}"
        elif isinstance(cause, RequestException) and answer is None:
            problem, remedy = f"does not answer ({_reason(error)})", f"Start it or correct the address, {again}"
        else:
            problem, remedy = f"could not keep the run ({_reason(error)})", f"See the log of the server, {again}"
        raise ServiceError(_shown(uri), problem, remedy) from None


def _shown(text: str) -> str:
    """Addresses without user and password."""
    return re.sub(r"//\S*@", "//", text)


def _reason(error: Exception) -> str:
    """What an exception says, on one line, not at length and without credentials."""
    text = _shown(" ".join(str(error).split()))
    for secret in filter(None, map(os.environ.get, CREDENTIALS[1:])):
        text = text.replace(secret, "***")
    short = re.search(r"\[Errno -?\d+\] (?P<words>[\w ]+)|(?P<late>[Tt]imed out)", text)
    return short["words"] or short["late"].lower() if short else text[:200]
