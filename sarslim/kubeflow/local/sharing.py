"""Cells of a plan that run side by side on this machine, each with its share of the processors.

A small network gains little from a second thread: two cells on a thread each are nearly twice as fast.
"""

from collections.abc import Sequence
from typing import Any

from sarslim.config import RunConfig
from sarslim.config.machine import cores, memory_bytes, threads
from sarslim.kubeflow.tasks import LOOPS, TASKS

FUNCTION = "--function_to_execute"
CELLS = {task.replace("-", "_") for task, stage in TASKS.items() if stage in LOOPS.values()}
MOST = 2  # that KFP's local runner takes
BYTES = 2 * 2**30  # that a cell may take: training a ResNet-18 on 100,000 chips takes 1.2


def side_by_side(config: RunConfig) -> int:
    """How many cells this machine can run at a time; one alone where it is to be told how fast a network is."""
    if config.prune.latency:
        return 1
    return max(1, min(MOST, cores(), memory_bytes() // BYTES))


def take_cells(dag: Any, count: int) -> None:
    """Has KFP's local runner run so many cells of a pipeline at a time."""
    spec = dag.pipeline_spec
    for part in (spec.root, *spec.components.values()):
        for task in part.dag.tasks.values():
            if task.WhichOneof("iterator"):
                task.iterator_policy.parallelism_limit = count


def environment(command: Sequence[str], beside: int) -> dict[str, str]:
    """What a task finds in its environment beyond what all find there.

    Args:
        command: of the task, as KFP makes it.
        beside: how many cells run at a time.
    """
    if command[command.index(FUNCTION) + 1] not in CELLS:
        return {}
    return {"OMP_NUM_THREADS": str(max(threads() // beside, 1))}
