"""The state of a stream, or the part of it that one worker keeps: tables that outlive the epochs that fill them.

There is a table for each key group and pane (a stretch of time that windows are made of). A round of the session is a
command, `(name, argument)`, and perhaps data; what answers it are the items that are yielded before the next one is
asked for. Whatever is given to be stored is absolute: keys with all that is kept for them. A command comes when what
the one before gave to be stored has been committed.

Tables that outgrow their room are tidied, one after the other: of each, the keys that were not met since its last turn
become rows of a database, and the others stay (the second-chance algorithm, with tables for pages). That changes where
keys are, and nothing that can be asked of them.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, Literal, NamedTuple

from asyncmr.kernel.blocks import Slice, decode_block, decode_pairs, encode_pairs
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.cold import ROWS, Cold, Place, signed
from asyncmr.kernel.cooling import cooled
from asyncmr.kernel.kept import Kept
from asyncmr.kernel.largest import largest
from asyncmr.kernel.layout import Feed, Table
from asyncmr.kernel.outlets import Item
from asyncmr.kernel.results import ResultEncoder, Results, encoded
from asyncmr.kernel.sketch import Sketch
from asyncmr.kernel.windowed import Windowed
from asyncmr.protocols import Pair, Reduction

# A block of results is decoded on the event loop, where it should take less than a millisecond.
_RESULTS = 2048
# Keys that become cold in one round, which the host holds in memory.
_TIDIED = 100_000

WantedWindow = tuple[list[int], float | None, bool]
"""A window of which results are wanted: its panes, its start, and whether it is final: then all of its keys are told,
otherwise those that have changed."""

Command = Literal["load", "apply", "changes", "tidy", "top", "get", "drop"]


def command(name: Command, argument: Any = ()) -> bytes:
    """The first buffer of a round."""
    return marshal.dumps((name, argument))


class Changed(NamedTuple):
    """The keys of a place that an epoch changed, and those that it brought back from the cold."""

    keys: list[Any]
    back: list[Any]


class State:
    """The tables of one worker, and what is to be merged into them when the changes are next asked for.

    `room`: the bytes that the tables may take. `most`: how many keys a place may have, by its group; others are left
    out, and counted.
    """

    def __init__(
        self,
        reduction: Reduction,
        layout: BucketLayout,
        cold: Cold,
        *,
        encoders: Sequence[ResultEncoder] = (),
        room: int,
        most: list[int] | None = None,
    ) -> None:
        self._reduction = reduction
        self._layout = layout
        self._hasher = layout.hasher
        self._cold = cold
        self._encoders = encoders
        self._room = room
        self._most = most
        self._marking = False
        self._size = 0  # of all tables, which may be too many to be added up for each epoch
        # In the order in which they are tidied.
        self._kept: dict[Place, Kept] = {}
        self._windowed = Windowed(reduction, layout.hasher, cold, self._kept)
        # A key that is in many runs of an epoch is looked up in its large table once.
        self._taken: dict[Place, Table] = {}
        self._left_out: list[int] = []

    def serve(self, feed: Feed) -> Iterator[Item]:
        """Obeys the commands that are fed, for ever."""
        while True:
            said, *data = feed.ask(())
            name, argument = marshal.loads(said)
            yield from getattr(self, f"_{name}")(argument, *data)

    def _load(
        self, argument: tuple[list[tuple[int, int, int, int]], list[tuple[int, int, int]]], data: memoryview
    ) -> Iterator[Item]:
        """What was stored of a key group: blocks, each with its place, its end in `data`, and how many of its first
        keys have come back from the cold, older blocks first; and the number of cold rows of each place."""
        blocks, cold = argument
        for group, pane, rows in cold:
            self._at((group, pane)).cold = rows
        for (place, block), (*_, back) in zip(_pieces([b[:3] for b in blocks], data), blocks, strict=True):
            kept = self._at(place)
            found = decode_block(block)
            self._size -= kept.size
            dict.update(kept.table, zip(found.keys, found.values, strict=True))
            kept.returned += found.keys[:back]
            kept.weigh()
            self._size += kept.size
        for place in dict.fromkeys((group, pane) for group, pane, *_ in [*blocks, *cold]):
            kept = self._kept[place]
            yield ("keys", *place, kept.keys), b""
        yield from self._whether_full()

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

        Items: `("delta" or "snapshot", group, pane, keys of the place, keys that came back)`, with a block that begins
        with those; `("results", encoder, number of the window, group)` with some results, encoded; `("left out",)`, a
        sketch of the keys that were not taken in; and `("full",)` if the tables should be tidied.
        """
        wanted, windows, epoch, encoders = argument
        whole = set(wanted)
        changed: dict[Place, Changed] = {}
        # Each is given right after it was merged, while the processor has it in its cache.
        for place in sorted(self._taken.keys() | (whole & self._kept.keys())):
            if place in self._taken and (merged := self._merge(place, self._taken.pop(place))):
                changed[place] = merged
            kept = self._kept[place]
            if place in whole:
                yield ("snapshot", *place, kept.keys, len(kept.returned)), kept.block(kept.returned)
            elif place in changed:
                keys, back = changed[place]
                yield ("delta", *place, kept.keys, len(back)), kept.block(back, keys)
        groups = sorted({group for group, _ in self._kept}) if windows else []
        for number, (panes, start, final) in enumerate(windows):
            for group in groups:
                of = None if final else _keys_of(changed, group, panes)
                for keys, values in self._results(group, panes, of):
                    results = Results(keys, values, start, final, epoch)
                    for encoder in encoders:
                        yield ("results", encoder, number, group), encoded(self._encoders[encoder], results)
        if self._left_out:
            yield ("left out",), Sketch().with_hashes(self._left_out).registers
            self._left_out = []
        yield from self._whether_full()

    def _results(
        self, group: int, panes: list[int], of: list[Any] | None
    ) -> Iterator[tuple[list[Any], list[Any]]]:
        """Results of a group, of these keys or of all, some at a time, as columns. All are in the order of the hash,
        which does not depend on what is hot."""
        for keys, table in self._windowed.tables(group, panes, of):
            found = self._reduction.results(self._layout.ordered(keys) if of is None else keys, table)
            while some := list(islice(found, _RESULTS)):
                names, values = map(list, zip(*some, strict=True))
                yield names, values

    def _merge(self, place: Place, taken: Table) -> Changed | None:
        """Merges what was taken in into the table of a place; the keys that this changed, if there are any."""
        keys, values, counts = self._reduction.partials(taken)
        kept = self._at(place)
        self._size -= kept.size
        back = self._back(place, kept, keys) if kept.has_cold else []
        if self._most is not None and kept.keys + len(keys) > self._most[place[0]]:
            keys, values = self._admitted(place, kept, keys, values)
        if keys:
            self._reduction.gather(kept.table, Slice((), keys, values, counts))
            kept.met(keys)
        self._size += kept.size
        return Changed(keys, back) if keys or back else None

    def _back(self, place: Place, kept: Kept, keys: list[Any]) -> list[Any]:
        """Takes those of these keys that are cold back into their table, and any that share a hash with them."""
        missing = [key for key in keys if key not in kept.table]
        back: list[Any] = []
        for start in range(0, len(missing), ROWS):
            hashes = signed(self._hasher.hashes(missing[start : start + ROWS]))
            found = self._cold.find(place, hashes)
            back += kept.take_back(found.keys, found.values)
        return back

    def _admitted(
        self, place: Place, kept: Kept, keys: list[Any], values: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """What there is room for among the keys of the place."""
        assert self._most is not None
        group, pane = place
        new = [key for key in keys if key not in kept.table]
        refused = new[max(0, self._most[group] - kept.keys) :]
        if not refused:
            return keys, values
        # The same key of another pane is another one.
        self._left_out += [
            value ^ (pane * 0x9E3779B97F4A7C15 & (1 << 64) - 1) for value in self._hasher.hashes(refused)
        ]
        out = set(refused)
        pairs = [pair for pair in zip(keys, values, strict=True) if pair[0] not in out]
        return [key for key, _ in pairs], [value for _, value in pairs]

    def _whether_full(self) -> Iterator[Item]:
        if not self._marking and self._size > self._room // 2:
            self._marking = True
            for kept in self._kept.values():
                kept.touched = set()
        if self._size > self._room:
            yield ("full",), b""

    def _tidy(self, argument: tuple[()]) -> Iterator[Item]:
        """Makes room: until an eighth of it is free, or so many keys have become cold that the rest may wait for
        another round.

        Items: those of `cooled`, and `("full",)` if there is more to be done.
        """
        goal = self._room * 7 // 8
        tidied = 0
        for place in list(self._kept) * 2:  # the second time round nothing has been touched
            if self._size <= goal or tidied >= _TIDIED:
                break
            kept = self._kept[place] = self._kept.pop(place)
            self._size -= kept.size
            gone = [key for key in kept.table if key not in (kept.touched or ())]
            if gone:
                yield from cooled(place, kept, gone, self._reduction, self._hasher)
                tidied += len(gone)
            kept.touched = set()
            self._size += kept.size
        if tidied >= _TIDIED and self._size > goal:
            yield ("full",), b""

    def _top(self, argument: tuple[int, list[int]]) -> Iterator[Item]:
        """The `k` keys with the largest values in some panes together, as a block of pairs."""
        k, panes = argument
        found: list[Pair] = []
        for group in sorted({group for group, _ in self._kept}):
            places = [(group, pane) for pane in panes if (group, pane) in self._kept]
            one = len(places) == 1
            pieces = self._windowed.largest(places[0], k) if one else self._windowed.tables(group, panes)
            for keys, table in pieces:
                pairs: Iterable[Pair] = self._reduction.results(keys, table)
                if not self._reduction.finishes and len(keys) == len(table):
                    pairs = table.items()  # without a look-up for each
                if len(found) == k:  # of most tables none is as large as the least of those
                    least = found[-1][1]
                    pairs = [pair for pair in pairs if not pair[1] < least]
                found = largest(k, [*found, *pairs])
        yield ("top",), _pairs(found)

    def _get(self, argument: tuple[int, list[int]], data: memoryview) -> Iterator[Item]:
        """The value of one key, if it has one: its group and the panes, and a block of pairs with the key."""
        group, panes = argument
        keys, _ = decode_pairs(data)
        for found, table in self._windowed.tables(group, panes, keys):
            if found:
                yield ("found",), _pairs(list(self._reduction.results(found, table)))

    def _drop(self, panes: list[int]) -> Iterator[Item]:
        """Forgets panes."""
        for place in [place for place in self._kept if place[1] in panes]:
            self._size -= self._kept.pop(place).size
        yield from ()

    def _at(self, place: Place) -> Kept:
        kept = self._kept.get(place)
        if kept is None:
            kept = self._kept[place] = Kept(self._reduction.table(), marking=self._marking)
        return kept


def _keys_of(changed: dict[Place, Changed], group: int, panes: list[int]) -> list[Any]:
    """The keys of a group that have changed in some panes, each once."""
    columns = [changed[group, pane].keys for pane in panes if (group, pane) in changed]
    return columns[0] if len(columns) == 1 else list(dict.fromkeys(chain.from_iterable(columns)))


def _pairs(pairs: list[Pair]) -> bytes:
    return encode_pairs([key for key, _ in pairs], [value for _, value in pairs])


def _pieces(places: list[Any], data: memoryview) -> Iterator[tuple[Place, memoryview]]:
    ends = [0, *(end for *_, end in places)]
    for (group, pane, _), (start, end) in zip(places, pairwise(ends), strict=True):
        yield (group, pane), data[start:end]
