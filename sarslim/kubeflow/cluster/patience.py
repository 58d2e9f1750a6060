"""Asking a server that may be away for minutes: a port-forward that breaks, an API server that is moved."""

import time
from collections.abc import Callable
from typing import TypeVar

from sarslim.kubeflow.cluster.server import Unreachable
from sarslim.progress import duration

EVERY_SECONDS = 5.0  # between two looks at a run
PATIENCE_SECONDS = 900.0

T = TypeVar("T")


class Patience:
    """Asks again while a server does not answer, for minutes, and says so once."""

    def __init__(self, again: str, seconds: float = PATIENCE_SECONDS) -> None:
        self._again, self._seconds = again, seconds

    def __call__(self, ask: Callable[[], T]) -> T:
        """The answer.

        Raises:
            Unreachable: it has not come for minutes; the run goes on all the same.
        """
        waited, delay = 0.0, 2.0
        while True:
            try:
                answer = ask()
            except Unreachable as error:
                if waited >= self._seconds:
                    remedy = f"The run goes on without us; to watch it again: {self._again}"
                    raise Unreachable(error.where, error.problem, remedy) from error
                if not waited:
                    print(
                        f"{error.where} {error.problem}; the run goes on, trying again for {duration(self._seconds)}. "
                        f"To watch it later: {self._again}",
                        flush=True,
                    )
                time.sleep(delay)
                waited, delay = waited + delay, min(2 * delay, 30.0)
            else:
                if waited:
                    print(f"answers again after {duration(waited)}", flush=True)
                return answer
