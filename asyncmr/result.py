"""What `collect` and `stream` give: pairs, and the report of the job that made them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any

from asyncmr.errors import ClosedError
from asyncmr.job import Pair
from asyncmr.report import Report


class Result:
    """The pairs of a finished job, in order; iterate it as often as you like.

    `report` says what the job did. `dict(result)` makes a dictionary of pairs whose keys are unique.
    """

    __slots__ = ("_columns", "report")

    def __init__(self, columns: list[tuple[list[Any], list[Any]]], report: Report) -> None:
        self._columns = columns
        self.report = report

    def __iter__(self) -> Iterator[Pair]:
        return chain.from_iterable(zip(keys, values, strict=True) for keys, values in self._columns)

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._columns)

    def __repr__(self) -> str:
        return f"<Result of {self.report.job!r}: {len(self):,} pairs>"


class PairStream:
    """The pairs of a job while it runs: `async for key, value in pairs`, once.

    `columns()` gives the same pairs as lists, which is several times faster. `report` is there when the last pair
    has been read.
    """

    def __init__(self, columns: AsyncIterator[tuple[list[Any], list[Any]]]) -> None:
        self._columns = columns
        self._report: Report | None = None

    async def __aiter__(self) -> AsyncIterator[Pair]:
        async for keys, values in self._columns:
            for pair in zip(keys, values, strict=True):
                yield pair

    def columns(self) -> AsyncIterator[tuple[list[Any], list[Any]]]:
        """The pairs as `(keys, values)`, some thousand at a time."""
        return self._columns

    @property
    def report(self) -> Report:
        """What the job did.

        Raises:
            ClosedError: before the last pair has been read.
        """
        if self._report is None:
            raise ClosedError("the report of a stream is there when its last pair has been read")
        return self._report
