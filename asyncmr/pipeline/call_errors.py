"""What is raised, or told, for a call that failed. It ran in this process: the user's exception is the cause itself."""

from __future__ import annotations

from asyncmr.errors import AsyncMRError, TaskTimeout
from asyncmr.excerpt import failure_of, message_of, traceback_of, type_name
from asyncmr.kernel.failures import UserFailure, excerpt
from asyncmr.kernel.leftout import LeftOut
from asyncmr.pipeline.blame import LineNumber, blamed, place_of
from asyncmr.pipeline.call import Call
from asyncmr.pipeline.pair_writer import NotEncodable
from asyncmr.protocols import Split
from asyncmr.workers import RemoteError


class CallErrors:
    """Says what went wrong in the calls of one function. `limit`: the seconds that a call may take."""

    def __init__(
        self, name: str, role: str, *, job: str, stage: str, limit: float | None, line_number: LineNumber
    ) -> None:
        self._name = name
        self._role = role
        self._job = job
        self._stage = stage
        self._limit = limit
        self._line_number = line_number

    async def raised(self, call: Call) -> AsyncMRError:
        """The error that fails the job, to be raised from that of the call."""
        split = Split(0, 0, pieces=call.record.pieces)
        tried = "" if not call.repeats else f" in {call.repeats + 1} attempts"
        if call.timed_out:
            return await self._timeout(call, split, tried or " in 1 attempt")
        return await self._blamed(self._failure(call, tried), split)

    async def not_encodable(self, found: NotEncodable) -> AsyncMRError:
        """The error for a pair that the output, or the next step, cannot take."""
        shown = excerpt(found.pair)
        failure = UserFailure(
            self._role, f"{self._name} gave {shown}, which cannot be written", excerpt=shown
        )
        failure.__cause__ = found.__cause__
        return await self._blamed(failure, Split(0, 0))

    def leave_out(self, call: Call, left_out: LeftOut) -> None:
        """Notes the record, or the key, as left out. Raises `Enough` if it is one too many."""
        record, error = call.record, call.error
        assert error is not None
        if call.timed_out:
            told = "TaskTimeout", f"ran longer than task_timeout={self._limit:g} s"
            left_out.add(self._role, record.shown, record.position, *told)
            return
        if isinstance(error, UserFailure):
            error = error.__cause__ or TypeError(str(error))
        trace = "" if left_out.counts else traceback_of(error)
        left_out.add(self._role, record.shown, record.position, type_name(error), message_of(error), trace)

    async def _blamed(self, failure: UserFailure, split: Split) -> AsyncMRError:
        return await blamed(
            RemoteError(*failure_of(failure)),
            job=self._job,
            stage=self._stage,
            split=split,
            line_number=self._line_number,
        )

    def _failure(self, call: Call, tried: str) -> UserFailure:
        """What happened as facts, as a worker would tell it."""
        record, error = call.record, call.error
        where = {"position": record.position, "excerpt": excerpt(record.shown)}
        if isinstance(error, UserFailure):
            error.facts = {**where, **error.facts}
            return error
        message = f"{self._name} raised {type(error).__name__}{tried}"
        if record.position is None:
            message += f" for the key {excerpt(record.key)}"
        failure = UserFailure(self._role, message, **where)
        failure.__cause__ = error
        return failure

    async def _timeout(self, call: Call, split: Split, tried: str) -> TaskTimeout:
        place = str(await place_of(call.record.position, split, self._line_number))
        what = f"{self._name} ran longer than task_timeout={self._limit:g} s{tried}"
        if call.fatal:
            what += f", and {call.error}; it should let asyncio.CancelledError through"
        else:
            what += "; raise task_timeout, or look at what it waits for"
        shown = excerpt(call.record.shown)
        lines = [f"job {self._job!r}, stage {self._stage!r}: {what}"]
        if call.record.position is None:
            lines.append(f"  key: {shown}")
        else:
            lines += [f"  at {place}", f"  record: {shown}"]
        return TaskTimeout(
            "\n".join(lines),
            seconds=self._limit or 0.0,
            job=self._job,
            stage=self._stage,
            task=place or f"key {shown}",
            attempts=call.repeats + 1,
        )
