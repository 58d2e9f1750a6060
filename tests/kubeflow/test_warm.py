"""Local tasks that are forked: the same outputs, failures and environment as in a process of their own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from kfp import dsl, local

from sarslim.config.machine import threads
from sarslim.kubeflow.local import forking, warm


@dsl.component(base_image="python", install_kfp_package=False)
def told(how: str) -> str:
    import json
    import os
    import signal
    import sys

    loaded = sorted(name for name in ("torch", "sarslim.stages.publish") if name in sys.modules)
    from sarslim.stages.publish import publish

    assert publish
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "refused":
        print("input error: no")
        sys.exit(2)
    if how == "broken":
        raise ValueError("broken")
    return json.dumps([os.environ["TOLD"], os.getcwd(), loaded])


@dsl.component(base_image="python", install_kfp_package=False)
def recover_cell() -> int:
    import torch

    return torch.get_num_threads()


@pytest.fixture
def runner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOLD", "the environment of the moment")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "out"), enable_caching=False)
    with forking.started() as tasks, warm.processes(tasks, beside=2):
        yield


def test_a_task_finds_its_stage_loaded_and_the_environment_of_the_moment(runner, tmp_path, monkeypatch):
    for environment in ("the first", "another"):
        monkeypatch.setenv("TOLD", environment)
        assert told(how="well").output == json.dumps([environment, str(tmp_path), ["sarslim.stages.publish", "torch"]])


def test_cells_that_run_side_by_side_share_the_processors(runner, monkeypatch):
    assert recover_cell().output == max(threads() // 2, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads()))  # as asked
    assert recover_cell().output == threads()


@pytest.mark.parametrize(
    ("how", "said"), [("killed", ""), ("refused", "input error: no"), ("broken", "ValueError: broken")]
)
def test_what_fails_fails_here(runner, how, said, capfd):
    with pytest.raises(RuntimeError):
        told(how=how)
    assert said in capfd.readouterr().out
    assert "publish" in told(how="well").output  # the next one is none the worse


CALLER = """
import os, sys
from sarslim.kubeflow.local import ending, forking
with ending.sigterm_cleans_up(), forking.started():
    print("ready", flush=True)
    sys.stdin.read()
"""


# Who is killed cannot end the process that still loads; that one ends when it has loaded.
@pytest.mark.parametrize(("how", "seconds"), [(signal.SIGKILL, 30), (signal.SIGTERM, 0.2)])
def test_nothing_is_left_where_the_caller_is_ended(how, seconds):
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert caller.stdout.readline() == "ready\n"
    os.kill(caller.pid, how)
    caller.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(caller.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process of the group is alive")
