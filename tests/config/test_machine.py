"""Upper bounds that the machine gives."""

import os
import subprocess
import sys

import pytest

from sarslim.config import machine
from sarslim.errors import InputError

GIB = 2**30


def test_the_machine_is_read():
    assert machine.cores() == os.cpu_count()
    assert 0 < machine.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_container_and_ulimit_leave_less(tmp_path, monkeypatch):
    whole = machine.memory_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(machine, "LIMITS", (tmp_path / "memory.max", tmp_path / "missing"))
    assert machine.memory_bytes() >= whole
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    assert machine.memory_bytes() == GIB
    code = "from sarslim.config import machine; print(machine.memory_bytes())"
    limited = f"ulimit -v {GIB // 1024} && {sys.executable} -c '{code}'"
    assert int(subprocess.check_output(["bash", "-c", limited])) <= GIB


@pytest.mark.parametrize("threads", [0, 1, os.cpu_count()])
def test_as_many_threads_as_processors(threads):
    machine.require_threads("--threads", threads)


@pytest.mark.parametrize("threads", [(os.cpu_count() or 1) + 1, 100_000, 10**30, -1])
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
