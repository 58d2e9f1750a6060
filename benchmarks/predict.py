"""`sarslim predict` against bare ONNX Runtime on the same arrays: time and peak resident set of whole processes.

    python benchmarks/predict.py BUNDLE --chips 10000

The chips are noise of the network's own size in one .npy file. Both processes take turns on one thread, the fastest
of the rounds counts. A tenth of the chips shows whether memory grows with their number, and what starting costs.
Prints one JSON object.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from sarslim import __version__
from sarslim.delivery.session import Session

ROUNDS = 5
THREADS = 1
PREDICT = "from sarslim.cli.app import app; app()"
BARE = """
import sys
import numpy
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
stack = numpy.load(sys.argv[2], mmap_mode="r")
for start in range(0, len(stack), 64):
    session.run(["probabilities"], {"chips": numpy.array(stack[start : start + 64])})
"""


def measured(code: str, *arguments: object) -> dict[str, float]:
    """Wall time, CPU time and peak of a Python process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"a process ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "peak_rss_mib": round(used.ru_maxrss / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--chips", type=int, default=10_000)
    given = parser.parse_args()
    model = given.bundle / "model.onnx"
    how = Session(model).preprocessing
    shape = (len(how.channels), how.image_size, how.image_size)
    found: dict[str, Any] = {
        "command": f"python benchmarks/predict.py BUNDLE --chips {given.chips}", "shape": shape, "threads": THREADS,
        "model_bytes": model.stat().st_size, "sarslim": __version__, "machine": platform.machine(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        rng, folder = np.random.default_rng(0), Path(name)
        stacks = {count: folder / f"{count}.npy" for count in (given.chips // 10, given.chips)}
        for count, file in stacks.items():
            np.save(file, rng.integers(0, 256, (count, *shape), dtype=how.dtype))
        for count, file in stacks.items():
            rounds = [
                {
                    "bare": measured(BARE, model, file, THREADS),
                    "predict": measured(
                        PREDICT, "predict", given.bundle, file, "--threads", THREADS, "--out", folder / "out.csv"
                    ),
                }
                for _ in range(ROUNDS)
            ]
            assert len((folder / "out.csv").read_text().splitlines()) == 1 + count
            found[f"{count} chips"] = {
                who: min((each[who] for each in rounds), key=lambda one: one["seconds"]) for who in rounds[0]
            }
    few, many = (found[f"{count} chips"] for count in stacks)
    for what in ("seconds", "cpu_seconds"):
        found[f"predict / bare, {what}"] = round(many["predict"][what] / many["bare"][what], 2)
        grown = [many[who][what] - few[who][what] for who in ("predict", "bare")]
        found[f"predict / bare, {what}, without starting"] = round(grown[0] / grown[1], 2)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
