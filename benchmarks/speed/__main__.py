"""The command line of the benchmark, and its page."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import benchmarks.speed as speed
from benchmarks.answers import made
from benchmarks.method.cells import commit, machine
from benchmarks.speed.answering import write_bundle, write_chips
from benchmarks.speed.turns import in_turn

RESULTS = Path(__file__).parents[1] / "results"
PAGE = Path(__file__).parents[1] / "SPEED.md"
FILES = {"cpu": RESULTS / "speed.json", "cuda": RESULTS / "speed.cuda.json"}
END = "<!-- end of table -->"
SIDE, CHIPS, CLASSES = 32, 512, 4
GPU_SIDE, GPU_CHIPS = 64, 4096

Rounds = list[dict[str, float]]
"""Seconds by kind."""
Works = Mapping[str, tuple[Sequence[str], Sequence[object]]]
"""The kinds and the arguments of each module that works."""


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks.speed", description=speed.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chips", type=int, default=10_000, help="that are recognised, or copied")
    parser.add_argument("--device", choices=list(FILES), default="cpu", help="cuda: training alone, on a GPU")
    given = parser.parse_args()
    before, found = os.getloadavg()[0], defaultdict[str, Rounds](list)
    with tempfile.TemporaryDirectory() as folder:
        works = of_gpu(Path(folder)) if given.device == "cuda" else of_cpu(Path(folder), given.chips)
        for _ in range(given.rounds):
            for work, (kinds, arguments) in works.items():
                found[work].append(in_turn(work, kinds, *arguments))
            # After every round, as a machine may be gone before the last.
            publish(found, given.device, given.chips, f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def publish(found: Mapping[str, Rounds], device: str, chips: int, load: str) -> None:
    """Writes what was measured, and the table of this device in the page."""
    cores = f"{len(os.sched_getaffinity(0))} cores"
    page = {
        "command": " ".join(["python -m benchmarks.speed", *sys.argv[1:]]),
        "commit": commit(),
        "machine": f"{machine().replace('one core', cores)}, PyTorch {torch.__version__}",
        "load": load,
        "figures": figures_of_gpu(found) if device == "cuda" else figures(found, chips),
        "seconds": found,
    }
    FILES[device].write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")
    head, start, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- table of {device} -->\n")
    PAGE.write_text(f"{head}{start}{table(page)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(table(page), flush=True)


def of_gpu(folder: Path) -> Works:
    """Training alone; what is distilled is written into ``folder``."""
    made(folder, None, GPU_CHIPS)
    return {
        "training": (("ours", "stepwise", "bare", "compiled", "timm"), (GPU_SIDE, GPU_CHIPS, CLASSES, "cuda")),
        "distilling": (("ours", "stepwise", "once", "twin", "torchdistill"), (folder, "cuda")),
    }


def of_cpu(folder: Path, chips: int) -> Works:
    """Everything; what is distilled, and what is recognised, is written into ``folder``."""
    bundle, files, taught = folder / "bundle", folder / "chips", folder / "taught"
    made(taught, None, CHIPS)
    write_bundle(bundle)
    write_chips(files, chips)
    return {
        "training": (("ours", "unaveraged", "bare", "loader", "timm"), (SIDE, CHIPS, CLASSES)),
        "waiting": (("ours", "spinning"), (SIDE, CHIPS // 8, CLASSES)),
        "distilling": (("ours", "once", "torchdistill"), (taught,)),
        "pruning": (("ours", "torch-pruning"), ()),
        "answering": (("ours", "decoding", "inference"), (bundle, files)),
        "copying": (("ours", "rclone"), (chips,)),
        "starting": (("ours", "process"), ()),
    }


def figures_of_gpu(found: Mapping[str, Rounds]) -> list[dict[str, Any]]:
    """The rows of the table of a GPU."""
    row = partial(against, found)
    return [
        row("an epoch of `fit` / a bare PyTorch loop over chips on the GPU", "1.11", "training", "ours", "bare"),
        row("an epoch of `fit` / the same bare loop, compiled", "1.11", "training", "ours", "compiled"),
        row("an epoch of `fit` / timm's loader and loop, from PNG files", "1", "training", "ours", "timm"),
        row("an epoch of `fit` / the same, its step not recorded", "1", "training", "ours", "stepwise"),
        row("an epoch of KD, asked in every step / torchdistill's", "1", "distilling", "ours", "torchdistill"),
        row("an epoch of KD, asked in every step / its step not recorded", "1", "distilling", "ours", "stepwise"),
        row("an epoch of KD, asked in every step / fine-tuning", "", "distilling", "ours", "twin"),
        row("an epoch of KD, asked once / asked in every step", "", "distilling", "once", "ours"),
    ]


def figures(found: Mapping[str, Rounds], chips: int) -> list[dict[str, Any]]:
    """The rows of the table."""
    row = partial(against, found)
    predict = f"`predict` of {chips:,} JPEG"
    larger = [one["ours"] / max(one["decoding"], one["inference"]) for one in found["answering"]]
    return [
        row("an epoch of `fit` / a bare PyTorch loop", "1.05", "training", "ours", "bare"),
        row(
            "the same without an average of the weights / a bare PyTorch loop", "1.05", "training", "unaveraged", "bare"
        ),
        row("an epoch of `fit` / a loop over a `DataLoader`", "1", "training", "ours", "loader"),
        row("an epoch of `fit` / timm's loader and loop, from PNG files", "1", "training", "ours", "timm"),
        row("an epoch of KD, asked in every step / torchdistill's", "1", "distilling", "ours", "torchdistill"),
        row("an epoch of KD, asked once / torchdistill's", "below 1", "distilling", "once", "torchdistill"),
        row("pruning to 5 % of the MACs / torch-pruning's loop", "1", "pruning", "ours", "torch-pruning"),
        row("training beside a busy process / with threads that spin", "below 1", "waiting", "ours", "spinning"),
        row(
            f"{predict} / decoding and inference, one after the other",
            "1.2",
            "answering",
            "ours",
            "decoding",
            "inference",
        ),
        figure(f"{predict} / the larger of decoding and inference alone", "1.2", larger),
        row(f"upload of {chips:,} chips / `rclone copy`", "1", "copying", "ours", "rclone"),
        row("a further local task / a process that loads its stage", "below 1", "starting", "ours", "process"),
    ]


def against(found: Mapping[str, Rounds], name: str, goal: str, work: str, ours: str, *peers: str) -> dict[str, Any]:
    """A row for ours over its peers, one after the other, in a kind of work."""
    return figure(name, goal, [one[ours] / sum(one[peer] for peer in peers) for one in found[work]])


def figure(name: str, goal: str, ratios: Sequence[float]) -> dict[str, Any]:
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    return {"figure": name, "ratio": round(middle, 3), "least": round(low, 3), "most": round(high, 3), "goal": goal}


def table(page: dict[str, Any]) -> str:
    lines = ["| ours / its peer, in time | median | least to most | goal |", "|---|---|---|---|"]
    lines += [
        f"| {row['figure']} | {row['ratio']:.2f} | {row['least']:.2f} to {row['most']:.2f} | {row['goal']} |"
        for row in page["figures"]
    ]
    made = f"Made by `{page['command']}` ({page['commit']}, {page['machine']}, {page['load']})."
    return "\n".join([*lines, "", made])


if __name__ == "__main__":
    main()
