"""Latencies: jobs take turns, and a figure says whether the machine disturbed it."""

import types

import pytest
import torch
from torch import nn

from sarslim.networks import timing


@pytest.fixture
def clock(monkeypatch):
    """A clock that only runs advance, in seconds."""
    now = [0.0]
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def job(clock, milliseconds, order=None, name=""):
    """A job whose runs take these times, one after another and again from the first."""
    taken = [0]

    def run():
        clock[0] += milliseconds[taken[0] % len(milliseconds)] / 1000
        taken[0] += 1
        if order is not None:
            order.append(name)

    return timing.Job(run, batch=1, threads=1)


def test_jobs_take_turns_after_a_warm_up(clock):
    order = []
    jobs = {name: job(clock, [each], order, name) for name, each in (("a", 1), ("b", 20))}
    found = timing.in_turns(jobs, seconds=0.05)
    assert [name for name, before in zip(order, [None, *order], strict=False) if name != before] == ["a", "b"] * 5
    assert order.index("b") == timing.WARM_UP_RUNS + 10  # a turn of 10 ms
    assert (found["a"].median_ms, found["b"].median_ms) == (pytest.approx(1), pytest.approx(20))
    assert (found["a"].runs, found["b"].runs) == (50, 5)


@pytest.mark.parametrize(
    ("turns", "disturbed"), [((10, 10, 10, 10, 10), False), ((10, 10, 40, 10, 10), False), ((10, 12, 10, 40, 10), True)]
)
def test_turns_that_were_slow_do_not_move_the_figure_but_mark_it(clock, turns, disturbed):
    warm = [10] * (timing.WARM_UP_RUNS - 1)
    found = timing.in_turns({"": job(clock, [*warm, *(ms for ms in turns for _ in "wr")])}, seconds=0)[""]
    assert (found.median_ms, found.disturbed) == (pytest.approx(10), disturbed)
    assert found.p95_ms > found.median_ms if max(turns) > 10 else found.p95_ms == pytest.approx(10)


def test_a_module_is_timed_as_a_copy_with_the_threads_asked_for():
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.said = []
            self.weight = nn.Parameter(torch.zeros(1))

        def __deepcopy__(self, memo):
            return self

        def forward(self, images):
            self.said.append((tuple(images.shape), torch.get_num_threads(), self.training))
            return images

    network = Slow()
    torch.set_num_threads(1)
    latency = timing.in_turns({"": timing.of_module(network, (1, 2, 2), batch=4, threads=2)}, seconds=0)[""]
    assert torch.get_num_threads() == 1
    assert network.training
    assert (latency.batch, latency.threads, latency.runs) == (4, 2, 5)
    assert network.said == [((4, 1, 2, 2), 2, False)] * (timing.WARM_UP_RUNS + 4 + 5)
    assert 0 < latency.p05_ms <= latency.median_ms <= latency.p95_ms
