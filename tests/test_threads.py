"""Threads: as many as the container has processors, and none that spins while it waits."""

import os
import subprocess
import sys

THREADS = """
import os, torch
from sarslim.config import machine
from sarslim.networks import cost
from sarslim.delivery import export, session
from onnxruntime.quantization import CalibraterBase
assert CalibraterBase.create_inference_session is export._calibrating
print(machine.threads(), torch.get_num_threads(), session.options().intra_op_num_threads, os.environ["OMP_WAIT_POLICY"])
"""


def said(code: str, cores: set[int], **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_pytorch_and_onnx_runtime_take_the_threads_that_there_are():
    one = {min(os.sched_getaffinity(0))}
    assert said(THREADS, one) == "1 1 1 passive"
    asked = said(THREADS, os.sched_getaffinity(0), OMP_NUM_THREADS="1", OMP_WAIT_POLICY="active")
    assert asked == "1 1 1 active"
