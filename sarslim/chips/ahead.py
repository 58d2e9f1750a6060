"""Chips decoded ahead in threads: decoders work outside of Python's lock, so one thread a processor has its use."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sarslim.chips.index import Chip
from sarslim.config.machine import threads

Item = TypeVar("Item")
Result = TypeVar("Result")
Answer = TypeVar("Answer")
Done = tuple[list[Answer], Exception | None]

GROUP = 8  # images that a thread takes at once: handing over costs as much as a tenth of decoding a small chip
MOST_BYTES = 2**26  # of what is held ahead, but for one item, however large


def float32(chip: Chip) -> int:
    """Bytes of the amplitudes of a chip."""
    return 4 * chip.height * chip.width * len(chip.bands)


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    size: Callable[[Item], int] = lambda item: 0,
    workers: int = 0,
) -> Generator[Result]:
    """``function(item)`` of every item in order, computed ahead; as :func:`in_groups`, a few items at once."""
    return in_groups(function, lambda found: found, items, group=GROUP, size=size, workers=workers)


def in_groups(
    function: Callable[[Item], Result],
    together: Callable[[list[Result]], Iterable[Answer]],
    items: Iterable[Item],
    *,
    group: int,
    size: Callable[[Item], int] = lambda item: 0,
    workers: int = 0,
) -> Generator[Answer]:
    """``together`` of ``function(item)`` of a group of items, group after group in order, computed ahead.

    A few groups are in memory, and a group is one thread's from its first item to its answers.

    Args:
        function: is called in threads, but in this one where there are few items or one worker.
        together: what is made of all results of a group.
        items: may be endless; are taken in this thread, as far ahead as answers are wanted.
        group: items at most; fewer where they are large, or at the end.
        size: bytes that an item holds or its result will, where they may be many.
        workers: threads. 0: one per core that this process may use.

    Raises:
        Exception: what ``function`` or ``items`` raised, after the answers to the items before.
    """
    workers = workers or threads()
    groups = _groups(iter(items), group, size)
    work = partial(_done, function, together)
    if workers == 1:
        for some, _ in groups:
            yield from _told(work(some))
        return
    first = next(groups, ([], 0))
    if len(first[0]) < group:  # not worth a thread
        yield from _told(work(first[0]))
    else:
        groups = itertools.chain([first], groups)
    waiting: deque[tuple[Future[Done[Answer]], int]] = deque()
    failed: Exception | None = None
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while waiting and waiting[0][0].done():  # items may come slowly
                    yield from _told(waiting.popleft()[0].result())
                try:
                    some, nbytes = next(groups)
                except StopIteration:
                    break
                except Exception as error:
                    failed = error
                    break
                while waiting and (len(waiting) > workers or nbytes + sum(one for _, one in waiting) > MOST_BYTES):
                    yield from _told(waiting.popleft()[0].result())
                waiting.append((pool.submit(work, some), nbytes))
            while waiting:
                yield from _told(waiting.popleft()[0].result())
            if failed is not None:
                raise failed
        finally:  # whoever stops early waits for no more than what has begun
            for future, _ in waiting:
                future.cancel()


def _groups(items: Iterator[Item], most: int, size: Callable[[Item], int]) -> Iterator[tuple[list[Item], int]]:
    """Up to ``most`` items with the bytes of their results; fewer where these are large."""
    group: list[Item] = []
    total = 0
    try:
        for item in items:
            group.append(item)
            total += size(item)
            if len(group) == most or total > MOST_BYTES // GROUP:
                yield group, total
                group, total = [], 0
    except Exception as error:
        yield group, total
        raise error
    if group:
        yield group, total


def _done(
    function: Callable[[Item], Result], together: Callable[[list[Result]], Iterable[Answer]], group: list[Item]
) -> Done[Answer]:
    found: list[Result] = []
    failed: Exception | None = None
    try:
        for item in group:
            found.append(function(item))
    except Exception as error:
        failed = error
    try:
        return list(together(found)) if found else [], failed
    except Exception as error:
        return [], error


def _told(done: Done[Answer]) -> Iterator[Answer]:
    answers, error = done
    yield from answers
    if error is not None:
        raise error
