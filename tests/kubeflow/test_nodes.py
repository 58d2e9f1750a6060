"""Stages out of Argo's nodes, as a real KFP listed them."""

import pytest
from kfp_server import answered

import pipeline
from sarslim.config.cluster import ClusterConfig
from sarslim.kubeflow.cluster import nodes
from sarslim.kubeflow.cluster.nodes import State


def look(name: str, spec: dict | None = None) -> nodes.Look:
    run = answered(name)
    return nodes.read(run, spec or run.get("pipeline_spec", {}).get("pipeline_spec", {}))


def test_an_id_is_made_as_argo_makes_it():
    """The number at the end of a pod of a real run, and the full name of its node."""
    name = "compress-kxfzh(0).root(0).exit-handler-1(0).check-inputs(0).executor(0)"
    assert nodes.node_id("compress-kxfzh", name) == "compress-kxfzh-1972145600"


def test_a_run_has_the_stages_that_ran_in_their_order_with_their_times():
    found = look("run_over_time_6")
    assert [(stage.task, stage.state, round(stage.seconds)) for stage in found.stages] == [
        ("check-inputs", State.DONE, 22),
        ("prepare-data", State.CACHED, 0),
        ("train-teacher", State.DONE, 240),
        ("prune-student", State.DONE, 21),
        ("distill-student", State.DONE, 88),
        ("evaluate-student", State.DONE, 64),
        ("publish-bundle", State.DONE, 10),
        ("report-outcome", State.DONE, 10),
    ]
    assert (found.workflow, found.pipeline, found.root) == ("compress-kxfzh", "compress", "s3://sarslim/pipelines")
    assert (found.finished - found.created).total_seconds() == 568


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run_over_time_0", []),
        ("run_over_time_2", []),
        ("run_over_time_3", [("check-inputs", State.PENDING)]),
        (
            "run_over_time_4",
            [("check-inputs", State.DONE), ("prepare-data", State.CACHED), ("train-teacher", State.DONE),
             ("prune-student", State.DONE), ("distill-student", State.STARTING)],
        ),
        ("run_without_service_account", []),
    ],
)  # fmt: skip
def test_a_look_in_between_tells_what_has_begun(name, expected):
    found = {(stage.task, stage.state) for stage in look(name).stages}
    assert set(expected) <= found
    if not expected:
        assert not found


def test_stages_of_the_pipeline_that_have_not_begun_wait_under_the_names_of_the_ui():
    spec = pipeline.build("compress", ClusterConfig()).pipeline_spec
    from google.protobuf import json_format

    found = look("run_over_time_4", json_format.MessageToDict(spec))
    assert [(stage.title, stage.state) for stage in found.stages if stage.state is State.WAITING] == [
        ("Ask teacher", State.WAITING),  # younger than the recording
        ("Evaluate", State.WAITING),
        ("Publish", State.WAITING),
    ]
    assert [stage.title for stage in found.stages][:3] == ["Check inputs", "Prepare chips", "Train teacher"]


def test_a_clone_shows_what_came_from_the_cache_and_what_was_tried_twice():
    found = {stage.task: stage for stage in look("run_cloned_in_ui").stages}
    cached = {task for task, stage in found.items() if stage.state is State.CACHED}
    assert cached == {"prepare-data", "train-teacher", "prune-student"}
    numbers = [nodes.node_id("compress-mhfcp", node) for node in found["evaluate-student"].attempts]
    assert numbers == ["compress-mhfcp-1483543764", "compress-mhfcp-879402385"]


def test_cells_of_a_sweep_are_told_apart_by_the_names_of_their_nodes():
    found = look("run_sweep_succeeded")
    assert found.cells == 4
    pods = {
        (stage.task, stage.cell): nodes.node_id(found.workflow, stage.attempts[0]).rpartition("-")[2]
        for stage in found.stages
        if stage.task == "prune-student"
    }
    assert pods == {
        ("prune-student", 0): "2414693894", ("prune-student", 1): "971939314",
        ("prune-student", 2): "1412254070", ("prune-student", 3): "161210602",
    }  # fmt: skip
    # The list stood still while two cells were running; the run itself succeeded.
    assert {stage.state for stage in found.stages} == {State.DONE}


def test_failures_are_told_apart():
    driver = {stage.task: stage for stage in look("run_failed_driver").stages}
    assert driver["distill-student"].state is State.FAILED
    assert driver["distill-student"].attempts == ()
    assert len(driver["distill-student"].drivers) == 1
    assert driver["evaluate-student"].state is State.NOT_RUN
    refused = {stage.task: stage.state for stage in look("run_refused_by_check").stages}
    assert refused["check-inputs"] is State.FAILED
    assert refused["train-teacher"] is State.NOT_RUN
    nothing = look("run_without_service_account")
    assert (nothing.state, len(nothing.drivers)) == ("FAILED", 9)


@pytest.mark.parametrize("name", ["run_canceling", "run_terminated"])
def test_a_stage_that_a_person_stopped_has_not_failed(name):
    found = look(name)
    assert found.terminated
    assert found.failed == []
    assert {stage.task: stage.state for stage in found.stages}["train-teacher"] is State.STOPPED


def test_an_empty_run_is_no_reason_to_stop():
    found = nodes.read({"run_id": "a", "run_details": {"task_details": [{"execution_id": "3"}]}}, {})
    assert (found.state, found.stages, found.cells) == ("PENDING", (), 0)
