"""How long a request to the object store is tried again: on this machine for a moment, in a pod for minutes.

In a pod nobody is there to start again, and what KFP repeats after a failure is a whole stage.
"""

import os
from typing import Any

import urllib3

from sarslim.progress import note

PATIENCE = "SARSLIM_PATIENCE_SECONDS"  # set in the pods of a cluster; it changes no result
STATUSES = (500, 502, 503, 504)
LONGEST_PAUSE = 15.0
TELL_AFTER = 3  # attempts without an answer


class Bounded(urllib3.Retry):
    """Waits longer from one attempt to the next, each time a little differently, however long the server asks for."""

    def get_retry_after(self, response: Any) -> float | None:
        """The pause that a server asks for, in seconds."""
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, LONGEST_PAUSE)


class Patient(Bounded):
    """As Bounded, and says so."""

    def sleep(self, response: Any = None) -> None:
        """Waits before the next attempt."""
        if len(self.history) == TELL_AFTER:
            last = self.history[-1]
            why = f"answers {last.status}" if last.status else f"does not answer ({type(last.error).__name__})"
            note(f"the object store {why}; trying again, {self.total} more times")
        super().sleep(response)


def policy(least: int) -> urllib3.Retry:
    """The attempts after the first: ``least`` within two seconds, or what the patience of a pod allows."""
    patience = float(os.environ.get(PATIENCE) or 0)
    pauses, waited = [0.0], 0.0
    while waited < patience:
        pauses.append(min(2.0 ** (len(pauses) - 1), LONGEST_PAUSE))
        waited += pauses[-1]
    if least == 0 or len(pauses) <= least:
        return Bounded(total=least, backoff_factor=0.2, backoff_jitter=0.2, status_forcelist=STATUSES)
    return Patient(
        total=len(pauses), backoff_factor=0.5, backoff_max=LONGEST_PAUSE, backoff_jitter=1.0, status_forcelist=STATUSES
    )
