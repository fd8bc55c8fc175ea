"""The state of a stream, or the part of it that one worker keeps: tables that outlive the epochs that fill them.

There is a table for each key group and pane (a stretch of time that windows are made of). A round of the session is a
command, `(name, argument)`, and perhaps data; what answers it are the items that are yielded before the next one is
asked for. Whatever is given to be stored is absolute: keys with all that is kept for them.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Sequence
from heapq import nlargest, nsmallest
from itertools import islice, pairwise
from typing import Any, Literal

from asyncmr.kernel.blocks import Slice, decode_block, decode_pairs, encode_block, encode_pairs
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.layout import Feed, Table
from asyncmr.kernel.outlets import Item
from asyncmr.kernel.pane_tables import merged
from asyncmr.kernel.results import ResultEncoder, Results, encoded
from asyncmr.protocols import Pair, Reduction

# A block of results is decoded on the event loop, where it should take less than a millisecond.
_RESULTS = 2048

Place = tuple[int, int]
"""A key group and a pane."""

WantedWindow = tuple[list[int], float | None, bool]
"""A window of which results are wanted: its panes, its start, and whether it is final: then all of its keys are told,
otherwise those that have changed."""

Command = Literal["load", "apply", "changes", "top", "get", "drop"]


def command(name: Command, argument: Any = ()) -> bytes:
    """The first buffer of a round."""
    return marshal.dumps((name, argument))


class State:
    """The tables of one worker, and what is to be merged into them when the changes are next asked for."""

    def __init__(
        self, reduction: Reduction, layout: BucketLayout, encoders: Sequence[ResultEncoder] = ()
    ) -> None:
        self._reduction = reduction
        self._layout = layout
        self._encoders = encoders
        self._tables: dict[Place, Table] = {}
        # A key that is in many runs of an epoch is looked up in its large table once.
        self._taken: dict[Place, Table] = {}

    def serve(self, feed: Feed) -> Iterator[Item]:
        """Obeys the commands that are fed, for ever."""
        while True:
            said, *data = feed.ask(())
            name, argument = marshal.loads(said)
            yield from getattr(self, f"_{name}")(argument, *data)

    def _load(self, places: list[tuple[int, int, int]], data: memoryview) -> Iterator[Item]:
        """Blocks as they were given to be stored, each with its place and its end in `data`, older ones first."""
        for place, block in _pieces(places, data):
            table = self._table(place)
            found = decode_block(block)
            dict.update(table, zip(found.keys, found.values, strict=True))
        for place in dict.fromkeys((group, pane) for group, pane, _ in places):
            yield ("keys", *place, len(self._tables[place])), b""

    def _apply(self, places: list[tuple[int, int, int]], data: memoryview) -> Iterator[Item]:
        """Runs, as mappers make them, each with its place and its end in `data`; in input order."""
        gather = self._reduction.gather
        for place, piece in _pieces(places, data):
            taken = self._taken.get(place)
            if taken is None:
                taken = self._taken[place] = self._reduction.table()
            for run in self._layout.slices(piece):
                gather(taken, run)
        yield from ()

    def _changes(self, argument: tuple[list[Place], list[WantedWindow], int, list[int]]) -> Iterator[Item]:
        """What has changed. `argument`: the places of which everything is wanted; some windows; the number of the
        epoch; and by which encoders the results are wanted.

        Items: `("delta" or "snapshot", group, pane, keys in the table)` with a block; and `("results", encoder, number
        of the window, group)` with some results, encoded.
        """
        wanted, windows, epoch, encoders = argument
        whole = set(wanted)
        changed = self._merge_taken()
        for place in sorted(changed.keys() | (whole & self._tables.keys())):
            table = self._tables[place]
            if place in whole:
                block = Slice((), *self._reduction.snapshot(table))
                yield ("snapshot", *place, len(table)), encode_block(block, placed=False)
            else:
                keys = changed[place]
                block = Slice((), keys, list(map(table.__getitem__, keys)), None)
                yield ("delta", *place, len(table)), encode_block(block, placed=False)
        groups = sorted({group for group, _ in self._tables}) if windows else []
        for number, (panes, start, final) in enumerate(windows):
            for group in groups:
                of = None
                if not final:
                    of = list(dict.fromkeys(key for pane in panes for key in changed.get((group, pane), ())))
                    if not of:
                        continue
                table = self._merged(group, panes, of)
                found = self._reduction.results(list(table) if of is None else of, table)
                while some := list(islice(found, _RESULTS)):
                    keys, values = map(list, zip(*some, strict=True))
                    results = Results(keys, values, start, final, epoch)
                    for encoder in encoders:
                        yield ("results", encoder, number, group), encoded(self._encoders[encoder], results)

    def _merge_taken(self) -> dict[Place, list[Any]]:
        """Merges what was taken in into the tables; the keys that this changed."""
        changed = {}
        for place, taken in self._taken.items():
            changed[place], values, counts = self._reduction.partials(taken)
            self._reduction.gather(self._table(place), Slice((), changed[place], values, counts))
        self._taken = {}
        return changed

    def _top(self, argument: tuple[int, list[int]]) -> Iterator[Item]:
        """The `k` keys with the largest values in some panes together, as a block of pairs."""
        k, panes = argument
        found: list[Pair] = []
        for group in sorted({group for group, _ in self._tables}):
            table = self._merged(group, panes)
            found = largest(k, [*found, *largest(k, list(self._reduction.results(list(table), table)))])
        yield ("top",), _pairs(found)

    def _get(self, argument: tuple[int, list[int]], data: memoryview) -> Iterator[Item]:
        """The value of one key, if it has one: its group and the panes, and a block of pairs with the key."""
        group, panes = argument
        (key,), _ = decode_pairs(data)
        table = self._merged(group, panes)
        if key in table:
            yield ("found",), _pairs(list(self._reduction.results([key], table)))

    def _drop(self, panes: list[int]) -> Iterator[Item]:
        """Forgets panes."""
        for place in [place for place in self._tables if place[1] in panes]:
            del self._tables[place]
        yield from ()

    def _table(self, place: Place) -> Table:
        table = self._tables.get(place)
        if table is None:
            table = self._tables[place] = self._reduction.table()
        return table

    def _merged(self, group: int, panes: list[int], keys: list[Any] | None = None) -> Table:
        """The table of some panes together, at least of `keys`."""
        tables = [self._tables[group, pane] for pane in panes if (group, pane) in self._tables]
        return tables[0] if len(tables) == 1 else merged(self._reduction, tables, keys)


def largest(k: int, pairs: list[Pair]) -> list[Pair]:
    """The `k` pairs with the largest values, largest first; equal ones in the order of their keys."""
    if len(pairs) > k:
        least = min(nlargest(k, (value for _, value in pairs)))
        above = [pair for pair in pairs if pair[1] > least]
        ties = [pair for pair in pairs if pair[1] == least]
        pairs = above + _first(k - len(above), ties)
    pairs = _first(len(pairs), pairs)
    pairs.sort(key=lambda pair: pair[1], reverse=True)
    return pairs


def _first(k: int, pairs: list[Pair]) -> list[Pair]:
    try:
        return nsmallest(k, pairs, key=lambda pair: pair[0])
    except TypeError:  # keys of kinds that have no order among each other
        return nsmallest(k, pairs, key=lambda pair: (type(pair[0]).__qualname__, repr(pair[0])))


def _pairs(pairs: list[Pair]) -> bytes:
    return encode_pairs([key for key, _ in pairs], [value for _, value in pairs])


def _pieces(places: list[tuple[int, int, int]], data: memoryview) -> Iterator[tuple[Place, memoryview]]:
    ends = [0, *(end for *_, end in places)]
    for (group, pane, _), (start, end) in zip(places, pairwise(ends), strict=True):
        yield (group, pane), data[start:end]
