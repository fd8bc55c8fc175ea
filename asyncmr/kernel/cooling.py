"""Cooling: keys of a table become rows of a database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from asyncmr.kernel.cold import ROWS, Place, Rows, encode_rows, ranks_of, signed
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.kept import Kept
from asyncmr.kernel.outlets import Item
from asyncmr.protocols import Reduction


def cooled(
    place: Place, kept: Kept, gone: list[Any], reduction: Reduction, hasher: KeyHasher
) -> Iterator[Item]:
    """Takes the keys in `gone` out of a table.

    Items: `("stale", group, pane)`, hashes of rows that go, as JSON; `("rows", group, pane, end of the JSON)`, rows
    that come; and `("stay", group, pane, cold rows)` with a block of what stays.
    """
    if kept.returned:
        yield ("stale", *place), json.dumps(signed(hasher.hashes(kept.returned))).encode()
    for start in range(0, len(gone), ROWS):
        keys = gone[start : start + ROWS]
        rows = Rows(signed(hasher.hashes(keys)), keys, list(map(kept.table.__getitem__, keys)))
        ranks = ranks_of([result for _, result in reduction.results(keys, kept.table)])
        end, data = encode_rows(rows, ranks)
        yield ("rows", *place, end), data
    kept.cold += len(gone) - len(kept.returned)
    kept.returned = []
    leaving = set(gone)
    table = reduction.table()
    dict.update(table, [pair for pair in kept.table.items() if pair[0] not in leaving])
    kept.table = table
    yield ("stay", *place, kept.cold), kept.block() if table else b""
