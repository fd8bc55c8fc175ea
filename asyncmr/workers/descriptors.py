"""The open files that worker processes take in their host, looked at before there are too many."""

from __future__ import annotations

import os
import resource

from asyncmr.errors import UsageError

# Its channel, its sentinel, and the pipe by whose end it learns that the host has died.
PER_WORKER = 3
# What a job has open beside them: input, spill files, locks, a shared buffer.
OTHERS = 16


def check_descriptors(workers: int) -> None:
    """Refuses more workers than this process can have open files for.

    Raises:
        UsageError: the message says how many are needed, and how many there are.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    used = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    needed = PER_WORKER * workers + OTHERS
    if needed > limit - used:
        raise UsageError(
            f"workers={workers} need {needed} open files, and this process may have {limit}, of which {used} are "
            "in use; raise the limit (ulimit -n), or use fewer workers"
        )
