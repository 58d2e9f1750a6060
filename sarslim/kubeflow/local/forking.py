"""A process that loads what stages need, once, and is forked for every task: see ``warm``.

Apart from ``warm``, and without KFP, so that it can load while its caller still does.
"""

import atexit
import contextlib
import importlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sarslim.kubeflow.local.ending import FORKING, STAGE_PROCESS, call_process

STAGE_MODULE = re.compile(r"^\s*from (sarslim\.stages\.\w+) import ", re.MULTILINE)
FIRST = "sarslim.stages.check"  # of every run
LENGTH = 8  # bytes that tell the length of a task


@contextlib.contextmanager
def started() -> Iterator[socket.socket]:
    """Such a process until the context ends, and the socket on which it takes tasks."""
    ours, theirs = socket.socketpair()
    server = subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        server.kill()  # it holds nothing, and would take seconds to forget what it has loaded
        server.wait()


def _serve(tasks: socket.socket) -> None:
    """Forks for every task until its caller goes."""
    # Signals are for the tasks and for the caller, whose end is that of this process; ended children leave nothing.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    call_process(FORKING)
    _load("kfp.dsl.executor_main", FIRST)
    while True:
        length, descriptors, *_ = socket.recv_fds(tasks, LENGTH, 2)
        if not length:
            return
        with tasks.makefile("rb", buffering=0) as stream:
            text, wanted = b"", int.from_bytes(length)
            while len(text) < wanted:
                piece = stream.read(wanted - len(text))
                if not piece:  # the caller ended in between
                    return
                text += piece
        task = json.loads(text)
        _load(*STAGE_MODULE.findall(task["code"]))
        call_process(STAGE_PROCESS)  # until it has forked: who looks for stages must not miss one that begins
        if not os.fork():
            tasks.close()
            _watch(task, *descriptors)
        call_process(FORKING)
        for descriptor in descriptors:
            os.close(descriptor)


def _load(*modules: str) -> None:
    for module in modules:
        with contextlib.suppress(Exception):  # the task itself will tell of it
            importlib.import_module(module)


def _watch(task: dict[str, Any], output: int, status: int) -> None:
    """Runs a task in one more process, and says how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        os.close(status)
        _run(task, output)
    call_process(FORKING)
    os.close(output)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # the caller was killed
        os.write(status, str(code).encode())
    os._exit(0)


def _run(task: dict[str, Any], output: int) -> None:
    """What ``python -m kfp.dsl.executor_main`` does, in this process, which ends with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    # New objects: those at hand may take for a file what is a pipe now.
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(output, number)
        raw = io.FileIO(number, "w", closefd=False)
        setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace"))
    os.close(output)
    os.environ.clear()
    os.environ.update(task["env"])
    code = 1
    try:
        os.chdir(task["cwd"])
        from kfp.dsl import executor_main

        from sarslim import networks

        networks.follow_threads()  # of this environment, not of that in which PyTorch was loaded

        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "ephemeral_component.py"
            source.write_text(task["code"], encoding="utf-8")
            sys.argv = ["executor_main", "--component_module_path", str(source), *task["arguments"]]
            executor_main.executor_main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # Not by an exception, which would unwind what this process was forked from.
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
