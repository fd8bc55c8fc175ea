"""JSON lines: one value a line, as a source, and pairs as a format of output that reads back in.

JSON has str, int, float, bool, None, lists, and dicts whose keys are str; all of these come back equal. A tuple is
written as a list. As a key, or within one, it comes back as a tuple, since no key can be a list; in a value it
comes back as a list. Whatever else there is would come back as something else, and is refused: bytes, dates, Decimal,
sets, dicts with other keys, NaN and the infinities, ints of more than 4,300 digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, ClassVar

from asyncmr.errors import FormatError
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.parsed_lines import ParsedLines
from asyncmr.protocols import Pair

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False).encode
_CONTAINERS = (dict, list, tuple)


@dataclass(frozen=True, slots=True)
class JsonLines(ParsedLines):
    """One JSON value a line: `(None, value)`. NaN and Infinity are taken, as Python writes them."""

    name: ClassVar[str] = "JSON"

    def parse(self, line: str) -> Pair:
        return None, json.loads(line)

    def columns(self, lines: list[str]) -> tuple[None, list[Any]]:
        return None, list(map(json.loads, lines))


@dataclass(frozen=True, slots=True)
class JsonPairs(ParsedLines):
    """The pairs that `JsonFormat` wrote: `(key, value)`."""

    keyed: ClassVar[bool] = True
    name: ClassVar[str] = '{"key": ..., "value": ...}'

    def parse(self, line: str) -> Pair:
        pair = json.loads(line)
        if type(pair) is not dict or pair.keys() != {"key", "value"}:
            raise ValueError('expected an object with "key" and "value" and nothing else')
        key = pair["key"]
        return (_tuples(key) if type(key) is list else key), pair["value"]


def _tuples(key: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuples(item) if type(item) is list else item for item in key)


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """`{"key": ..., "value": ...}` on a line each, in UTF-8.

    Raises:
        FormatError: a key or value has no JSON that reads back as what it is.
    """

    def encode(self, keys: list[Any], values: list[Any]) -> bytes:
        try:
            parts = ["}\n"] * (5 * len(keys))
            parts[::5] = ['{"key": '] * len(keys)
            parts[1::5] = _texts(keys)
            parts[2::5] = [', "value": '] * len(keys)
            parts[3::5] = _texts(values)
            return "".join(parts).encode()
        except Exception:  # one of them has no JSON, or needs an escape
            return b"".join(map(_line, keys, values))


def _texts(column: list[Any]) -> list[str]:
    kinds = set(map(type, column))
    if kinds == {str}:
        return list(map(encode_basestring, column))
    if kinds == {int}:
        return list(map(int.__repr__, column))
    if kinds == {float} and all(map(isfinite, column)):
        return list(map(float.__repr__, column))
    texts = list(map(_encode, column))
    _check_keys(column)
    return texts


def _check_keys(items: Iterable[Any]) -> None:
    """Raises a TypeError for a dict with keys that are no str, which JSON would make str. Nothing holds itself."""
    level = [item for item in items if isinstance(item, _CONTAINERS)]
    while level:
        inside = []
        for item in level:
            held: Iterable[Any] = item
            if isinstance(item, dict):
                for key in item:
                    if not isinstance(key, str):
                        raise TypeError(f"the dict key {excerpt(key)} is no str")
                held = item.values()
            inside += [inner for inner in held if isinstance(inner, _CONTAINERS)]
        level = inside


def _line(key: Any, value: Any) -> bytes:
    """One pair; lone surrogates escaped, which UTF-8 has no room for."""
    for what, item in (("key", key), ("value of the key", value)):
        try:
            text = _texts([item])[0]
            if not is_unicode(text) and _surrogates_meet(item):
                raise ValueError("two lone surrogates lie side by side")
        except (TypeError, ValueError, RecursionError) as error:
            told = excerpt(key)
            raise FormatError(
                f"the {what} {told} cannot be written as JSON: {error}. JSON has str, int, finite float, bool, None, "
                "lists, and dicts with str keys; make it one of these, or write the text format",
                key=told,
            ) from error
    line = f'{{"key": {_encode(key)}, "value": {_encode(value)}}}\n'
    if not is_unicode(line):
        line = f'{{"key": {_encode_ascii(key)}, "value": {_encode_ascii(value)}}}\n'
    return line.encode()


def is_unicode(text: str) -> bool:
    """Whether UTF-8 has bytes for it: not for a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _surrogates_meet(item: Any) -> bool:
    """Whether two escapes would read back as one character."""
    return _encode(json.loads(_encode_ascii(item))) != _encode(item)
