"""Values as JSON from which they come back as they were: equal, and of the same type.

What JSON has is written as it is: None, bool, int, finite float, str, lists, and dicts whose keys are str. Anything
else is an object of one name that begins with "$": `{"$tuple": [1, 2]}`, `{"$bytes": "aGk="}`, `{"$float": "nan"}`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

from asyncmr.errors import FormatError
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.json_classes import read_object, read_standard, write_object
from asyncmr.kernel.json_lines import is_unicode

encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode
# Of longer ints Python reads no decimal text, since that takes quadratic time.
_DECIMAL_BITS = 10_000


def texts(column: list[Any]) -> list[str]:
    """Each value as JSON text, which is one line, and for which UTF-8 has room.

    Raises:
        FormatError: one of them would not come back as it was.
    """
    kinds = set(map(type, column))
    if kinds == {str} and is_unicode("".join(column)):
        return list(map(encode_basestring, column))
    if kinds == {int} and max(map(int.bit_length, column)) < _DECIMAL_BITS:
        return list(map(int.__repr__, column))
    return list(map(_text, column))


def _text(value: Any) -> str:
    try:
        return encode(plain(value))
    except (TypeError, ValueError, RecursionError) as error:
        told = excerpt(value)
        raise FormatError(f"{told} cannot be written as JSON: {error}", key=told) from error


def plain(value: Any) -> Any:
    """What JSON has for a value.

    Raises:
        TypeError: there is nothing for one of its type. RecursionError: it holds itself.
    """
    write = _WRITERS.get(type(value))
    return write_object(value, plain) if write is None else write(value)


def value_of(found: Any) -> Any:
    """The value for which `plain` gave this.

    Raises:
        ValueError: it did not.
    """
    if type(found) is list:
        return list(map(value_of, found))
    if type(found) is not dict:
        return found
    if len(found) == 1:
        ((name, held),) = found.items()
        if name[:1] == "$":
            return _read(name[1:], held)
    return {key: value_of(item) for key, item in found.items()}


def _read(name: str, held: Any) -> Any:
    reader = _READERS.get(name)
    if reader is None:
        raise ValueError(f"{excerpt(name)} is no type that is known here")
    try:
        return reader(held)
    except (TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ValueError(f"{excerpt(held)} is no {name}: {error}") from error


def _same(value: Any) -> Any:
    return value


def _str(value: str) -> Any:
    if value.isascii() or is_unicode(value):
        return value
    return {"$str": _base64(value.encode("utf-8", "surrogatepass"))}


def _int(value: int) -> Any:
    return value if value.bit_length() < _DECIMAL_BITS else {"$int": hex(value)}


def _float(value: float) -> Any:
    return value if isfinite(value) else {"$float": repr(value)}


def _list(value: Iterable[Any]) -> list[Any]:
    return list(map(plain, value))


def _set(value: Iterable[Any]) -> list[Any]:
    return sorted(map(plain, value), key=encode)  # equal sets are to be equal text


def _dict(value: dict[Any, Any]) -> Any:
    if all(type(key) is str and key[:1] != "$" and is_unicode(key) for key in value):
        return {key: plain(item) for key, item in value.items()}
    return {"$dict": _pairs(value)}


def _pairs(value: dict[Any, Any]) -> list[Any]:
    return [[plain(key), plain(item)] for key, item in value.items()]


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _dict_of(kind: type[dict[Any, Any]], pairs: list[Any]) -> dict[Any, Any]:
    made = kind()
    for key, item in pairs:
        made[value_of(key)] = value_of(item)
    return made


_WRITERS: dict[type, Callable[[Any], Any]] = {
    type(None): _same,
    bool: _same,
    int: _int,
    float: _float,
    str: _str,
    list: _list,
    dict: _dict,
    tuple: lambda value: {"$tuple": _list(value)},
    set: lambda value: {"$set": _set(value)},
    frozenset: lambda value: {"$frozenset": _set(value)},
    bytes: lambda value: {"$bytes": _base64(value)},
    bytearray: lambda value: {"$bytearray": _base64(value)},
    complex: lambda value: {"$complex": [_float(value.real), _float(value.imag)]},
    Counter: lambda value: {"$Counter": _pairs(value)},
    OrderedDict: lambda value: {"$OrderedDict": _pairs(value)},
    deque: lambda value: {"$deque": [_list(value), value.maxlen]},
}

_READERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "str": lambda text: _bytes(text).decode("utf-8", "surrogatepass"),
    "dict": partial(_dict_of, dict),
    "tuple": lambda items: tuple(map(value_of, items)),
    "set": lambda items: set(map(value_of, items)),
    "frozenset": lambda items: frozenset(map(value_of, items)),
    "bytes": _bytes,
    "bytearray": lambda text: bytearray(_bytes(text)),
    "complex": lambda parts: complex(*map(value_of, parts)),
    "Counter": partial(_dict_of, Counter),
    "OrderedDict": partial(_dict_of, OrderedDict),
    "deque": lambda held: deque(map(value_of, held[0]), held[1]),
    **{
        name: partial(read_standard, name)
        for name in ("Decimal", "Fraction", "UUID", "date", "datetime", "time", "timedelta")
    },
    **{name: partial(read_object, name, inner=value_of) for name in ("enum", "namedtuple", "dataclass")},
}
