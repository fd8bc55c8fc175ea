"""What is kept for one key group and pane: the hot keys as a table, and how many more are cold."""

from __future__ import annotations

from itertools import islice
from typing import Any

from asyncmr.kernel.blocks import Slice, encode_block
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.tables import Table

# What a dict takes for an entry, with room to grow.
_ENTRY = 110
# What it takes to remember that a key was touched.
_MARK = 64
_SAMPLE = 256


class Kept:
    """The hot keys of a place, `table`, and of its `cold` rows how many there are.

    A key that comes back from the cold is hot from then on, and what its row says counts no more; the row itself goes
    when the place is next tidied. `returned`: those keys.
    `touched`: the keys that were met since the place was last tidied; None as long as there is room for all.
    """

    __slots__ = ("_changed", "_each", "_weighed", "cold", "returned", "table", "touched")

    def __init__(self, table: Table, *, marking: bool) -> None:
        self.table = table
        self.cold = 0
        self.returned: list[Any] = []
        self.touched: set[Any] | None = set() if marking else None
        self._each = float(_ENTRY)
        self._weighed = 0
        self._changed = 0

    @property
    def keys(self) -> int:
        """How many there are, hot and cold, each once."""
        return len(self.table) + self.cold - len(self.returned)

    @property
    def has_cold(self) -> bool:
        """Whether there are keys that are in no table."""
        return self.cold > len(self.returned)

    @property
    def size(self) -> int:
        """About what it takes in memory."""
        return int(len(self.table) * self._each) + len(self.touched or ()) * _MARK

    def take_back(self, keys: list[Any], values: list[Any]) -> list[Any]:
        """Cold rows as they were found; the keys that this made hot."""
        table = self.table
        back = [key for key in keys if key not in table]
        if back:
            found = zip(keys, values, strict=True)
            dict.update(table, [pair for pair in found if pair[0] not in table])
            self.returned += back
        return back

    def met(self, keys: list[Any]) -> None:
        """These keys have changed. Their values may have grown, so now and then a sample is weighed: so rarely that
        it costs a hundredth of what it takes to change them."""
        if self.touched is not None:
            self.touched.update(keys)
        self._changed += len(keys)
        if self._changed > self._weighed:
            self.weigh()

    def block(self, first: list[Any] | None = None, others: list[Any] | None = None) -> bytes:
        """A block of some keys, by default of all; `first` come first."""
        keys = list(self.table) if others is None else others
        if first:
            keys = list(dict.fromkeys([*first, *keys]))
        return encode_block(Slice((), keys, list(map(self.table.__getitem__, keys)), None), placed=False)

    def weigh(self) -> None:
        """Looks at a sample of the table."""
        count = len(self.table)
        every = max(count // _SAMPLE, 1)
        keys = list(islice(self.table, 0, None, every))
        values = list(islice(self.table.values(), 0, None, every))
        if keys:
            self._each = _ENTRY + (estimate_bytes(keys) + estimate_bytes(values)) / len(keys)
        self._weighed, self._changed = max(count, 64), 0
