"""Who is to blame: a failure inside a worker as an error that says where, on which record, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from asyncmr.errors import (
    AsyncMRError,
    CombinerError,
    FormatError,
    KeyTypeError,
    MapperError,
    OperatorError,
    PartitionerError,
    RecordError,
    ReducerError,
    RemoteTraceback,
    SetupError,
    UserCodeError,
)
from asyncmr.protocols import Piece, Split
from asyncmr.workers import RemoteError

_ROLES: dict[str, type[UserCodeError | RecordError]] = {
    "mapper": MapperError,
    "decoder": RecordError,
    "combiner": CombinerError,
    "reducer": ReducerError,
    "fold": ReducerError,
    "aggregator": ReducerError,
    "operator": OperatorError,
    "partitioner": PartitionerError,
    "setup": SetupError,
}

# Given a path and a byte offset, the number of the line that begins there; None if it cannot be read any more.
LineNumber = Callable[[str, int], Awaitable[int | None]]


# What these do half-way leaves no right value behind, so nothing can be left out.
_NEVER_SKIPPED = ("combiner", "fold", "aggregator", "partitioner")


async def blamed(
    error: RemoteError,
    *,
    job: str,
    stage: str,
    split: Split | None,
    line_number: LineNumber,
    skips: bool = False,
) -> AsyncMRError:
    """The error to raise for what a worker reported. `skips`: the job skips what can be skipped."""
    if error.type_name == "asyncmr.errors.KeyTypeError":
        return _with_traceback(KeyTypeError(f"job {job!r}, stage {stage!r}: {error.message}"), error)
    facts = error.facts or {}
    if facts.get("role") == "encoder":
        said = f"job {job!r}, stage {stage!r}: {facts['message']}"
        return _with_traceback(FormatError(said, key=facts["key"]), error)
    if "following" in facts:
        stage = facts["following"]
    elif "stage" in facts:
        stage = stage[: stage.rfind(".") + 1] + facts["stage"]
    message = facts.get("message") or f"{stage} task failed with {error.type_name}"
    first = await place_of(facts.get("position"), split, line_number)
    last = await place_of(facts.get("last"), split, line_number)
    where = _where(first, last)
    if "input" in facts:
        where = f"{where}, of the input {facts['input']!r}".removeprefix(", ")
    excerpt = facts.get("excerpt")
    lines = [f"job {job!r}, stage {stage!r}: {message}"]
    if error.message and error.message != message:
        lines.append(f"  {error.type_name}: {error.message}")
    if where:
        lines.append(f"  at {where}")
    if excerpt is not None and where:
        lines.append(f"  record: {excerpt}")
    if error.type_name == "MemoryError":
        lines.append(
            "  the worker got no more memory: let the function hold less at a time, or raise the limit of its "
            "address space if it has one (ulimit -v)"
        )
    if skips and facts.get("role") in _NEVER_SKIPPED:
        lines.append(
            '  on_error="skip" leaves out records and keys on which a mapper or a reducer fails; '
            f"this is the {facts['role']}, which would leave a wrong value behind"
        )
    kind = _ROLES.get(facts.get("role", ""), UserCodeError)
    raised = kind(
        "\n".join(lines),
        job=job,
        stage=stage,
        exception=error.type_name,
        path=first.path,
        line=first.line,
        record=first.record,
        last_line=last.line if last.path == first.path else None,
        last_record=last.record,
        excerpt=excerpt,
        **facts.get("attributes", {}),
    )
    # The traceback of a look at an operator is ours alone.
    return raised if kind is OperatorError else _with_traceback(raised, error)


class Place(NamedTuple):
    """A line of a file, or which record of its split it is; nothing of all that where nobody knows."""

    path: str | None = None
    line: int | None = None
    record: int | None = None

    def __str__(self) -> str:
        if self.path is None:
            return "" if self.record is None else f"record {self.record}"
        return self.path if self.line is None else f"{self.path}, line {self.line}"


def _where(first: Place, last: Place) -> str:
    """Where a record is, or a batch of them, from its first to its last."""
    if last in (first, Place()):
        return str(first)
    if last.path != first.path:
        return f"{first} to {last}"
    if first.path is None:
        return f"records {first.record} to {last.record}"
    return f"{first.path}, lines {first.line} to {last.line}" if first.line and last.line else first.path


async def place_of(position: int | None, split: Split | None, line_number: LineNumber) -> Place:
    """Where the record at a position of a split came from."""
    if position is None or split is None:
        return Place()
    for piece in reversed(split.pieces):
        if piece.start <= position:
            if not piece.path:
                return Place(record=position - piece.start)
            return Place(piece.path, await _line(piece, position, split, line_number))
    return Place(record=position)


async def _line(piece: Piece, position: int, split: Split, line_number: LineNumber) -> int | None:
    if piece.line is not None:
        data = split.data if split.buffer is None else split.buffer.view
        return piece.line + bytes(data[piece.start : position]).count(b"\n")
    if piece.offset is None:
        return None
    return await line_number(piece.path, piece.offset + position - piece.start)


def _with_traceback(raised: AsyncMRError, error: RemoteError) -> AsyncMRError:
    raised.__cause__ = RemoteTraceback(error.traceback_text)
    return raised
