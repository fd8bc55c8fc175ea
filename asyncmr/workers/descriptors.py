"""The open files that worker processes take in their host, looked at before there are too many."""

from __future__ import annotations

import os
import resource

from asyncmr.errors import UsageError

# Its channel, its sentinel, and the pipe by whose end it learns that the host has died.
PER_WORKER = 3
# What it prints, twice, and what it logs.
FOR_OUTPUT = 3
# What a job has open beside them: input, spill files, locks, a shared buffer.
OTHERS = 16


def check_descriptors(workers: int) -> None:
    """Refuses more workers than this process can have open files for.

    Raises:
        UsageError: the message says how many are needed, and how many there are.
    """
    limit, used = _limit(), _used()
    needed = PER_WORKER * workers + OTHERS
    if needed > limit - used:
        raise UsageError(
            f"workers={workers} need {needed} open files, and this process may have {limit}, of which {used} are "
            "in use; raise the limit (ulimit -n), or use fewer workers"
        )


def can_listen(workers: int) -> bool:
    """Whether there are enough open files to hear what the workers print, which otherwise goes to standard error."""
    return (PER_WORKER + FOR_OUTPUT) * workers + OTHERS <= _limit() - _used()


def _limit() -> float:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _used() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
