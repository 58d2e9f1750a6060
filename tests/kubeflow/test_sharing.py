"""How cells that run side by side on this machine share its processors."""

import pytest

import pipeline
from components.cell import recover_cell, rival_cell
from sarslim.config import RunConfig
from sarslim.kubeflow.local import sharing


@pytest.mark.parametrize(
    ("cores", "gib", "cells"), [(1, 64, 1), (2, 64, 2), (64, 64, 2), (64, 3, 1), (64, 1, 1), (4, 4, 2)]
)
def test_as_many_cells_as_there_is_room_for(cores, gib, cells, monkeypatch):
    monkeypatch.setattr(sharing, "cores", lambda: cores)
    monkeypatch.setattr(sharing, "memory_bytes", lambda: gib * 2**30)
    assert sharing.side_by_side(RunConfig()) == cells
    assert sharing.side_by_side(RunConfig.model_validate({"prune": {"latency": "50%"}})) == 1


@pytest.mark.parametrize(("name", "loops"), [("sweep", 1), ("baselines", 2), ("compress", 0)])
def test_every_loop_is_told(name, loops):
    dag = pipeline.build(name)
    for count in (1, 2):
        sharing.take_cells(dag, count)
        tasks = dag.pipeline_spec.root.dag.tasks.values()
        found = [task.iterator_policy.parallelism_limit for task in tasks if task.WhichOneof("iterator")]
        assert found == [count] * loops


@pytest.mark.parametrize("cell", [recover_cell, rival_cell])
def test_a_cell_takes_its_share(cell, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    container = cell.component_spec.implementation.container
    command = [*container.command, *container.args]
    assert [sharing.environment(command, beside)["OMP_NUM_THREADS"] for beside in (1, 2, 9)] == ["6", "3", "1"]


def test_other_tasks_take_all():
    assert sharing.environment([sharing.FUNCTION, "train_teacher"], 2) == {}
