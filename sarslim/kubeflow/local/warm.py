"""Local tasks in processes that are forked from one that has loaded what stages need.

Loading PyTorch and its company takes several seconds of a processor, which is longer than many a stage of a sweep. The
process that forks has run nothing: it holds modules, and neither threads of its own nor anything of a GPU.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator

from kfp.local import subprocess_task_handler

from sarslim.kubeflow.local import run_log, sharing
from sarslim.kubeflow.local.forking import LENGTH

INPUT = "--executor_input"


@contextlib.contextmanager
def processes(tasks: socket.socket, beside: int = 1) -> Iterator[None]:
    """Inside, tasks of KFP's SubprocessRunner start without loading anything that one before them has loaded.

    Args:
        tasks: where ``forking.started`` takes them.
        beside: how many cells of a plan run at a time.
    """
    before, lock = subprocess_task_handler.run_local_subprocess, threading.Lock()

    def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        code, arguments = _task(full_command)
        env = sharing.environment(arguments, beside) | os.environ | (env_vars or {})
        task = {"code": code, "arguments": arguments, "cwd": os.getcwd(), "env": env}
        output, output_end = os.pipe()
        status, status_end = os.pipe()
        with lock:  # KFP runs two at a time
            text = json.dumps(task).encode()
            socket.send_fds(tasks, [len(text).to_bytes(LENGTH)], [output_end, status_end])
            tasks.sendall(text)
        os.close(output_end)
        os.close(status_end)
        with open(output, encoding="utf-8", errors="replace") as lines, open(status, encoding="utf-8") as ended:
            for line in lines:
                run_log.say(line.removesuffix("\n"))
            return int(ended.read() or 1)  # nothing: it was killed

    subprocess_task_handler.run_local_subprocess = run
    try:
        yield
    finally:
        subprocess_task_handler.run_local_subprocess = before


def _task(full_command: list[str]) -> tuple[str, list[str]]:
    """The source of a component and its arguments, from the shell command that KFP makes of them."""
    arguments = full_command[full_command.index(INPUT) :]
    return full_command[full_command.index(INPUT) - 1], arguments
