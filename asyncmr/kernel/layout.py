"""How the pairs of a shuffle lie in the bytes that move: what all layouts have in common.

What one map task, or one merge, makes for one share of a partition is a run, and a run is one piece of bytes or
several. A layout writes tables as runs and reads runs as stretches of whole keys. There are three: `BucketLayout`, for
all jobs that do not ask for an order; `RangeLayout`, for a total order; and `SortedLayout`, for partitions in order by
themselves, and for partitions of the others too large to be read at once. To read with that gives the same pairs in
the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.nans import holds_nan, unify_nans
from asyncmr.protocols import Reduction

Table = Any


class Feed(Protocol):
    """Rounds of buffers from the host."""

    def ask(self, wanted: tuple[int, ...]) -> list[memoryview]:
        """The next round, which should feed these runs."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole keys. `slices` in input order; `endless` if they are one place's, fed while they are read.

    `bucket`: which one of its partition they come from, where there are buckets.
    """

    slices: Iterator[Slice]
    endless: bool = False
    bucket: int = 0


class Layout(Protocol):
    """A value: it has no state, and can be pickled."""

    @property
    def fine(self) -> Layout:
        """The layout to which a partition is brought that is too large to be reduced at once."""

    def divided(self, reduction: Reduction, table: Table) -> Iterator[tuple[int, list[Slice]]]:
        """The partials of a table as `(share, slices)`, for each share that gets something, by number."""

    def encoded(self, slices: list[Slice]) -> Iterator[bytes]:
        """The pieces of one run, from slices as `divided` gives them."""

    def stretches(self, feed: Feed, reduction: Reduction) -> Iterator[Stretch]:
        """What the fed runs of one partition hold. Each stretch must be read before the next is asked for."""

    def written(self, columns: Iterable[tuple[int, Slice]]) -> Iterator[tuple[int, bytes]]:
        """`(share of the partition, piece)` from the pairs of one partition, in order, bucket by bucket."""

    def sorted(self, pairs: Slice) -> Slice:
        """The pairs of a stretch in the order in which they are written; those of equal keys stay as they were."""

    def ordered(self, keys: list[Any]) -> list[Any]:
        """The keys of a stretch in the order in which their results are written."""


def partials_of(
    reduction: Reduction, table: Table
) -> tuple[list[Any], list[Any], list[int] | None, set[type]]:
    """The partials of a table as columns, and the types of its keys; NaNs, each a key in the table, become one."""
    keys, values, counts = reduction.partials(table)
    kinds = set(map(type, keys))
    if kinds != {str} and holds_nan(keys):
        merged = reduction.table()
        reduction.gather(merged, Slice((), unify_nans(keys), values, counts))
        keys, values, counts = reduction.partials(merged)
    return keys, values, counts, kinds


def gathered(reduction: Reduction, slices: Iterable[Slice]) -> Table:
    """A table of what these slices hold."""
    table = reduction.table()
    for part in slices:
        reduction.gather(table, part)
    return table


def tables_of(stretch: Stretch, reduction: Reduction) -> Iterator[Table]:
    """What a stretch holds; of a key with endless values that do not fold into one, slice by slice."""
    if stretch.endless and not reduction.folds:
        for part in stretch.slices:
            yield gathered(reduction, [part])
    else:
        yield gathered(reduction, stretch.slices)
