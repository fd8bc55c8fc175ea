"""What is known of the records and keys of one task on which attempts at it failed.

An attempt that fails by the mapper or the reducer, or by the death of its worker, makes the next ones guarded (see
`kernel.guarding`). Those leave out by themselves whatever raises. What kills the worker is known by the trail of the
attempt that died: first the bundle that it is in, whose records the next attempt takes one by one. It may be innocent,
killed from outside or for what others hold of the memory, so it is only left out when as many attempts have ended
at it as there are retries.
"""

from __future__ import annotations

import signal
from collections import Counter
from time import monotonic

from asyncmr.kernel.marks import BUNDLES, Mark, Place
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.workers import RemoteError, SlotDied, SlotTimeout

# A record that hangs took at least this part of `task_timeout` itself; otherwise the task as a whole is slow.
_HANGS = 0.5
# And the next attempt then gets so many times as long, so that the records before it are not in the way.
_PATIENCE = 2


class Suspects:
    """One task's. `guarded`: whether its attempts are to be. `skip`: what they leave out at once. `deaths`: how many
    workers died."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._most = tolerance.retries if not tolerance.skips else max(1, tolerance.retries)
        self._patience = 1
        self._seen: Counter[Place] = Counter()
        # Since the last one was found that is to blame: a record and the bundle that it is in may be the next one,
        # and all other deaths are strays, which use up the retries.
        self._suspects: set[Place] = set()
        self._narrowed = False
        self._strays = 0
        self.skip: dict[Place, tuple[str, str]] = {}
        self.guarded = False
        self.deaths = 0

    @property
    def timeout(self) -> float | None:
        """The seconds that an attempt has."""
        timeout = self._tolerance.task_timeout
        return None if timeout is None else timeout * self._patience

    def raised(self, error: RemoteError) -> bool:
        """Notes that an attempt ended by an exception; whether to try again."""
        facts = error.facts or {}
        if "late" in facts:
            self.skip[facts["late"]] = (error.type_name, error.message)
            return True
        again = not self.guarded and facts.get("role") in ("mapper", "decoder", "reducer", "aggregator")
        self.guarded = self._tolerance.skips
        return again and self.guarded

    def died(self, error: SlotDied | SlotTimeout, mark: Mark | None) -> bool:
        """Notes that an attempt died, and at what, if its trail says so; whether to try again."""
        self.deaths += 1
        self.guarded = self._tolerance.skips
        if mark is None or mark.place in self.skip:
            self._strays += 1
        elif not self._is_to_blame(error, mark):
            self._strays += self._patience == _PATIENCE
            self._patience = _PATIENCE
        elif mark.place[0] in BUNDLES:  # to look through one harms nobody
            self.skip[mark.place] = ("", "")
            self._strays += self._narrowed
            self._narrowed = True
        else:
            self._seen[mark.place] += 1
            if self._seen[mark.place] >= self._most:
                self.skip[mark.place] = self._told(error)
                self._suspects, self._narrowed, self._strays = set(), False, 0
            else:
                self._strays += bool(self._suspects) and mark.place not in self._suspects
                self._suspects.add(mark.place)
        return self._strays <= self._most

    def _is_to_blame(self, error: SlotDied | SlotTimeout, mark: Mark) -> bool:
        timeout = self._tolerance.task_timeout
        return isinstance(error, SlotDied) or timeout is None or monotonic() - mark.since >= timeout * _HANGS

    def _told(self, error: SlotDied | SlotTimeout) -> tuple[str, str]:
        if isinstance(error, SlotDied):
            return "WorkerDied", f"the worker died: {_end(error.exitcode)}"
        return "TaskTimeout", f"ran longer than task_timeout={self._tolerance.task_timeout:g} s"


def _end(exitcode: int | None) -> str:
    """How a worker ended, in the same words at every attempt: what else was found out may differ."""
    if exitcode is None:
        return "nobody knows how"
    try:
        return f"killed by signal {-exitcode} ({signal.Signals(-exitcode).name})"
    except ValueError:
        return f"exit code {exitcode}"
