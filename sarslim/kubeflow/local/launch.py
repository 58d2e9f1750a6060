"""Runs a DAG on this machine, compiles it, and tells what came out. The DAG itself comes in as an argument."""

import errno
import re
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from socket import socket
from typing import Any

import yaml
from kfp import compiler, local

from sarslim import report
from sarslim.chips.dataset import RECORD
from sarslim.config import RunConfig
from sarslim.config.settings import arguments, changed, load_config, require_data
from sarslim.delivery.registry import METRICS
from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.kubeflow.local import ending, forking, history, run_log, runners, sharing, warm
from sarslim.kubeflow.tasks import LOOPS, TASKS
from sarslim.records import BundleRecord, Comparison, DatasetRecord, TrainRecord
from sarslim.report import last_screen
from sarslim.stages import results
from sarslim.stages.publish import bundle_uri, fate
from sarslim.store import local_store
from sarslim.store.storage import SUMS, S3Uri, Storage

REFUSING = ("check", "plan")
LEAST_BYTES = 256 * 2**20  # of a run: a teacher, its checkpoint with two moments and an average, and the bundle
INTERRUPTED = "interrupted; the same command goes on: stages that ended are cached, training resumes"


class RunFailed(SarslimError):
    """A run that ended before its end, in the words of the stage that ended it."""

    def __init__(self, line: str, exit_code: int) -> None:
        Exception.__init__(self, line)
        self.exit_code = exit_code

    @property
    def line(self) -> str:
        """What a person sees."""
        return str(self)


