"""Faults of the store, runs in pairs, and kills in every stage, at random and counted: ``make faults``."""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from faults import breaks, kills, together


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=300, help="of the store")
    parser.add_argument("--pairs", type=int, default=3, help="of runs in one folder at the same time")
    parser.add_argument("--kills", type=int, default=60, help="of runs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)

    def tell(text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    wrong: list[str] = []
    campaigns = (
        ("faults", breaks.campaign, options.faults),
        ("pairs", together.campaign, options.pairs),
        ("kills", kills.campaign, options.kills),
    )
    for name, run, count in campaigns:
        if not count:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"sarslim-{name}-") as folder:
            with contextlib.redirect_stdout(io.StringIO()):  # what transfers tell of their progress
                tally = run(Path(folder), count, options.seed, tell=tell)
            print(f"{tally}, {time.monotonic() - start:.0f} s", flush=True)
            wrong += tally.wrong
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
