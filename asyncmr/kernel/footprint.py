"""What Python objects take in memory, estimated the same in every process.

Tables are flushed by this estimate, and when a table is flushed decides what a job writes. `sys.getsizeof`
would not do: the size of a str grows when somebody asks for its UTF-8, that of a list depends on how it was
filled. So the built-in types are sized by length, as CPython 3.11 lays them out and its allocator rounds up;
only types that this file does not know are asked.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from itertools import chain
from types import MemberDescriptorType
from typing import Any

# Two levels see the strings in a tuple in a list; deeper ones are few, or no business of a quick estimate.
_LEVELS = 2
_POINTER = 8


def estimate_bytes(sample: list[Any]) -> int:
    """About how many bytes the objects of `sample` take, what they hold included, sharing left aside.

    Depends on types, lengths and values alone. Costs 50 to 200 ns for each object.
    """
    return _estimate(sample, _LEVELS)


def _estimate(values: list[Any], levels: int) -> int:
    kinds = set(map(type, values))
    if len(kinds) == 1:
        return _size_of(kinds.pop(), values, levels)
    columns: defaultdict[type, list[Any]] = defaultdict(list)
    for value in values:
        columns[type(value)].append(value)
    return sum(_size_of(kind, column, levels) for kind, column in columns.items())


def _size_of(kind: type, values: list[Any], levels: int) -> int:
    if issubclass(kind, Enum):
        return 0
    base: Any  # its own __iter__ is called, never one that a subclass overrides
    for base in kind.__mro__:
        if base in _SIZES:
            size = _SIZES[base](values)
            if base in _HOLDERS and levels:
                inside = list(chain.from_iterable(map(base.__iter__, values)))
                if base is dict:
                    inside += chain.from_iterable(map(dict.values, values))
                size += _estimate(inside, levels - 1)
            if base is kind:
                return size
            break
    else:
        size = sum(map(_size_by_type, values))
    if levels:
        members = list(chain.from_iterable(map(_attributes, values)))
        size += len(members) * _POINTER + _estimate(members, levels - 1)
    return size


def _texts(values: list[str]) -> int:
    characters = sum(map(str.__len__, values))
    if not "".join(values).isascii():
        characters = sum(len(value) * _width(value) for value in values)
    return 56 * len(values) + characters


def _width(text: str) -> int:
    """Bytes that each character takes: the widest one decides for all."""
    if text.isascii():
        return 1
    widest = ord(max(text))
    return 1 if widest < 0x100 else 2 if widest < 0x10000 else 4


def _by_length(cls: Any, fixed: int, each: int) -> Callable[[list[Any]], int]:
    return lambda values: fixed * len(values) + each * sum(map(cls.__len__, values))


def _flat(fixed: int) -> Callable[[list[Any]], int]:
    return lambda values: fixed * len(values)


def _integers(values: list[int]) -> int:
    large = [value for value in values if not -6 < value < 257]  # CPython keeps the small ones once
    return sum(map(int.bit_length, large)) // 8 + 30 * len(large)


_SIZES: dict[type, Callable[[list[Any]], int]] = {
    str: _texts,
    bytes: _by_length(bytes, 40, 1),
    bytearray: _by_length(bytearray, 64, 1),
    int: _integers,
    bool: _flat(0),
    float: _flat(32),
    complex: _flat(32),
    type(None): _flat(0),
    tuple: _by_length(tuple, 48, _POINTER),
    list: _by_length(list, 64, _POINTER),
    dict: _by_length(dict, 184, 32),
    set: _by_length(set, 216, 48),
    frozenset: _by_length(frozenset, 216, 48),
}
_HOLDERS: frozenset[type] = frozenset({tuple, list, dict, set, frozenset})


def _size_by_type(value: object) -> int:
    try:
        return sys.getsizeof(value) + 8
    except Exception:  # a __sizeof__ of the user's
        return 64


def _attributes(value: Any) -> Iterable[Any]:
    yield from getattr(value, "__dict__", {}).values()
    for base in type(value).__mro__:
        if "__slots__" in vars(base):
            for member in vars(base).values():
                if type(member) is MemberDescriptorType:
                    with suppress(AttributeError):  # never assigned
                        yield member.__get__(value)
