"""What the panes of a window come to together: hot keys and cold ones, in pieces that fit into memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from asyncmr.kernel.cold import LEAST_HASH, MOST_HASH, ROWS, Cold, Place, Rows, signed
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.kept import Kept
from asyncmr.kernel.pane_tables import merged
from asyncmr.kernel.tables import Table
from asyncmr.protocols import Reduction

# Results are put in order by 53 bits of the hash: hashes that are alike in those are never in two pieces.
_ALIKE = (1 << 11) - 1

Piece = tuple[list[Any], Table]
"""Some keys, and a table that holds them."""


class Windowed:
    """Reads windows of the places in `kept`, and leaves all as it is."""

    def __init__(
        self, reduction: Reduction, hasher: KeyHasher, cold: Cold, kept: Mapping[Place, Kept]
    ) -> None:
        self._reduction = reduction
        self._hasher = hasher
        self._cold = cold
        self._kept = kept

    def tables(self, group: int, panes: list[int], of: list[Any] | None = None) -> Iterator[Piece]:
        """The keys of a group in some panes together, or those of them that are in `of`; in pieces, one after the other
        in the order of the hash if they are all keys."""
        places = [(group, pane) for pane in panes if (group, pane) in self._kept]
        if not places:
            return
        cold = any(self._kept[place].has_cold for place in places)
        if not cold:
            hot = [self._kept[place].table for place in places]
            table = hot[0] if len(hot) == 1 else merged(self._reduction, hot, of)
            yield list(table) if of is None else [key for key in of if key in table], table
        elif of is None:
            yield from self._ranges(places)
        else:
            for start in range(0, len(of), ROWS):
                some = of[start : start + ROWS]
                table = self._together([self._some(place, some) for place in places])
                yield [key for key in some if key in table], table

    def largest(self, place: Place, k: int) -> Iterator[Piece]:
        """Keys of a place among which are the `k` with the largest results, equal ones in their order."""
        kept = self._kept[place]
        yield list(kept.table), kept.table
        if not kept.has_cold:
            return
        best = (row for row in self._cold.ranked(place) if row[1] not in kept.table)
        first = list(islice(best, k))
        yield _piece(first)
        if len(first) == k and not self._cold.plain_ties(place, first[-1][0]):
            # Keys that only Python can put in order: all those with the same result are candidates.
            for row in best:
                if row[0] != first[-1][0]:
                    break
                yield _piece([row])
        for rows in self._cold.unranked(place):
            table = dict(_not_in(kept.table, rows))
            yield list(table), table

    def _some(self, place: Place, keys: list[Any]) -> Table:
        """What a place holds of these keys."""
        kept = self._kept[place]
        table = {key: kept.table[key] for key in keys if key in kept.table}
        missing = [key for key in keys if key not in table]
        if missing and kept.has_cold:
            wanted = set(missing)
            found = self._cold.find(place, signed(self._hasher.hashes(missing)))
            table.update(pair for pair in zip(found.keys, found.values, strict=True) if pair[0] in wanted)
        return table

    def _ranges(self, places: list[Place]) -> Iterator[Piece]:
        """All keys of these places, range by range of their hashes."""
        hot = [self._by_hash(self._kept[place].table) for place in places]
        most = max(places, key=lambda place: self._kept[place].cold)
        at = [0] * len(places)
        first = LEAST_HASH
        while first <= MOST_HASH:
            bound = self._cold.bound(most, first)
            last = MOST_HASH if bound is None else bound | _ALIKE
            tables = []
            for number, place in enumerate(places):
                kept = self._kept[place]
                hashes, keys = hot[number]
                end = bisect_right(hashes, last)
                table = {key: kept.table[key] for key in keys[at[number] : end]}
                at[number] = end
                if kept.has_cold:
                    rows = self._cold.between(place, first, last)
                    table.update(_not_in(kept.table, rows))
                tables.append(table)
            table = self._together(tables)
            yield list(table), table
            first = last + 1

    def _by_hash(self, table: Table) -> tuple[list[int], list[Any]]:
        keys = list(table)
        hashes = signed(self._hasher.hashes(keys)) if keys else []
        order = sorted(range(len(keys)), key=hashes.__getitem__)
        return [hashes[place] for place in order], [keys[place] for place in order]

    def _together(self, tables: list[Table]) -> Table:
        return tables[0] if len(tables) == 1 else merged(self._reduction, tables)


def _not_in(table: Table, rows: Rows) -> Iterator[tuple[Any, Any]]:
    """Rows of keys that are not hot."""
    return (pair for pair in zip(rows.keys, rows.values, strict=True) if pair[0] not in table)


def _piece(rows: list[tuple[int, Any, Any]]) -> Piece:
    table = {key: value for _, key, value in rows}
    return list(table), table
