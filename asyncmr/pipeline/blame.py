"""Who is to blame: a failure inside a worker as an error that says where, on which record, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from asyncmr.errors import (
    AsyncMRError,
    CombinerError,
    InputError,
    KeyTypeError,
    MapperError,
    PartitionerError,
    ReducerError,
    RemoteTraceback,
    UserCodeError,
)
from asyncmr.job import Split
from asyncmr.workers import RemoteError

_ROLES: dict[str, type[UserCodeError]] = {
    "mapper": MapperError,
    "combiner": CombinerError,
    "reducer": ReducerError,
    "fold": ReducerError,
    "aggregator": ReducerError,
    "partitioner": PartitionerError,
}

# Given a path and a byte offset, the number of the line that begins there.
LineNumber = Callable[[str, int], Awaitable[int]]


async def blamed(
    error: RemoteError, *, job: str, stage: str, split: Split | None, line_number: LineNumber
) -> AsyncMRError:
    """The error to raise for what a worker reported."""
    if error.type_name == "asyncmr.errors.KeyTypeError":
        return _with_traceback(KeyTypeError(f"job {job!r}, stage {stage!r}: {error.message}"), error)
    facts = error.facts or {}
    if "following" in facts:
        stage = facts["following"]
    elif "stage" in facts:
        stage = stage.removesuffix("map") + facts["stage"]
    message = facts.get("message") or f"{stage} task failed with {error.type_name}"
    path, line, record = await _place(facts, split, line_number)
    where = _where(path, line, record)
    excerpt = facts.get("excerpt")
    lines = [f"job {job!r}, stage {stage!r}: {message}"]
    if error.message and not facts.get("complete"):
        lines.append(f"  {error.type_name}: {error.message}")
    if where:
        lines.append(f"  at {where}")
    if excerpt is not None and where:
        lines.append(f"  record: {excerpt}")
    kind = _ROLES.get(facts.get("role", ""), UserCodeError)
    return _with_traceback(
        kind(
            "\n".join(lines),
            job=job,
            stage=stage,
            exception=error.type_name,
            path=path,
            line=line,
            record=record,
            excerpt=excerpt,
        ),
        error,
    )


def _where(path: str | None, line: int | None, record: int | None) -> str:
    if path is not None:
        return path if line is None else f"{path}, line {line}"
    return "" if record is None else f"record {record}"


async def _place(
    facts: dict[str, Any], split: Split | None, line_number: LineNumber
) -> tuple[str | None, int | None, int | None]:
    position = facts.get("position")
    if position is None or split is None:
        return None, None, None
    for piece in reversed(split.pieces):
        if piece.start <= position:
            line: int | None = None
            with suppress(InputError):  # the file went away meanwhile: that is not what the user should hear
                line = await line_number(piece.path, piece.offset + position - piece.start)
            return piece.path, line, None
    return None, None, position


def _with_traceback(raised: AsyncMRError, error: RemoteError) -> AsyncMRError:
    raised.__cause__ = RemoteTraceback(error.traceback_text)
    return raised
