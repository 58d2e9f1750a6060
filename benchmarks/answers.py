"""A teacher asked once against one asked in every step: CPU seconds of an epoch of distillation, and of asking.

    python benchmarks/answers.py [--data MSTAR]

A ResNet-18, its student of 5 % of the MACs and of the parameters, chips of 64x64 (simulated ones, or a part of MSTAR as
configs/mstar.yaml reads it), batches of 32, one thread.
All take turns, round by round, so that whatever else the machine does hits all alike; ratios are made within a round,
and their median and range are told. Times are of the processor, with all that a stage does around its epoch, which a
longer training would do once. Weights are untrained: time does not depend on them. Writes results/answers.json.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.method.cells import commit, machine
from sarslim import __version__, networks
from sarslim.chips.dataset import Dataset
from sarslim.config import AskConfig, DistillConfig, PrepareConfig, PruneConfig, TeacherConfig, parse
from sarslim.config.recoveries import recovery
from sarslim.networks import artifact
from sarslim.networks.inference import folded
from sarslim.records import Epoch, TrainRecord
from sarslim.stages.ask import ask_teacher
from sarslim.stages.asking import open_answers
from sarslim.stages.distill import recover
from sarslim.stages.learn import parents_of, save_trained
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student

RESULTS = Path(__file__).parent / "results" / "answers.json"
clock = time.process_time
METHODS = {"fine-tuning": "finetune", "KD": "kd", "all terms": "all terms"}
MSTAR = 3671  # training chips
EPOCHS = 40  # of configs/mstar.yaml, for the sum of both stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=640, help="of which about half are shown in an epoch")
    parser.add_argument("--data", type=Path, help="the folder of MSTAR; left out: simulated chips")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.data, given.chips, given.views, given.rounds)
    words = [Path(word).name if given.data and word == str(given.data) else word for word in sys.argv[1:]]
    command = " ".join(["python benchmarks/answers.py", *words])
    found = {"command": command, "commit": commit(), "machine": machine(), "sarslim": __version__, **found}
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def measure(folder: Path, source: Path | None, chips: int, views: int, rounds: int) -> dict[str, Any]:
    """CPU seconds of one epoch in every way, in turns, and their ratios."""
    with _quiet():
        data = made(folder, source, chips)
    seconds: dict[str, list[float]] = {}
    size = 0
    for number in range(rounds + 1):
        for name, method in METHODS.items():
            config = recovery(method, parse(DistillConfig, {"epochs": 1, "checkpoints": ""}))
            ways = ("",) if name == "fine-tuning" else ("asked in every step", "asked once")
            for way in ways:
                answers = None
                with _quiet():
                    if way == "asked once":
                        out = folder / f"answers-{number}-{method}"
                        whole = config.model_copy(update={"epochs": EPOCHS})  # which have a use for all views
                        asked = AskConfig(views=views).filled(whole)
                        began = clock()
                        record = ask_teacher(asked, dataset=folder / "data", teacher=folder / "teacher", answers=out)
                        seconds.setdefault(f"{name}, asking, one view", []).append((clock() - began) / views)
                        size = max(size, record.bytes)
                        parents = parents_of(data, teacher=folder / "teacher")
                        answers = open_answers(out, config, data, parents)
                    student, teacher = (artifact.load(folder / kind)[0] for kind in ("pruned", "teacher"))
                    began = clock()
                    recover(student, folded(teacher), config, data, answers=answers)
                seconds.setdefault(", ".join(filter(None, (name, way))), []).append(clock() - began)
    seconds = {name: times[1:] for name, times in seconds.items()}  # the first round warms up
    twin = seconds["fine-tuning"]
    ratios = {}
    for name in list(METHODS)[1:]:
        online, once = seconds[f"{name}, asked in every step"], seconds[f"{name}, asked once"]
        asking = seconds[f"{name}, asking, one view"]
        both = [(EPOCHS * one + views * ask) / EPOCHS for one, ask in zip(once, asking, strict=True)]
        ratios[name] = {
            "asked in every step / fine-tuning": _ratio(online, twin),
            "asked once / fine-tuning": _ratio(once, twin),
            f"asking {views} views and {EPOCHS} epochs / {EPOCHS} epochs asked in every step": _ratio(both, online),
        }
    return {
        "data": source.name if source else "simulated",
        "chips_per_epoch": len(data.part("train").images), "image_size": data.record.image_size, "batch": 32,
        "views": views, "rounds": rounds, "answers_bytes": size,
        "cpu_seconds_per_epoch_median": {name: round(median(times), 3) for name, times in seconds.items()},
        "ratios": ratios,
    }  # fmt: skip


def made(folder: Path, source: Path | None, chips: int) -> Dataset:
    """Chips, an untrained teacher, and the pruned network."""
    settings: dict[str, Any] = {"image_size": 64, "val_fraction": 0.05}
    if source:
        mstar = {"format": "folder", "scaling": "linear", "source": str(source.resolve())}
        settings |= mstar | {"label_fraction": chips / MSTAR, "keep_unlabelled": False}
    else:
        settings |= {"simulator": {"chips": chips, "classes": 6}}
    prepare(parse(PrepareConfig, settings), dataset=folder / "data", card=folder / "card.html")
    data, config = Dataset.open(folder / "data"), TeacherConfig()
    torch.manual_seed(0)
    network = networks.build_for(data.record, config.network, config.stem)
    epoch = Epoch(epoch=1, learning_rate=0, losses={}, val_loss=0, val_accuracy=0, val_macro_f1=0, seconds=0)
    record = TrainRecord(
        network=config.network, epochs=(epoch,), kept_epoch=1, val_accuracy=0, val_macro_f1=0, seconds=0
    )
    save_trained(
        folder / "teacher", network.eval(), config, record, data,
        kind="teacher", network=config.network, stem=config.stem, parents=parents_of(data), pruning=None,
    )  # fmt: skip
    prune_student(
        PruneConfig(calibration_chips=64, weak_teacher="accept"), dataset=folder / "data", teacher=folder / "teacher",
        pruned=folder / "pruned", table=folder / "table.md",
    )  # fmt: skip
    return data


def _ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median, least and most of the ratios of one round each."""
    found = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": round(median(found), 3), "least": round(min(found), 3), "most": round(max(found), 3)}


def _quiet() -> contextlib.AbstractContextManager[Any]:
    return contextlib.redirect_stdout(io.StringIO())


if __name__ == "__main__":
    main()
