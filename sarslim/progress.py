"""Plain progress lines that a person can read and a launcher can turn into a bar."""

import time


def duration(seconds: float) -> str:
    """``75`` -> ``1m15s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def note(text: str) -> None:
    """Prints a line that a launcher passes on to the person who waits."""
    # Names of files come from whoever made them, and a terminal obeys some signs.
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    print(f"note: {shown}", flush=True)


class Progress:
    """Prints ``what done/total  detail  time left``, not more often than asked.

    The first and the last step are always printed.
    """

    def __init__(self, what: str, total: int, *, every_seconds: float = 1.0, done: int = 0) -> None:
        self.what, self.total, self.done = what, total, done
        self._every, self._first = every_seconds, done
        self._start = time.monotonic()
        self._printed = float("-inf")

    def step(self, detail: str = "", count: int = 1) -> None:
        """Counts ``count`` more items as done."""
        self.done += count
        now = time.monotonic()
        if self.done < self.total and now - self._printed < self._every:
            return
        self._printed = now
        left = (now - self._start) / max(self.done - self._first, 1) * (self.total - self.done)
        parts = [f"{self.what} {self.done}/{self.total}", detail, f"{duration(left)} left" if left else ""]
        print("  ".join(part for part in parts if part), flush=True)
