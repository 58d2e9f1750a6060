"""Work done ahead in threads gives what a loop would, in its order, and no more of it at a time than it may."""

import threading
import time
from itertools import count, islice

import pytest

from sarslim.chips import ahead


def double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 7, 8, 9, 1000])
def test_results_come_in_order(workers, items):
    assert list(ahead.in_order(double, range(items), workers=workers)) == [2 * number for number in range(items)]


def test_threads_share_the_work():
    both = threading.Barrier(2, timeout=30)

    def meet(number: int) -> int:
        if number in (0, 8):  # the first of two groups
            both.wait()
        return number

    assert list(ahead.in_order(meet, range(16), workers=2)) == list(range(16))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("bad", [0, 5, 8, 30, 99])
def test_an_error_comes_after_what_was_before_it(workers, bad):
    def fail(number: int) -> int:
        if number == bad:
            raise ValueError("broken")
        return number

    def items():
        yield from range(bad)
        raise ValueError("no more")

    for function, given, said in ((fail, range(100), "broken"), (double, items(), "no more")):
        results = ahead.in_order(function, given, workers=workers)
        assert len(list(islice(results, bad))) == bad
        with pytest.raises(ValueError, match=said):
            next(results)


@pytest.mark.parametrize("workers", [1, 4])
def test_little_is_taken_ahead_of_an_endless_source(workers):
    taken = count()
    results = ahead.in_order(double, (next(taken) for _ in count()), workers=workers)
    assert list(islice(results, 20)) == list(range(0, 40, 2))
    results.close()
    assert next(taken) <= 20 + (workers + 2) * ahead.GROUP


def test_answers_do_not_wait_for_a_source_that_is_slow():
    done, taken = [], []

    def camera():
        for number in count():
            while len(done) < number // ahead.GROUP * ahead.GROUP:  # what was taken before is worked on meanwhile
                time.sleep(0.01)
            taken.append(number)
            yield number

    results = ahead.in_order(lambda number: done.append(number), camera(), workers=2)
    next(results)
    results.close()
    assert len(taken) <= 3 * ahead.GROUP  # of four that may be ahead


@pytest.mark.parametrize("workers", [1, 3])
def test_a_group_is_answered_together_by_one_thread(workers):
    def look(number: int) -> tuple[int, int]:
        return number, threading.get_ident()

    def answer(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
        assert {thread for _, thread in found} == {threading.get_ident()}
        return [(number, len(found)) for number, _ in found]

    answers = ahead.in_groups(look, answer, range(21), group=8, workers=workers)
    assert list(answers) == [(number, 8 if number < 16 else 5) for number in range(21)]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_before_an_error_is_answered_together(workers):
    def fail(number: int) -> int:
        if number == 10:
            raise ValueError("broken")
        return number

    answers = ahead.in_groups(fail, lambda some: [(number, len(some)) for number in some], range(21), group=8,
                              workers=workers)  # fmt: skip
    assert list(islice(answers, 10)) == [(number, 8) for number in range(8)] + [(8, 2), (9, 2)]
    with pytest.raises(ValueError, match="broken"):
        next(answers)

    def refuse(some: list[int]) -> list[int]:
        if 10 in some:
            raise ValueError("no answer")
        return some

    answers = ahead.in_groups(lambda number: number, refuse, range(21), group=8, workers=workers)
    assert list(islice(answers, 8)) == list(range(8))
    with pytest.raises(ValueError, match="no answer"):
        next(answers)


def test_large_results_are_held_one_at_a_time():
    alive, most = set(), [0]

    def make(number: int) -> int:
        alive.add(number)
        most[0] = max(most[0], len(alive))
        return number

    for number in ahead.in_order(make, range(50), size=lambda _: ahead.MOST_BYTES, workers=4):
        alive.discard(number)
    assert most[0] <= 2
