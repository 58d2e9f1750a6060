"""What this process can have: threads and memory, the upper bounds of numbers that cost either."""

import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from sarslim.errors import InputError

# Where a container is told how much it may take, in cgroups of version 2 and 1, and in which groups a process is.
CGROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
SIBLINGS = "/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"


def cores() -> int:
    """Processors that this process may use: those of its affinity, and no more than the quota of its container.

    Part of one counts as one. joblib and loky count alike, and would be one more package at run time.
    """
    return max(1, min([len(_affinity()), *map(math.ceil, _cpu_quotas())]))


def threads() -> int:
    """Threads that compute: OMP_NUM_THREADS where it is set, else one for each of ``cores``.

    The two halves of a core that runs two threads count as one, as PyTorch and ONNX Runtime count them.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdigit() and int(asked):
        return int(asked)
    whole = {_text(Path(SIBLINGS.format(number=number))) or str(number) for number in _affinity()}
    return min(cores(), len(whole))


def memory_bytes() -> int:
    """Memory that a process here can have at most: that of the machine, or what its container or ``ulimit`` leaves."""
    bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits = [*_limits("", "memory.max"), *_limits("memory", "memory.limit_in_bytes")]
    bounds += [int(text) for (text,) in limits if text.isdigit()]
    ulimit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min([*bounds, *([ulimit] if ulimit != resource.RLIM_INFINITY else [])])


def _affinity() -> set[int]:
    # Not on macOS.
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cpu_quotas() -> Iterator[float]:
    """Processors that each group of this process may use, where it has a quota."""
    limits = [text.split() for (text,) in _limits("", "cpu.max")]
    limits += list(_limits("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us"))
    for quota, period in limits:
        if quota.isdigit():  # neither max nor -1
            yield int(quota) / int(period)


def _limits(controller: str, *names: str) -> Iterator[list[str]]:
    """What files of these names say in the groups of this process, from its own to the root.

    Args:
        controller: of version 1, such as ``cpu``; empty: version 2.
    """
    for line in _text(OWN_GROUPS).splitlines():
        _, controllers, group = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        root = next((CGROUPS / name for name in (controllers, controller) if (CGROUPS / name).is_dir()), CGROUPS)
        own = Path(group.lstrip("/"))
        # A container may see only its own group, as the root, under a name that it has outside.
        for folder in dict.fromkeys((own, *own.parents)):
            found = [_text(root / folder / name) for name in names]
            if all(found):
                yield found


def _text(file: Path) -> str:
    """The content of a small file; empty where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def require_threads(where: str, threads: int) -> None:
    """
    Raises:
        InputError: more threads than processors, which would be slower and, with many more, end the machine.
    """
    if threads < 0:
        raise InputError(where, f"{threads} is no number of threads", "Set it to 0 for one per processor")
    if threads > cores():
        raise InputError(
            where,
            f"{threads} is more than the {cores()} processors that can be used here",
            f"Set it to {cores()} or less",
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
