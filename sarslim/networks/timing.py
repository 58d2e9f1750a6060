"""How long networks take: all that are compared take turns, so that a slow minute of the machine hits all alike."""

import copy
import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn

from sarslim.networks.cost import inference
from sarslim.records import Latency

TURNS = 5
WARM_UP_RUNS = 3  # before the first turn; one before each further turn
# A figure is marked where the medians of so many turns lie further from it than this share.
DISTURBED_TURNS, DISTURBED_SHARE = 2, 0.1

Key = TypeVar("Key", bound=Hashable)


class Job(NamedTuple):
    """Something to time: ``run`` takes so many chips and threads, inside of what ``ready`` makes for a turn."""

    run: Callable[[], Any]
    batch: int
    threads: int
    ready: Callable[[], AbstractContextManager[Any]] = nullcontext


def in_turns(jobs: Mapping[Key, Job], *, seconds: float, min_runs: int = 5) -> dict[Key, Latency]:
    """Wall time of every job: A B C, A B C, ..., ``TURNS`` times, after a warm-up.

    Args:
        seconds: for each job, over all turns; a turn ends with the run in which its time is over.
        min_runs: of each job, whatever they take.
    """
    turns: dict[Key, list[list[float]]] = {key: [] for key in jobs}
    for turn in range(TURNS):
        for key, job in jobs.items():
            with job.ready():
                for _ in range(1 if turn else WARM_UP_RUNS):
                    job.run()
                turns[key].append(_turn(job.run, seconds / TURNS, math.ceil(min_runs / TURNS)))
    return {key: _latency(job, turns[key]) for key, job in jobs.items()}


def of_module(network: nn.Module, input_shape: tuple[int, ...], *, batch: int = 1, threads: int = 1) -> Job:
    """A forward pass of a copy of ``network`` on this CPU.

    Args:
        input_shape: shape of one chip (C, H, W).
        batch: chips per pass.
        threads: CPU threads of the operators; between turns there are as many as before.
    """
    copied = copy.deepcopy(network).cpu()
    images = torch.rand(batch, *input_shape) * 255

    @contextmanager
    def ready() -> Iterator[None]:
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(threads)
            with inference(copied), torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)

    return Job(lambda: copied(images), batch, threads, ready)


def _turn(run: Callable[[], Any], seconds: float, least: int) -> list[float]:
    """Milliseconds of every run."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return times


def _latency(job: Job, turns: list[list[float]]) -> Latency:
    # The median of turns: two slow ones of five do not move it, however many runs the fast ones held.
    medians = [float(np.median(times)) for times in turns]
    middle = float(np.median(medians))
    p05, p95 = np.percentile(np.concatenate(turns), (5, 95)).tolist()
    return Latency(
        batch=job.batch,
        threads=job.threads,
        runs=sum(map(len, turns)),
        median_ms=middle,
        p05_ms=min(p05, middle),
        p95_ms=max(p95, middle),
        disturbed=sum(abs(median / middle - 1) > DISTURBED_SHARE for median in medians) >= DISTURBED_TURNS,
    )
