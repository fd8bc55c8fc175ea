"""Blocks: columns of pairs as bytes.

A run is what one map task, or one merge, made for one partition. A block of it holds keys, values and, where a
key may have several values, how many each has; where runs are merged in the order of the hash, also the keys' places.
A block of pairs holds keys and values only: results on their way to the next step, or to a caller.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from asyncmr.kernel.columns import NEVER_NAN, decode_column, encode_column, is_pickle
from asyncmr.kernel.nans import holds_nan, unify_nans

# number of keys, number of values, lengths of the four columns, tags of keys and values, flags
_HEADER = struct.Struct("<IIQQQQccB")
_NANS = 1
_PAIRS = struct.Struct("<QIQQcc")

# A merge holds a block of each of its runs as Python objects, which take ten times as much.
BLOCK_BYTES = 64 << 10
BLOCK_PAIRS = 4096


class Slice(NamedTuple):
    """Consecutive pairs of one run. `places` is the order column: the keys themselves where the job sorts, and empty
    where the pairs lie in no order.

    `counts`: None when every key has exactly one value.
    """

    places: Sequence[Any]
    keys: list[Any]
    values: list[Any]
    counts: list[int] | None

    def cut(self, at: int) -> tuple[Slice, Slice]:
        """The first `at` keys, and the rest."""
        if self.counts is None:
            middle, head, tail = at, None, None
        else:
            head, tail = self.counts[:at], self.counts[at:]
            middle = sum(head)
        places, keys, values = self.places, self.keys, self.values
        return (
            Slice(places[:at], keys[:at], values[:middle], head),
            Slice(places[at:], keys[at:], values[middle:], tail),
        )


def encode_block(run: Slice, *, placed: bool) -> bytes:
    """One block of these pairs; `placed`: with their places, which are floats."""
    places = array("d", run.places).tobytes() if placed else b""
    counts = b"" if run.counts is None else array("I", run.counts).tobytes()
    key_tag, keys = encode_column(run.keys)
    value_tag, values = encode_column(run.values)
    flags = _NANS if key_tag not in NEVER_NAN and holds_nan(run.keys) else 0
    lengths = (len(places), len(counts), len(keys), len(values))
    header = _HEADER.pack(len(run.keys), len(run.values), *lengths, key_tag, value_tag, flags)
    return b"".join((header, places, counts, keys, values))


def block_views(data: memoryview) -> Iterator[memoryview]:
    """Each of some blocks that lie one behind the other."""
    at = 0
    while at < len(data):
        _, _, *lengths, _, _, _ = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + sum(lengths)
        yield data[at:end]
        at = end


def keys_in(block: memoryview) -> int:
    """How many keys a block holds."""
    return int(_HEADER.unpack_from(block)[0])


def keys_of(block: memoryview) -> list[Any] | None:
    """The keys of a block; None if they are a pickle, which is not opened for that."""
    n_keys, _, *lengths, key_tag, _, flags = _HEADER.unpack_from(block)
    if is_pickle(key_tag):
        return None
    start = _HEADER.size + lengths[0] + lengths[1]
    keys = decode_column(key_tag, block[start : start + lengths[2]], n_keys)
    return unify_nans(keys) if flags & _NANS else keys


def holds_pickles(block: memoryview) -> bool:
    """Whether there is a pickle in a block, which only the Python that made it is sure to read."""
    *_, key_tag, value_tag, _ = _HEADER.unpack_from(block)
    return is_pickle(key_tag) or is_pickle(value_tag)


def decode_blocks(data: memoryview) -> Iterator[Slice]:
    """The pairs of blocks that lie one behind the other, block by block."""
    return map(decode_block, block_views(data))


def decode_block(data: memoryview) -> Slice:
    """The pairs of one block. Without places, the keys stand for them."""
    n_keys, n_values, *lengths, key_tag, value_tag, flags = _HEADER.unpack_from(data)
    ends = list(accumulate(lengths, initial=_HEADER.size))
    places_data, counts_data, keys_data, values_data = (data[a:b] for a, b in pairwise(ends))
    keys = decode_column(key_tag, keys_data, n_keys)
    if flags & _NANS:
        keys = unify_nans(keys)
    places: Sequence[Any] = keys
    if lengths[0]:
        floats = array("d")
        floats.frombytes(places_data)
        places = floats
    counts = None
    if lengths[1]:
        numbers = array("I")
        numbers.frombytes(counts_data)
        counts = numbers.tolist()
    return Slice(places, keys, decode_column(value_tag, values_data, n_values), counts)


def cut_blocks(run: Slice, *, placed: bool) -> Iterator[bytes]:
    """A run as blocks of at most twice `BLOCK_BYTES`, halved until they are; a key's piece may be larger alone."""
    if len(run.values) <= BLOCK_PAIRS or len(run.keys) == 1:
        data = encode_block(run, placed=placed)
        if len(data) <= 2 * BLOCK_BYTES or len(run.keys) == 1:
            yield data
            return
    for half in run.cut(len(run.keys) // 2):
        yield from cut_blocks(half, placed=placed)


def encode_pairs(keys: list[Any], values: list[Any]) -> bytes:
    """A block of results. Blocks may be put one behind the other."""
    key_tag, key_data = encode_column(keys)
    value_tag, value_data = encode_column(values)
    size = _PAIRS.size + len(key_data) + len(value_data)
    header = _PAIRS.pack(size, len(keys), len(key_data), len(value_data), key_tag, value_tag)
    return b"".join((header, key_data, value_data))


def pair_blocks(data: bytes | memoryview) -> Iterator[tuple[memoryview, int]]:
    """Each of the blocks of results put one behind the other, and how many pairs it holds."""
    view = memoryview(data)
    at = 0
    while at < len(view):
        size, count, *_ = _PAIRS.unpack_from(view, at)
        yield view[at : at + size], count
        at += size


def decode_pairs(data: bytes | memoryview) -> tuple[list[Any], list[Any]]:
    """The keys and values of blocks of results, put one behind the other."""
    keys: list[Any] = []
    values: list[Any] = []
    for block, count in pair_blocks(data):
        _, _, key_length, value_length, key_tag, value_tag = _PAIRS.unpack_from(block)
        middle = _PAIRS.size + key_length
        keys += decode_column(key_tag, block[_PAIRS.size : middle], count)
        values += decode_column(value_tag, block[middle : middle + value_length], count)
    return keys, values
