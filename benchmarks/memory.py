"""Peak resident set of preparing and training on many simulated chips.

    python benchmarks/memory.py --chips 100000

Each stage runs in a process of its own, so that its peak is its own. Prints one JSON object.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import tempfile
import time
from pathlib import Path

from sarslim import __version__
from sarslim.config import PrepareConfig, TeacherConfig, parse
from sarslim.records import Record


def prepare(folder: Path, chips: int) -> Record:
    from sarslim.stages.prepare import prepare

    config = parse(PrepareConfig, {"image_size": 64, "simulator": {"chips": chips}})
    return prepare(config, dataset=folder / "dataset", card=folder / "card.html")


def teacher(folder: Path, chips: int) -> Record:
    from sarslim.stages.teacher import train_teacher

    config = parse(TeacherConfig, {"network": "shufflenet_v2_x0_5", "epochs": 1, "checkpoints": ""})
    return train_teacher(config, dataset=folder / "dataset", teacher=folder / "teacher")


def measured(stage, folder: Path, chips: int, answer) -> None:
    start = time.monotonic()
    stage(folder, chips)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer.put({"seconds": round(time.monotonic() - start, 1), "peak_rss_mib": round(peak_mib)})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--chips", type=int, default=100_000)
    chips = arguments.parse_args().chips
    processes = multiprocessing.get_context("spawn")
    found = {"chips": chips, "image_size": 64, "sarslim": __version__, "machine": platform.machine()}
    with tempfile.TemporaryDirectory() as folder:
        for stage in (prepare, teacher):
            answer = processes.Queue()
            process = processes.Process(target=measured, args=(stage, Path(folder), chips, answer))
            process.start()
            process.join()
            found[stage.__name__] = answer.get(timeout=10)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
