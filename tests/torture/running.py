"""A job under way, and what to think of it when it is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from asyncmr import InputError, OutputError, StorageError, TaskTimeout, WorkerDied
from asyncmr.errors import AsyncMRError
from tests.engine.faulty import retries
from tests.torture.jobs import Pairs, as_text
from tests.torture.tally import Tally

RETRIES = 8
DISK_ERRORS = (InputError, OutputError, StorageError)


@dataclass(eq=False)
class Running:
    """`gate` lets a reader of its stream go on. It must give `expects`, having counted `mapped` records and skipped so
    many, or, if there is one, fail with `error`. `resumes`: a cancellation does not end it. `bruised`: the disk failed
    while it ran. `blows`: how many workers were killed or stopped meanwhile.
    """

    name: str
    task: asyncio.Task[Any]
    gate: asyncio.Event
    expects: Pairs
    mapped: int
    skipped: int = 0
    error: type[AsyncMRError] | None = None
    resumes: bool = False
    bruised: bool = False
    blows: int = 0

    @property
    def reads_late(self) -> bool:
        """Whether it waits, or will wait, for its reader."""
        return not self.task.done() and not self.gate.is_set()


def judge(running: Running, tally: Tally) -> AsyncMRError | None:
    """Counts a job that is over, and returns the error that the disk caused, if it was one.

    Raises:
        AssertionError: its result is wrong, or its error is none that it may have had.
    """
    if running.task.cancelled():
        tally.cancelled += 1
        return None
    failure = running.task.exception()
    if failure is None:
        _is_exact(running, *running.task.result())
        tally.exact += 1
        tally.retries += retries(running.task.result()[1])
        return None
    if not isinstance(failure, AsyncMRError):
        raise failure
    tally.errors[type(failure).__name__] += 1
    if running.error is not None and type(failure) is running.error:
        assert running.name in str(failure)
        assert "stage" in str(failure)
        return None
    if isinstance(failure, WorkerDied | TaskTimeout):
        assert running.blows > RETRIES, failure  # they may all have hit one task
        return None
    assert isinstance(failure, DISK_ERRORS), failure
    assert running.bruised, failure
    return failure


def _is_exact(running: Running, found: Any, report: Any) -> None:
    if running.blows > RETRIES and report.skipped_in_all > running.skipped:
        return  # they may all have hit one record, which then seemed to be what kills workers
    wanted = as_text(running.expects) if isinstance(found, bytes) else running.expects
    assert found == wanted, f"{running.name}: a wrong result"
    assert running.error is None, f"{running.name}: no error, although it must fail"
    assert report.counters == {"torture": {"mapped": running.mapped}}, f"{running.name}: {report.counters}"
    assert report.skipped_in_all == running.skipped, f"{running.name}: {report.skipped}"
