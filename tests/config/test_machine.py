"""Upper bounds that the machine gives."""

import os
import subprocess
import sys

import pytest

from sarslim.config import machine
from sarslim.errors import InputError

GIB = 2**30


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Writes the files by which a container is told its limits."""
    for name in ("OWN_GROUPS", "CGROUPS"):
        monkeypatch.setattr(machine, name, tmp_path / name)
    monkeypatch.setattr(machine, "_affinity", lambda: set(range(64)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def write(groups: str, **limits: str) -> None:
        (tmp_path / "OWN_GROUPS").write_text(groups)
        for name, text in limits.items():
            file = tmp_path / "CGROUPS" / name.replace("__", "/").replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return write


def test_the_machine_is_read():
    assert machine.cores() <= len(os.sched_getaffinity(0))
    assert 0 < machine.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("groups", "limits", "cores"),
    [
        ("0::/\n", {"cpu_max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu_max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu_max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu_max": "10000 100000\n"}, 1),
        # A slice of systemd limits what is in it.
        ("0::/user/job\n", {"user__cpu_max": "300000 100000\n", "user__job__cpu_max": "max 100000\n"}, 3),
        # Version 1; the container sees its own group as the root.
        (
            "4:cpu,cpuacct:/docker/f00\n3:memory:/\n0::/\n",
            {"cpu,cpuacct__cpu_cfs_quota_us": "400000\n", "cpu,cpuacct__cpu_cfs_period_us": "100000\n"},
            4,
        ),
        ("1:cpu:/\n", {"cpu__cpu_cfs_quota_us": "-1\n", "cpu__cpu_cfs_period_us": "100000\n"}, 64),
    ],
)
def test_a_quota_leaves_fewer_processors(container, groups, limits, cores):
    container(groups, **limits)
    assert machine.cores() == machine.threads() == cores


def test_threads_follow_the_affinity_and_what_is_asked(monkeypatch):
    code = "from sarslim.config import machine; print(machine.cores(), machine.threads())"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    one = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), sys.executable, "-c", code]
    assert subprocess.check_output(one, text=True) == "1 1\n"
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert machine.threads() == 3


def test_the_halves_of_a_core_count_as_one(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "_affinity", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(machine, "_cpu_quotas", lambda: [])
    monkeypatch.setattr(machine, "SIBLINGS", f"{tmp_path}/{{number}}")
    for number in range(4):
        (tmp_path / str(number)).write_text(f"{number % 2},{number % 2 + 2}\n")
    assert (machine.cores(), machine.threads()) == (4, 2)


def test_a_container_and_ulimit_leave_less(container):
    container("0::/\n", memory_max="max\n")
    whole = machine.memory_bytes()
    assert whole > GIB
    container("0::/\n", memory_max=f"{GIB}\n")
    assert machine.memory_bytes() == GIB
    code = "from sarslim.config import machine; print(machine.memory_bytes())"
    limited = f"ulimit -v {GIB // 1024} && {sys.executable} -c '{code}'"
    assert int(subprocess.check_output(["bash", "-c", limited])) <= GIB


@pytest.mark.parametrize("threads", [0, 1, machine.cores()])
def test_as_many_threads_as_processors(threads):
    machine.require_threads("--threads", threads)


@pytest.mark.parametrize("threads", [machine.cores() + 1, 100_000, 10**30, -1])
def test_other_numbers_of_threads_are_refused(threads):
    with pytest.raises(InputError, match=f"--threads: {threads} is "):
        machine.require_threads("--threads", threads)


def test_memory_is_told_with_the_largest_number_that_fits():
    machine.require_memory("teacher.batch_size", 10, 0.1 * GIB, have=GIB)
    with pytest.raises(InputError) as caught:
        machine.require_memory("teacher.batch_size", 100, 0.1 * GIB, fixed=0.5 * GIB, have=GIB)
    assert str(caught.value) == (
        "teacher.batch_size: 100 needs 10.5 GiB of memory, and there are 1 GiB. "
        "Set it to 5 or less, well below that beside other work."
    )
    with pytest.raises(InputError, match="Use a larger machine"):
        machine.require_memory("teacher.batch_size", 1, 2 * GIB, have=GIB)
