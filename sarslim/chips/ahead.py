"""Chips decoded ahead in threads: decoders work outside of Python's lock, so one thread a processor has its use."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sarslim.chips.index import Chip
from sarslim.config.machine import threads

Item = TypeVar("Item")
Result = TypeVar("Result")
Done = tuple[list[Result], Exception | None]

GROUP = 8  # items that a thread takes at once: handing over costs as much as a tenth of decoding a small chip
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
    """``function(item)`` of every item in order, computed ahead; a few groups of items are in memory.

    Args:
        function: is called in threads, but in this one where there are few items or one worker.
        items: may be endless; are taken in this thread, as far ahead as results are wanted.
        size: bytes of the result of an item, where they may be many.
        workers: threads. 0: one per core that this process may use.

    Raises:
        Exception: what ``function`` or ``items`` raised, after the results of the items before.
    """
    workers = workers or threads()
    if workers == 1:
        yield from map(function, items)
        return
    groups = _groups(iter(items), size)
    first = next(groups, ([], 0))
    if len(first[0]) < GROUP:  # not worth a thread
        yield from map(function, first[0])
    else:
        groups = itertools.chain([first], groups)
    waiting: deque[tuple[Future[Done[Result]], int]] = deque()
    failed: Exception | None = None
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                try:
                    group, nbytes = next(groups)
                except StopIteration:
                    break
                except Exception as error:
                    failed = error
                    break
                while waiting and (len(waiting) > 2 * workers or nbytes + sum(one for _, one in waiting) > MOST_BYTES):
                    yield from _results(waiting.popleft()[0])
                waiting.append((pool.submit(_done, function, group), nbytes))
            while waiting:
                yield from _results(waiting.popleft()[0])
            if failed is not None:
                raise failed
        finally:  # whoever stops early waits for no more than what has begun
            for future, _ in waiting:
                future.cancel()


def _groups(items: Iterator[Item], size: Callable[[Item], int]) -> Iterator[tuple[list[Item], int]]:
    """Up to ``GROUP`` items with the bytes of their results; fewer where these are large."""
    group: list[Item] = []
    total = 0
    try:
        for item in items:
            group.append(item)
            total += size(item)
            if len(group) == GROUP or total > MOST_BYTES // GROUP:
                yield group, total
                group, total = [], 0
    except Exception as error:
        yield group, total
        raise error
    if group:
        yield group, total


def _done(function: Callable[[Item], Result], group: list[Item]) -> Done[Result]:
    found: list[Result] = []
    try:
        for item in group:
            found.append(function(item))
    except Exception as error:
        return found, error
    return found, None


def _results(future: Future[Done[Result]]) -> Iterator[Result]:
    found, error = future.result()
    yield from found
    if error is not None:
        raise error
