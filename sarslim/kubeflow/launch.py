"""Runs a DAG on this machine, compiles it, and tells what came out. The DAG itself comes in as an argument."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler, local

from sarslim import report
from sarslim.chips.dataset import RECORD
from sarslim.chips.inspect import inspect as inspect_chips
from sarslim.config import RunConfig
from sarslim.config.settings import arguments, changed, load_config
from sarslim.delivery.registry import METRICS
from sarslim.errors import InputError, SarslimError
from sarslim.kubeflow import history, run_log, runners, shell
from sarslim.records import BundleRecord, Comparison, DatasetRecord
from sarslim.report import last_screen
from sarslim.stages import results
from sarslim.stages.publish import bundle_uri
from sarslim.store import local_store
from sarslim.store.storage import SUMS, Storage, local_copy

TASKS = {
    "check-inputs": "check",
    "plan-sweep": "plan",
    "plan-methods": "plan",
    "plan-rivals": "plan",
    "prepare-data": "prepare",
    "train-teacher": "teacher",
    "prune-student": "prune",
    "distill-student": "distill",
    "evaluate-student": "evaluate",
    "publish-bundle": "publish",
    "measure-network": "measure",
    "compare-networks": "compare",
}


class RunFailed(SarslimError):
    """A run that ended before its end, in the words of the stage that ended it."""

    def __init__(self, line: str, exit_code: int) -> None:
        Exception.__init__(self, line)
        self.exit_code = exit_code


@contextmanager
def shown_errors() -> Iterator[None]:
    """As those of ``shell``, and for what a run may end with."""
    with shell.shown_errors():
        try:
            yield
        except RunFailed as error:
            sys.stdout.flush()
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            sys.stdout.flush()
            print(
                "interrupted; the same command goes on: stages that ended are cached, training resumes",
                file=sys.stderr,
            )
            sys.exit(130)


def compile_all(pipelines: Mapping[str, Any], out: Path) -> None:
    """Writes ``<name>.yaml`` for every pipeline."""
    out.mkdir(parents=True, exist_ok=True)
    for name, pipeline in pipelines.items():
        compiler.Compiler().compile(pipeline, str(out / f"{name}.yaml"))
        print(f"wrote {out / name}.yaml")


def rerun_config(run: Path, start: str, sets: list[str]) -> RunConfig:
    """The configuration of an earlier run, changed so that it runs again from stage ``start`` on.

    Raises:
        InputError: no such run, no such stage, or a change to a stage before ``start``.
    """
    if not (run / "config.yaml").is_file():
        known = ", ".join(sorted(path.parent.name for path in run.parent.glob("*/config.yaml"))) or "none yet"
        raise InputError("run", f"there is no run {run.name!r} in {run.parent}", f"Known runs: {known}")
    return changed(load_config(run / "config.yaml", "", []), start, sets)


def run(
    dag: Any,
    config: RunConfig,
    *,
    runs: Path,
    inputs: list[str] | None = None,
    s3_endpoint: str = "",
    docker: bool = False,
) -> Path:
    """Runs ``dag`` with KFP's local runner; results land in ``runs/<id>`` and ``runs/latest``.

    Args:
        inputs: ``name=value`` for parameters of the pipeline that no stage has.
        docker: run every task in the image of its stage.

    Returns:
        The folder of the run.

    Raises:
        InputError: an input that the pipeline does not take, or one that it lacks.
        RunFailed: what a stage said before it ended.
    """
    started = time.monotonic()
    parameters = arguments(dag, config, inputs or [])
    runs = runs.resolve()
    if docker:
        runners.require_images(dag)
    folder = _new_folder(runs)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    with _listed(runs), history.noted(folder, dag.name):
        return _run_in(folder, dag, config, parameters, started, s3_endpoint=s3_endpoint, docker=docker)


def _run_in(
    folder: Path,
    dag: Any,
    config: RunConfig,
    parameters: Mapping[str, Any],
    started: float,
    *,
    s3_endpoint: str,
    docker: bool,
) -> Path:
    runs = folder.parent
    pipeline_root = runs / "store" / "sarslim" / "pipelines"
    if not parameters.get("source", "given"):
        print("No data given: these are SIMULATED SAR ship chips, not real ones.", flush=True)
    warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
    with _store(runs, s3_endpoint):
        with run_log.watch(folder / "logs", TASKS, sys.stdout, stages=_stages(dag), headline=report.headline) as log:
            local.init(
                runners.containers(pipeline_root, config.prepare.source)
                if docker
                else local.SubprocessRunner(use_venv=False),
                pipeline_root=str(pipeline_root),
                enable_caching=True,
                cache_root=str(runs / "cache"),
            )
            try:
                outputs = dag(**parameters).outputs
            except RuntimeError as error:
                raise _what_failed(log, error) from error
        artifacts = {name: Path(artifact.path) for name, artifact in outputs.items()}
        if "comparison" in artifacts:
            _tell(artifacts["report"], folder)
            return _end_comparison(artifacts["comparison"], folder, time.monotonic() - started)
        evaluation = results.read_evaluation(artifacts["evaluation"])
        uri = _published(config, artifacts["bundle"]) if evaluation.passed else None
        _tell(artifacts["report"], folder, bundle=uri or str(artifacts["bundle"]))
    dataset = results.read_json(DatasetRecord, artifacts["dataset"] / RECORD)
    found = results.summary(
        evaluation,
        config=config,
        data_name=report.data_name(dataset.format, dataset.source, config.evaluate.data_name),
        bundle=results.read_json(BundleRecord, artifacts["bundle"] / METRICS),
        bundle_uri=uri,
        versions=results.versions(),
        seconds=log.seconds,
        cached=log.cached,
    )
    results.write_json(folder / "summary.json", found)
    _point_latest(folder)
    last_screen.show_run(config, dataset, evaluation, folder, uri, time.monotonic() - started, embedded=not s3_endpoint)
    return folder


def with_store(command: Sequence[str], runs: Path) -> int:
    """Runs a command with the embedded object store of ``runs`` at hand, and returns how it ended.

    With no command the store stays up until it is interrupted, and the variables that lead to it are printed.

    Raises:
        InputError: no store there, or no such command.
    """
    if not (runs / "store").is_dir():
        raise InputError("--runs", f"there is no object store in {runs}", "Run a pipeline first, or name its --runs")
    # The commands that were installed with this Python come first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if command and shutil.which(command[0], path=path) is None:
        raise InputError("COMMAND", f"there is no program {command[0]!r}", "Give a command such as sarslim")
    with local_store.serve(runs.resolve() / "store") as served:
        if not command:
            print("\n".join(f"export {name}={value}" for name, value in served.items()), flush=True)
            print("The store answers until Ctrl-C.", file=sys.stderr)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            return 0
        return subprocess.run(command, env={**os.environ, **served, "PATH": path}, check=False).returncode


def inspect(config: RunConfig) -> None:
    """Prints what the source of a configuration holds.

    Raises:
        InputError: what would stop its preparation.
    """
    if not config.prepare.source:
        raise InputError("source", "no source is named", "Give a local path or an s3:// address")
    with local_copy(config.prepare.source) as source:
        found = inspect_chips(source, config.prepare)
    least, median, most = found.sizes_px
    facts = {
        "format": found.format,
        "chips": f"{found.chips}, {found.unlabelled} of them without a label",
        "polarisations": _counts(found.polarisations) or "not named",
        "size": f"{least} to {most} px, median {median:g}",
        "identities": f"{found.ships or 'no'} ships or vehicles named, {found.scenes or 'no'} scenes",
        "given splits": _counts(found.given_splits) or "none",
        "classes": _counts(found.classes),
        "would become": _counts(found.parts) or "nothing, see the problems",
        "split rule": found.split_rule,
    }
    for name, fact in facts.items():
        print(f"{name:<14} {fact}")
    for reason, count in Counter(row.reason for row in found.skipped).most_common():
        print(f"{'skipped':<14} {count}: {reason}")
    for text in found.warnings:
        print(f"{'warning':<14} {text}")
    if found.problems:
        raise InputError(config.prepare.source, "cannot be prepared as it is", " ".join(found.problems))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _stages(dag: Any) -> list[str]:
    """The stages of a pipeline in the order in which they run."""
    executors = dag.pipeline_spec.deployment_spec["executors"]
    there = {re.sub(r"-\d+$", "", name.removeprefix("exec-")) for name in executors}
    return list(dict.fromkeys(stage for task, stage in TASKS.items() if task in there))


def _new_folder(runs: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for name in [stamp, *(f"{stamp}-{count}" for count in range(2, 100))]:
        try:
            (runs / name).mkdir(parents=True)
        except FileExistsError:
            continue
        return runs / name
    raise InputError("--runs", f"{runs} is full of runs of this second", "Try again")


def _tell(page: Path, folder: Path, **known: str) -> None:
    """Puts a page into the folder of its run, with what is known at the end only."""
    option = "" if folder.parent == Path("runs").resolve() else f" --runs {shlex.quote(str(folder.parent))}"
    told = report.filled(
        page.read_text(encoding="utf-8"), run=folder.name, rerun=f"sarslim rerun {folder.name}{option}", **known
    )
    (folder / "report.html").write_text(told, encoding="utf-8")


@contextmanager
def _listed(runs: Path) -> Iterator[None]:
    """Writes the list of all runs anew at the end, however this one ends."""
    try:
        yield
    finally:
        unfinished = runs / ".index.html.part"
        unfinished.write_text(report.runs_index(history.runs_in(runs)), encoding="utf-8")
        unfinished.replace(runs / "index.html")


def _point_latest(folder: Path) -> None:
    link = folder.with_name(f".latest-{folder.name}")
    link.symlink_to(folder.name)
    link.replace(folder.with_name("latest"))


@contextmanager
def _store(runs: Path, endpoint: str) -> Iterator[None]:
    served = nullcontext({"AWS_ENDPOINT_URL": endpoint}) if endpoint else local_store.serve(runs / "store")
    with served as environment:
        before = {name: os.environ.get(name) for name in environment}
        # Tasks inherit the environment; credentials never travel as parameters.
        os.environ.update(environment)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _what_failed(log: run_log.RunLog, error: RuntimeError) -> RunFailed:
    task = log.failed or "kfp"
    for line in reversed(log.lines(task)):
        if line.startswith(shell.INPUT_ERROR):
            return RunFailed(line, InputError.exit_code)
        if line.startswith(shell.SERVICE_ERROR):
            return RunFailed(line, SarslimError.exit_code)
    said = [line for line in log.lines(task) if line.strip() and not run_log.FINISHED.search(line)]
    last = said[-1] if said else str(error)
    return RunFailed(f"stage {task} failed: {last}\nThe whole log: {log.folder / task}.log", 1)


def _published(config: RunConfig, bundle: Path) -> str:
    uri = bundle_uri(config.publish, bundle)
    if not Storage.from_environment().exists(uri / SUMS):
        raise InputError(str(uri), "the published bundle is gone", "Run again with --set publish.rerun=again")
    return str(uri)


def _end_comparison(comparison: Path, folder: Path, seconds: float) -> Path:
    shutil.copyfile(comparison, folder / "comparison.json")
    _point_latest(folder)
    last_screen.show_comparison(results.read_json(Comparison, comparison), folder, seconds)
    return folder
