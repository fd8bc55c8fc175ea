"""What of the machine an engine takes when nobody says."""

from __future__ import annotations

import os

from asyncmr.errors import MemoryBudgetError, UsageError
from asyncmr.pipeline.limits import Limits
from asyncmr.sizes import MIB, parse_size
from asyncmr.storage.sizes import cgroup_limit, check_limit, default_memory


def workers_of(workers: int | None, share: float) -> int:
    """How many workers: `workers`, or one for each CPU of this share of them, and at least one.

    Raises:
        UsageError: one of the two cannot be.
    """
    if not 0 < share <= 1:
        raise UsageError(
            f"share={share} is no part of the machine; give more than 0, and at most 1 (all of it)"
        )
    if workers is None:
        return max(1, int(_cpus() * share + 1e-9))  # 3 * (1 / 3) is 1, whatever floats make of it
    if workers < 1:
        raise UsageError(f"workers={workers} cannot run anything; give at least 1")
    return workers


def memory_of(memory: int | str | None, share: float) -> int:
    """How many bytes: `memory`, or this share of half of what the machine or the container has.

    Raises:
        UsageError: `memory` is no size.
        MemoryBudgetError: it is more than this process may have.
    """
    if memory is None:
        return int(default_memory() * share)
    try:
        size = parse_size(memory)
    except UsageError as error:
        raise UsageError(f"memory: {error}") from None
    check_limit(size)
    return size


def limits_of(memory: int, workers: int, *, share: float, default: bool) -> Limits:
    """How that memory is divided. `default`: nobody gave `memory=`.

    Raises:
        MemoryBudgetError: it is too little for so many workers.
    """
    try:
        return Limits.within(memory, workers)
    except MemoryBudgetError as error:
        if not default:
            raise
        limit = cgroup_limit()
        whose = "this machine has" if limit is None else f"its memory cgroup allows ({limit // MIB} MiB)"
        part = "" if share == 1 else f"share={share:g} of "
        raise MemoryBudgetError(
            f"{error}. Nobody gave memory=, and the default is {part}half of what {whose}"
        ) from None


def _cpus() -> int:
    """How many CPUs this process may use; macOS knows only how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
