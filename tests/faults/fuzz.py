"""Mutated files for every reader, guided by what they reach: the engine is libFuzzer, by way of Atheris.

    make fuzz                       # or: python -m faults.fuzz --cases 100000

Every reader has a process of its own, which is started again where a file ends it. What a reader does wrong is kept
below ``--out``, one file for every place of the code; :mod:`faults.guard` says what is wrong. A file that is put into
``tests/faults/corpus/READER/`` is tried by every ``make test`` from then on.
"""

import argparse
import json
import math
import os
import random
import re
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

CASES = 100_000
LARGEST = 64 * 1024  # bytes of a file
ADDRESS_SPACE = 4 * 2**30  # bytes beyond those of the process at its start: a bomb ends the process, not the machine
WALL_SECONDS = 30  # after which libFuzzer ends a process that does not come back; the guard counts processor time
KEEPING = 0.6  # of the mutations keep the outer form of a file, where there is a way to
AFRESH = 0.5  # of these begin with a whole file: of what reached new branches, little is whole
PROCESSES = 20  # of one reader, most of them started again after a file that ended the one before
INSTRUMENTED = [
    "sarslim", "tifffile", "PIL", "zipfile", "csv", "defusedxml", "xml", "minio", "yaml", "numpy.lib", "json",
    "safetensors",
]  # fmt: skip


def main() -> int:
    """Runs a process per reader, prints a line for each, and gives 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES, help="in all, shared out among the readers")
    parser.add_argument("--reader", action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    import atheris

    with open(os.devnull, "w") as quiet:
        shown, sys.stderr = sys.stderr, quiet  # a line per module
        with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
            from faults.readers import READERS, material
        sys.stderr = shown

    material()
    chosen = options.reader or list(READERS)
    whole = sum(READERS[name].share for name in chosen)
    total = {"cases": 0, "read": 0, "refused": 0, "found": 0}
    print(
        f"{'reader':16}{'cases':>8}{'read':>8}{'refused':>9}{'branches':>10}{'slowest':>10}{'memory':>10}{'found':>7}"
    )
    start = time.monotonic()
    for name in chosen:
        row = run(name, math.ceil(options.cases * READERS[name].share / whole), options.seed, options.out / name)
        total = {key: count + row[key] for key, count in total.items()}
        print(
            f"{name:16}{row['cases']:8}{row['read']:8}{row['refused']:9}{row['branches']:10}"
            f"{row['slowest']:8.2f} s{row['memory']:6} MiB{row['found']:7}",
            flush=True,
        )
    print(
        f"{total['cases']} files: {total['read']} read, {total['refused']} refused by name, {total['found']} "
        f"findings, {time.monotonic() - start:.0f} s"
    )
    for name in chosen:
        for file in sorted((options.out / name / "findings").glob("*.json")):
            print(f"  {name}: {json.loads(file.read_text())['wrong'][:300]}\n    {file.with_suffix('')}")
    return 1 if total["found"] else 0


def run(name: str, cases: int, seed: int, out: Path) -> dict[str, Any]:
    """One reader in processes of its own, as many as it takes to come to the number of cases."""
    row: dict[str, Any] = {"cases": 0, "read": 0, "refused": 0, "branches": 0, "slowest": 0.0, "memory": 0}
    (out / "findings").mkdir(parents=True, exist_ok=True)
    state = out / "state.json"
    for attempt in range(PROCESSES):
        if row["cases"] >= cases:
            break
        state.unlink(missing_ok=True)
        (out / "log.txt").unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            try:
                fuzz(name, cases - row["cases"], seed + attempt, out)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        told = json.loads(state.read_text()) if state.exists() else {}
        for key in ("cases", "read", "refused"):
            row[key] += told.get(key, 0)
        for key in ("slowest", "memory"):
            row[key] = max(row[key], told.get(key, 0))
        row["branches"] = max(row["branches"], _branches(out / "log.txt"))
        if code:
            _keep(out, code)
        if not told:
            break
    row["found"] = len(list((out / "findings").glob("*.json")))
    return row


def fuzz(name: str, cases: int, seed: int, out: Path) -> None:
    """Runs the cases of one reader in this process, and ends it."""
    import atheris
    from faults.guard import Guard, peak_mebibytes
    from faults.readers import READERS, digest

    with (out / "log.txt").open("wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    reader, guard, whole = READERS[name], Guard(), READERS[name].seeds()
    state = {"cases": 0, "read": 0, "refused": 0}

    def one(data: bytes) -> None:
        was_read, wrong = guard.judge(name, reader, data)
        state["cases"] += 1
        state["read" if was_read else "refused"] += 1
        if wrong:
            kind, at, place = wrong.rpartition(" at ")
            file = out / "findings" / digest((place if at else kind or wrong.partition(":")[0]).encode())
            if not file.exists():
                file.write_bytes(data)
                file.with_name(f"{file.name}.json").write_text(json.dumps({"wrong": wrong}))
        done = state["cases"] >= cases
        if done or state["cases"] % 50 == 0:
            told = {**state, "slowest": round(guard.slowest, 3), "memory": peak_mebibytes() - guard.first_peak}
            (out / "state.json.part").write_text(json.dumps(told))
            os.replace(out / "state.json.part", out / "state.json")
        if done:
            guard.close()
            os._exit(0)

    (out / "seeds").mkdir(exist_ok=True)
    for data in [b"", *whole]:
        (out / "seeds" / digest(data)).write_bytes(data)
    hexed = ("".join(map("\\x{:02x}".format, word)) for word in reader.words)
    (out / "words.txt").write_text("".join(f'"{word}"\n' for word in hexed))
    guard.judge(name, reader, whole[0])  # what is imported at first use counts for no case
    guard.first_peak = peak_mebibytes()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESS_SPACE,) * 2)
    arguments = [
        sys.argv[0], f"-dict={out}/words.txt", f"-seed={seed}", f"-max_len={LARGEST}", f"-timeout={WALL_SECONDS}",
        "-rss_limit_mb=0", "-len_control=0", "-reload=0", f"-artifact_prefix={out}/", str(out / "seeds"),
    ]  # fmt: skip

    def mutated(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        keeping = reader.keeping if rng.random() < KEEPING else None

        def other(part: bytes) -> bytes:
            return atheris.Mutate(part, max(len(part) + 1000, most // 2) if keeping else most)

        if keeping and rng.random() < AFRESH:
            data = rng.choice(whole)
        return (keeping(data, rng, other) if keeping else other(data))[:most]

    atheris.Setup(arguments, one, **({"custom_mutator": mutated} if reader.keeping else {}))
    atheris.Fuzz()


def _branches(log: Path) -> int:
    """How many branches the files reached, as libFuzzer tells."""
    found = re.findall(rb" cov: (\d+)", log.read_bytes())
    return int(found[-1]) if found else 0


def _keep(out: Path, code: int) -> None:
    """What libFuzzer left of a file that ended its process."""
    left: list[Path | None] = [file for kind in ("crash", "timeout", "oom") for file in out.glob(f"{kind}-*")]
    for file in left or [None]:
        kind = file.name.partition("-")[0] if file else (out / "log.txt").read_bytes()[-300:].decode(errors="replace")
        target = out / "findings" / (file.name if file else f"ended-{code}")
        if file:
            file.replace(target)
        target.with_name(f"{target.name}.json").write_text(json.dumps({"wrong": f"the process ended: {code} {kind}"}))


if __name__ == "__main__":
    sys.exit(main())
