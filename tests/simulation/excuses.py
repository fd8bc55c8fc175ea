"""Which errors a job may end with: those that something which was done to it explains."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

from asyncmr.errors import (
    ClosedError,
    CorruptRunError,
    InputError,
    OutputError,
    PoolStartError,
    SkipLimitError,
    StorageError,
    TaskTimeout,
    UserCodeError,
    WorkerDied,
)
from tests.simulation.jobs import Case
from tests.simulation.plan import Plan


def excused(error: BaseException, case: Case, plan: Plan, faults: Counter[str]) -> bool:
    """Whether the faults that were met, or the job itself, are a reason for this error."""
    late = plan.engine["task_timeout"] is not None
    match error:
        case UserCodeError():
            at_poison = case.poison is not None and error.line in (None, *_lines_of(case.poison, error.path))
            limited = isinstance(error, SkipLimitError) and plan.engine["skip_limit"] is not None
            return at_poison and (limited or not plan.skips)
        case ClosedError():
            return plan.closes is not None
        case WorkerDied():
            # Some of the attempts may have been late instead.
            return faults["death"] > (0 if late else plan.engine["retries"])
        case TaskTimeout():
            return late
        case PoolStartError():
            return faults["failed start"] > 0
        case CorruptRunError():
            return faults["flipped bit"] > 0
        case StorageError() | InputError() | OutputError():
            return faults["disk error"] > 0
    return False


def _lines_of(record: str, path: str | None) -> list[int]:
    """The numbers of the lines that hold this record."""
    if path is None:
        return []
    data = Path(path).read_bytes()
    text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
    return [number for number, line in enumerate(text.split("\n"), 1) if line == record]
