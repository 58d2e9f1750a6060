"""What this machine can give: threads and memory, the upper bounds of numbers that cost either."""

import os
import resource
from pathlib import Path

from sarslim.errors import InputError

# Where a container is told how much it may take, in cgroups of version 2 and 1.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def cores() -> int:
    """Logical processors."""
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory that a process here can have at most: that of the machine, or what its container or ``ulimit`` leaves."""
    bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in LIMITS:
        text = file.read_text().strip() if file.is_file() else ""
        bounds += [int(text)] if text.isdigit() else []
    ulimit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min([*bounds, *([ulimit] if ulimit != resource.RLIM_INFINITY else [])])


def require_threads(where: str, threads: int) -> None:
    """
    Raises:
        InputError: more threads than processors, which would be slower and, with many more, end the machine.
    """
    if threads < 0:
        raise InputError(where, f"{threads} is no number of threads", "Set it to 0 for one per processor")
    if threads > cores():
        raise InputError(
            where, f"{threads} is more than the {cores()} processors of this machine", f"Set it to {cores()} or less"
        )


def require_memory(where: str, number: int, one: float, *, fixed: float = 0, have: int | None = None) -> None:
    """Refuses a number of which each costs ``one`` bytes, beside ``fixed`` bytes for all.

    Args:
        have: bytes there are; None: those of this machine.

    Raises:
        InputError: not even all the memory would do; the remedy names the largest number that could.
    """
    have = memory_bytes() if have is None else have
    need = fixed + number * one
    if need > have:
        most = max(int((have - fixed) / one), 0) if one else 0
        remedy = f"Set it to {most} or less, well below that beside other work" if most else "Use a larger machine"
        raise InputError(where, f"{number} needs {_size(need)} of memory, and there are {_size(have)}", remedy)


def _size(number: float) -> str:
    return f"{number / 2**30:.3g} GiB"
