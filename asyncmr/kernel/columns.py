"""Columns: a list of Python objects as bytes, and back.

A scan of the values' exact types, in C, picks the cheapest encoding that gives every value back with its
exact type: text, numbers, marshal, and pickle for all else. marshal silently makes bytes of a bytearray, of
an array and of a bytes subclass, so nothing but exact built-in types may reach it. Like marshal itself, the
encoding belongs to one machine and one Python version; what outlives a job records these.

That two values of a column were one object is not kept, except by pickle.
"""

from __future__ import annotations

import marshal
import pickle
from array import array
from contextlib import suppress
from itertools import chain
from typing import Any

from asyncmr.errors import UsageError
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.keyforms import type_name

__all__ = ["decode_column", "encode_column", "estimate_bytes", "is_pickle"]

_NONES = b"n"
_LINES = b"s"
_BYTES = b"B"
_INTS = b"i"
_LONGS = b"q"
_DOUBLES = b"d"
_MARSHAL = b"m"
_PICKLE = b"p"

# The tags of columns that hold no float, at any depth.
NEVER_NAN = frozenset({_NONES, _LINES, _BYTES, _INTS, _LONGS})

_SCALARS: frozenset[type] = frozenset({str, int, float, bytes, bool, complex, type(None)})
_CONTAINERS: frozenset[type] = frozenset({tuple, list, dict, set, frozenset})

# Looking further into nested containers costs more than pickle does.
_DEPTH = 3


def encode_column(values: list[Any]) -> tuple[bytes, bytes]:
    """A tag of one byte, and the values as bytes.

    Raises:
        UsageError: a value that neither pickle nor cloudpickle can make bytes of.
    """
    kinds = set(map(type, values))
    if len(kinds) <= 1:
        kind = kinds.pop() if kinds else type(None)
        encoded = _encode_uniform(kind, values)
        if encoded is not None:
            return encoded
        kinds.add(kind)
    if kinds <= _SCALARS or _is_marshal_safe(values, kinds, _DEPTH):
        with suppress(ValueError):  # a value of 2 GiB or more
            return _MARSHAL, marshal.dumps(values, 2)
    return _PICKLE, _pickle(values)


def decode_column(tag: bytes, data: bytes | memoryview, count: int) -> list[Any]:
    """The `count` values that `encode_column` made `tag` and `data` of. `data` may be a view."""
    if tag == _LINES:
        return str(data, "utf-8", "surrogatepass").split("\n")
    if tag == _MARSHAL:
        return marshal.loads(data)  # type: ignore[no-any-return]
    if tag in _NUMBERS:
        return memoryview(data).cast(_NUMBERS[tag]).tolist()
    if tag == _NONES:
        return [None] * count
    return pickle.loads(data)  # type: ignore[no-any-return]


def is_pickle(tag: bytes) -> bool:
    """Whether a column with this tag is a pickle."""
    return tag == _PICKLE


_NUMBERS: dict[bytes, Any] = {_BYTES: "B", _INTS: "i", _LONGS: "q", _DOUBLES: "d"}


def _encode_uniform(kind: type, values: list[Any]) -> tuple[bytes, bytes] | None:
    if kind is str:
        text = "\n".join(values)
        if text.count("\n") == len(values) - 1:
            return _LINES, text.encode("utf-8", "surrogatepass")
    elif kind is int:
        return _encode_ints(values)
    elif kind is float:
        return _DOUBLES, array("d", values).tobytes()
    elif kind is type(None):
        return _NONES, b""
    return None


def _encode_ints(values: list[int]) -> tuple[bytes, bytes] | None:
    with suppress(ValueError):
        return _BYTES, bytes(values)
    for tag in (_INTS, _LONGS):
        with suppress(OverflowError):
            return tag, array(_NUMBERS[tag], values).tobytes()
    return None


def _is_marshal_safe(values: list[Any], kinds: set[type], depth: int) -> bool:
    if kinds <= _SCALARS:
        return True
    if not depth or not kinds - _SCALARS <= _CONTAINERS:
        return False
    inside: list[Any] = []
    for kind in kinds - _SCALARS:
        holders: list[Any] = values if len(kinds) == 1 else [value for value in values if type(value) is kind]
        inside += chain.from_iterable(holders)
        if kind is dict:
            inside += chain.from_iterable(map(dict.values, holders))
    return _is_marshal_safe(inside, set(map(type, inside)), depth - 1)


def _pickle(values: list[Any]) -> bytes:
    try:
        data = pickle.dumps(values, 5)
        if b"__main__" not in data and b"__job__" not in data:
            return data
    except MemoryError:
        raise
    except Exception:  # what an object that does not pickle raises is up to the object
        pass
    # By value: what is local to a function, a lambda, and every class of the main script or session, or of the file of
    # a job, which a worker may know under another name, or not at all.
    from asyncmr.kernel import by_value

    try:
        return by_value.dumps(values)
    except MemoryError:
        raise
    except Exception as error:
        culprit = _first_unpicklable(values)
        raise UsageError(
            f"{excerpt(culprit)} of type {type_name(type(culprit))} cannot be pickled "
            f"({type(error).__name__}: {error}), so it cannot leave the process that made it; "
            "make keys and values plain data, and open files, locks and connections in `setup`"
        ) from error


def _first_unpicklable(values: list[Any]) -> Any:
    from asyncmr.kernel import by_value

    for value in values:
        try:
            by_value.dumps(value)
        except Exception:
            return value
    return values
