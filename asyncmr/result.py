"""What `collect` and `stream` give: pairs, and the report of the job that made them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import chain
from typing import Generic

from asyncmr.errors import ClosedError
from asyncmr.report import Report
from asyncmr.typevars import K_co, V_co


class Result(Generic[K_co, V_co]):
    """The pairs of a finished job, in order; iterate it as often as you like.

    `report` says what the job did. `dict(result)` makes a dictionary of pairs whose keys are unique.

        result = await asyncmr.collect(job, "books/")
        counts = dict(result)
        print(len(result), "words in", result.report.seconds, "s")
    """

    __slots__ = ("_columns", "report")

    def __init__(self, columns: list[tuple[list[K_co], list[V_co]]], report: Report) -> None:
        self._columns = columns
        self.report = report

    def __iter__(self) -> Iterator[tuple[K_co, V_co]]:
        return chain.from_iterable(zip(keys, values, strict=True) for keys, values in self._columns)

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._columns)

    def __repr__(self) -> str:
        return f"<Result of {self.report.job!r}: {len(self):,} pairs>"


class PairStream(Generic[K_co, V_co]):
    """The pairs of a job while it runs: `async for key, value in pairs`, once.

        async with asyncmr.stream(job, "books/") as pairs:
            async for word, count in pairs:
                print(word, count)
        print(pairs.report)

    `columns()` gives the same pairs as lists, which is several times faster. `report` is there when the last pair
    has been read.
    """

    def __init__(self, columns: AsyncGenerator[tuple[list[K_co], list[V_co]], None]) -> None:
        self._columns = columns
        # Held, because a generator that a reader's `break` lets go of is closed by the loop, at some time.
        self._pairs = self._each()
        self._report: Report | None = None

    def __aiter__(self) -> AsyncIterator[tuple[K_co, V_co]]:
        return self._pairs

    async def aclose(self) -> None:
        """Ends the iteration, wherever it is. Leaving the block of the stream does."""
        await self._pairs.aclose()
        await self._columns.aclose()

    async def _each(self) -> AsyncGenerator[tuple[K_co, V_co], None]:
        async for keys, values in self._columns:
            for pair in zip(keys, values, strict=True):
                yield pair

    def columns(self) -> AsyncIterator[tuple[list[K_co], list[V_co]]]:
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