def compile_all(pipelines: Mapping[str, Any], out: Path) -> None:
    """Writes ``<name>.yaml`` for every pipeline.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    with written_to("--out", out):
        out.mkdir(parents=True, exist_ok=True)
        for name, pipeline in pipelines.items():
            compiler.Compiler().compile(pipeline, str(out / f"{name}.yaml"))
            print(f"wrote {out / name}.yaml")


@contextmanager
def written_to(option: str, folder: Path) -> Iterator[None]:
    """
    Raises:
        InputError: what is written cannot be where ``option`` says.
        ServiceError: the disk is full or broken.
    """
    try:
        yield
    except OSError as error:
        problem = f"{folder} cannot be written to ({error.strerror or type(error).__name__})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise ServiceError(option, problem, "Make room, or name another folder") from None
        raise InputError(option, problem, "Name a folder that you may write to") from None


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
    tasks: socket | None = None,
    last: bool = True,
) -> Path:
    """Runs ``dag`` with KFP's local runner; results land in ``runs/<id>`` and ``runs/latest``.

    Args:
        inputs: ``name=value`` for parameters of the pipeline that no stage has.
        docker: run every task in the image of its stage.
        tasks: of a process that forks them, where one has been started; has no meaning with ``docker``.
        last: print the last screen; without it the caller tells what came out.

    Returns:
        The folder of the run.

    Raises:
        InputError: an input that the pipeline does not take, or one that it lacks; no data where the configuration
            needs them; a folder of runs that cannot be written to.
        ServiceError: the disk is full.
        RunFailed: what a stage said before it ended.
    """
    started = time.monotonic()
    parameters = arguments(dag, config, inputs or [])
    if "source" in parameters:
        require_data(config.prepare)
    runs = runs.resolve()
    if docker:
        runners.require_images(dag)
    with written_to("--runs", runs):
        folder = _new_folder(runs)
        (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        _require_room(folder, config)
    where = nullcontext(tasks) if docker or tasks else forking.started()
    with _listed(runs), history.noted(folder, dag.name), where as tasks:
        beside = sharing.side_by_side(config)
        sharing.take_cells(dag, beside)
        way = nullcontext() if docker or tasks is None else warm.processes(tasks, beside)
        return _run_in(
            folder, dag, config, parameters, started,
            s3_endpoint=s3_endpoint, docker=docker, way=way, beside=beside, last=last,
        )  # fmt: skip


def _run_in(
    folder: Path,
    dag: Any,
    config: RunConfig,
    parameters: Mapping[str, Any],
    started: float,
    *,
    s3_endpoint: str,
    docker: bool,
    way: AbstractContextManager[None],
    beside: int,
    last: bool,
) -> Path:
    runs = folder.parent
    pipeline_root = runs / "store" / "sarslim" / "pipelines"
    if not parameters.get("source", "given"):
        print("No data given: these are SIMULATED SAR ship chips, not real ones.", flush=True)
    warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
    with _store(runs, s3_endpoint):
        with run_log.watch(
            folder / "logs", TASKS, sys.stdout, stages=_stages(dag), loops=LOOPS, headline=report.headline
        ) as log:
            local.init(
                runners.containers(pipeline_root, config.sources.values(), beside)
                if docker
                else local.SubprocessRunner(use_venv=False),
                pipeline_root=str(pipeline_root),
                enable_caching=True,
                cache_root=str(runs / "cache"),
            )
            try:
                with ending.stages_end_first() as asked, way:
                    outputs = dag(**parameters).outputs
            except SystemExit:
                raise RunFailed(INTERRUPTED, ending.CODE) from None
            except RuntimeError as error:
                if asked:
                    raise RunFailed(INTERRUPTED, ending.CODE) from None
                failed = _what_failed(log, error)
                if failed.exit_code == InputError.exit_code and log.failed in REFUSING:
                    shutil.rmtree(folder)  # nothing ran
                raise failed from error
            except KeyboardInterrupt:
                raise RunFailed(INTERRUPTED, 130) from None
        artifacts = {name: Path(artifact.path) for name, artifact in outputs.items()}
        if "comparison" in artifacts:
            _tell(artifacts["report"], folder)
            return _end_comparison(artifacts["comparison"], folder, time.monotonic() - started, last)
        evaluation = results.read_evaluation(artifacts["evaluation"])
        uri = _published(config, artifacts["bundle"]) if evaluation.passed else None
        alias = fate(config.publish, S3Uri.parse(uri)) if uri else None
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
    kept = {name: str(path.relative_to(runs)) for name, path in artifacts.items() if path.is_relative_to(runs)}
    results.write_json(
        folder / "summary.json", {"verdict": report.verdict(dataset, evaluation), **found, "artifacts": kept}
    )
    _point_latest(folder)
    if last:
        answers = results.read_json(TrainRecord, artifacts["student"] / results.TRAINING).answers
        took = time.monotonic() - started
        last_screen.show_run(config, dataset, evaluation, folder, uri, took, alias, answers)
    return folder


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


def _require_room(folder: Path, config: RunConfig) -> None:
    """
    Raises:
        ServiceError: no room for what a run leaves at least; the folder of this one is gone.
    """
    prepare = config.prepare
    chips = prepare.simulator.chips * prepare.image_size**2 if prepare.simulated else 0
    need, free = LEAST_BYTES + chips, shutil.disk_usage(folder).free
    if free < need:
        shutil.rmtree(folder)
        problem = f"the disk of {folder.parent} has {free / 2**20:.0f} MiB free, and a run takes {need / 2**20:.0f} MiB"
        raise ServiceError("--runs", f"{problem} or more", "Make room, or name another folder")


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
        with suppress(OSError):  # a full disk must not hide why the run ended
            unfinished = runs / ".index.html.part"
            unfinished.write_text(report.runs_index(history.runs_in(runs)), encoding="utf-8")
            unfinished.replace(runs / "index.html")


def _point_latest(folder: Path) -> None:
    link = folder.with_name(f".latest-{folder.name}")
    link.symlink_to(folder.name)
    link.replace(folder.with_name("latest"))


def _store(runs: Path, endpoint: str) -> AbstractContextManager[None]:
    if endpoint:
        return local_store.in_environment({"AWS_ENDPOINT_URL": endpoint})
    return local_store.at_hand(runs / "store")


def _what_failed(log: run_log.RunLog, error: RuntimeError) -> RunFailed:
    task = log.failed or "kfp"
    for line in reversed(log.lines(task)):
        for kind in (InputError, ServiceError):
            if line.startswith(f"{kind.kind}: "):
                return RunFailed(line, kind.exit_code)
    said = [line for line in log.lines(task) if line.strip() and not run_log.FINISHED.search(line)]
    last = said[-1] if said else str(error)
    return RunFailed(f"stage {task} failed: {last}\nThe whole log: {log.folder / task}.log", 1)


def _published(config: RunConfig, bundle: Path) -> str:
    uri = bundle_uri(config.publish, bundle)
    if not Storage.from_environment().exists(uri / SUMS):
        raise InputError(str(uri), "the published bundle is gone", "Run again with --set publish.rerun=again")
    return str(uri)


def _end_comparison(comparison: Path, folder: Path, seconds: float, last: bool) -> Path:
    shutil.copyfile(comparison, folder / "comparison.json")
    _point_latest(folder)
    if last:
        last_screen.show_comparison(results.read_json(Comparison, comparison), folder, seconds)
    return folder
