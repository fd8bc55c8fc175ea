"""Cold keys: rows of a database, each a key with what is kept for it, its hash, and how large its result is.

A text or an integer is itself in a row, so that the database can order it; anything else is bytes, the first of which
says how they were made. Rows travel as JSON, which SQLite takes apart by itself, and the bytes behind it.
"""

from __future__ import annotations

import json
import marshal
import struct
from collections.abc import Iterator
from math import isfinite
from typing import Any, NamedTuple, Protocol

from asyncmr.kernel.columns import decode_column, encode_column, is_pickle
from asyncmr.kernel.nans import holds_nan, unify_nans

Place = tuple[int, int]
"""A key group and a pane."""

# Rows that are read or written at a time.
ROWS = 4096
LEAST_HASH, MOST_HASH = -(1 << 63), (1 << 63) - 1

_MARSHAL, _COLUMN = b"m", b"c"
_MARSHALLED: frozenset[type] = frozenset({str, bytes, float, int, bool, type(None)})
_EXACT = 1 << 53


class Rows(NamedTuple):
    """Rows as columns. `hashes`: less 2**63, since SQLite's have a sign; the order is the same."""

    hashes: list[int]
    keys: list[Any]
    values: list[Any]


class Cold(Protocol):
    """The cold rows of a state, as they were last committed."""

    def find(self, place: Place, hashes: list[int]) -> Rows:
        """All rows of a place that have one of these hashes."""

    def between(self, place: Place, first: int, last: int) -> Rows:
        """The rows of a place with hashes from `first` to `last`, both included, in that order."""

    def bound(self, place: Place, first: int) -> int | None:
        """The hash of the last of the few thousand rows from `first` on; None if there are no more than those."""

    def ranked(self, place: Place) -> Iterator[tuple[int, Any, Any]]:
        """Rank, key and value of the rows that have a rank, the largest first, equal ones in the order of the key that
        SQLite knows: integers, texts, anything else."""

    def plain_ties(self, place: Place, rank: int) -> bool:
        """Whether all keys with this rank are texts, or all integers, which Python orders as SQLite does."""

    def unranked(self, place: Place) -> Iterator[Rows]:
        """The rows that have no rank, some at a time."""

    def close(self) -> None:
        """Ends it."""


def signed(hashes: list[int]) -> list[int]:
    """As rows have them."""
    return [value + LEAST_HASH for value in hashes]


def ranks_of(results: list[Any]) -> list[int | None]:
    """What rows are ordered by: integers in the order of the results, and equal for equal ones. None for a result of
    which that cannot be said."""
    numbers = [
        float(result)
        if (type(result) is int and -_EXACT <= result <= _EXACT)
        or (type(result) is float and isfinite(result))
        else None
        for result in results
    ]
    count = len(numbers)
    bits = struct.unpack(f"<{count}q", struct.pack(f"<{count}d", *(number or 0.0 for number in numbers)))
    return [
        None if number is None else value if value >= 0 else LEAST_HASH - value
        for number, value in zip(numbers, bits, strict=True)
    ]


def encode_rows(rows: Rows, ranks: list[int | None]) -> tuple[int, bytes]:
    """Some rows, and where in that the JSON ends."""
    blobs = bytearray()
    keys, values = _native(rows.keys, blobs), _native(rows.values, blobs)
    listed = list(zip(rows.hashes, ranks, keys, values, strict=True))
    text = json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode()
    return len(text), text + blobs


def _native(column: list[Any], blobs: bytearray) -> list[Any]:
    """A column for JSON: texts and integers as they are; of all else, where it begins in `blobs` and its length."""
    kinds = set(map(type, column))
    if len(kinds) == 1 and _is_native(kinds.pop(), column):
        return column
    found: list[Any] = []
    for value in column:
        if _is_native(type(value), [value]):
            found.append(value)
        else:
            data = encode_value(value)
            found.append((len(blobs) + 1, len(data)))  # SQLite counts from 1
            blobs += data
    return found


def _is_native(kind: type, column: list[Any]) -> bool:
    """Whether SQLite gives all of these back as they are."""
    if kind is int:
        return int(min(column)) >= LEAST_HASH and int(max(column)) <= MOST_HASH
    if kind is not str:
        return False
    text = "".join(column)
    return "\0" not in text and (text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text))


def encode_value(value: Any) -> bytes:
    """Anything as bytes."""
    if type(value) in _MARSHALLED:
        return _MARSHAL + marshal.dumps(value, 2)
    tag, data = encode_column([value])
    return _COLUMN + tag + data


def is_pickled(found: Any) -> bool:
    """Whether a key or value, as a row has it, holds a pickle."""
    return type(found) is bytes and found[:1] == _COLUMN and is_pickle(found[1:2])


def decode_value(data: bytes) -> Any:
    """What `encode_value` made bytes of."""
    if data[:1] == _MARSHAL:
        return marshal.loads(data[1:])
    return decode_column(data[1:2], memoryview(data)[2:], 1)[0]


def decode_values(column: list[Any]) -> list[Any]:
    """What rows hold as the objects that they were made of."""
    if bytes not in set(map(type, column)):
        return column
    return [decode_value(value) if type(value) is bytes else value for value in column]


def decode_keys(column: list[Any]) -> list[Any]:
    """The same for keys, among which all NaNs are one."""
    keys = decode_values(column)
    return unify_nans(keys) if holds_nan(keys) else keys
