"""A task of a local run: forked from a process that has loaded its stage (``ours``), or a process that loads it."""

import subprocess
import sys
import time

from benchmarks.speed.turns import quiet

CODE = "from sarslim.stages.distill import distill_student\ndef task(): assert distill_student"


def measure(kind: str) -> float:
    """Seconds of a task, ``ours`` or by a new ``process``."""
    if kind == "process":
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import kfp.dsl.executor_main\n{CODE}"], check=True)
        return time.perf_counter() - began
    from kfp.local import subprocess_task_handler

    from sarslim.kubeflow.local import forking, warm

    command = ["sh", "-c", "", CODE, "--executor_input", "{}", "--function_to_execute", "task"]
    with forking.started() as tasks, warm.processes(tasks), quiet():
        subprocess_task_handler.run_local_subprocess(command)  # the first one of a run
        began = time.perf_counter()
        subprocess_task_handler.run_local_subprocess(command)
        return time.perf_counter() - began


if __name__ == "__main__":
    print(measure(sys.argv[1]))
