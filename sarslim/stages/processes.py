"""A training stage in several processes, one per GPU: started by ``torch.distributed.run`` inside the pod.

The stage itself is the same function in every process; whoever calls it need not know how many there are.
"""

import contextlib
import ctypes
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import torch

from sarslim.config import parse
from sarslim.config.machine import threads
from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.records import TrainRecord
from sarslim.stages.bounds import require_processes
from sarslim.stages.results import read_json, write_json
from sarslim.training import parallel

JOB, RECORD, ERROR = "job.json", "record.json", "error-{rank}.json"
ERRORS: dict[str, type[SarslimError]] = {"InputError": InputError, "ServiceError": ServiceError}

PR_SET_PDEATHSIG = 1  # linux/prctl.h

Stage = Callable[..., TrainRecord]


def in_processes(stage: Stage) -> Stage:
    """A stage ``(config, **paths)`` that runs in ``config.processes`` processes, and only the first writes its output.

    Results and errors are those of the stage in one process: what a process raises is raised here.

    Raises:
        InputError: more processes than GPUs or, without any, than processors.
        ServiceError: a process failed without saying more than what it wrote to standard error, which is shown.
    """

    @functools.wraps(stage)
    def run(config: Any, **paths: Path | None) -> TrainRecord:
        gpus = torch.cuda.device_count()
        wanted = config.processes or max(gpus, 1)
        if wanted == 1 or parallel.count() > 1:
            return stage(config, **paths)
        section = stage.__module__.rpartition(".")[2]
        require_processes(section, wanted)
        with tempfile.TemporaryDirectory(prefix="sarslim-") as folder:
            job = {"stage": [stage.__module__, stage.__name__], "config": config.model_dump(mode="json")}
            job["paths"] = {name: str(path) for name, path in paths.items() if path is not None}
            write_json(Path(folder, JOB), job)
            return _launch(wanted, Path(folder), section)

    return run


def _launch(processes: int, folder: Path, section: str) -> TrainRecord:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, f"--log-dir={folder}", "-m", __name__, str(folder)]
    # The launcher would set it, too: to 1, with a warning.
    environment = {"OMP_NUM_THREADS": str(max(threads() // processes, 1))} | os.environ
    with (folder / "stderr").open("w+", encoding="utf-8", errors="replace") as stderr:
        with _termination_as_exit(), subprocess.Popen(command, env=environment, stderr=stderr) as child:
            try:
                child.wait()
            except BaseException:
                child.terminate()  # It ends the processes that it started.
                raise
        # An error of ours stands in for the tracebacks of the launcher and of processes left alone.
        if errors := sorted(folder.glob(ERROR.format(rank="*"))):
            found = json.loads(errors[0].read_text(encoding="utf-8"))
            raise ERRORS[found["kind"]](found["where"], found["problem"], found["remedy"])
        stderr.seek(0)
        sys.stderr.write(stderr.read())
    if child.returncode:
        raise ServiceError(section, f"one of {processes} training processes failed", "See above what it wrote")
    return read_json(TrainRecord, folder / RECORD)


@contextlib.contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Lets SIGTERM unwind the stack, as an interrupt from the keyboard does."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(folder: Path) -> None:
    """One of the processes: runs the stage, and leaves its record or its error in ``folder``."""
    if sys.platform == "linux":  # Nothing else ends a process whose launcher is killed outright.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    module, name = job["stage"]
    stage = getattr(importlib.import_module(module), name)
    config = parse(get_type_hints(stage)["config"], job["config"])
    with contextlib.ExitStack() as quiet:
        if os.environ["RANK"] != "0":
            quiet.enter_context(contextlib.redirect_stdout(quiet.enter_context(open(os.devnull, "w"))))
        try:
            with parallel.joined():
                record = stage(config, **{name: Path(path) for name, path in job["paths"].items()})
                if parallel.is_first():
                    write_json(folder / RECORD, record)
        except SarslimError as error:
            found = {"where": error.where, "problem": error.problem, "remedy": error.remedy}
            write_json(folder / ERROR.format(rank=os.environ["RANK"]), {"kind": type(error).__name__, **found})
            sys.exit(error.exit_code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
