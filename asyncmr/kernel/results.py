"""Results of a stream as bytes, made by the workers that keep the state.

An encoder is a value, as one of a batch job's output: it can be pickled, and has no state.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NamedTuple, Protocol

from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.failures import UserFailure, excerpt, name_of


class Results(NamedTuple):
    """What an epoch changed in a window, or some of it: keys with their new values, as two columns.

    `window`: its start, in seconds since 1970, or None without windows. `final`: nothing will change in it any more.
    """

    keys: list[Any]
    values: list[Any]
    window: float | None
    final: bool
    epoch: int


class ResultEncoder(Protocol):
    """Turns results into the bytes that a sink is given."""

    def encode(self, results: Results, /) -> bytes:
        """The bytes of these results. Those of two calls, concatenated, are the bytes of all of them."""


def encoded(encoder: ResultEncoder, results: Results) -> bytes:
    """These results as `encoder` has them; a `UserFailure` if it raises."""
    try:
        return encoder.encode(results)
    except Exception as error:
        message = f"the encoder {name_of(encoder)} raised {type(error).__name__}: {error}"
        raise UserFailure("encoder", message, key=excerpt(results.keys[0])) from error


@dataclass(frozen=True, slots=True)
class PairResults:
    """Keys and values alone, for `decode_pairs`."""

    def encode(self, results: Results) -> bytes:
        return encode_pairs(results.keys, results.values)


@dataclass(frozen=True, slots=True)
class JsonResults:
    """JSON lines: `{"key": "to", "value": 2, "window": null, "final": false, "epoch": 7}`, in UTF-8.

    What JSON has nothing for becomes its text, as in the answers over HTTP; a tuple becomes a list.
    """

    def encode(self, results: Results) -> bytes:
        keys, values, *rest = results
        tail = ', "window": {}, "final": {}, "epoch": {}}}\n'.format(*map(json.dumps, rest))
        try:
            parts = [tail] * (5 * len(keys))
            parts[::5] = ['{"key": '] * len(keys)
            parts[1::5] = _texts(keys)
            parts[2::5] = [', "value": '] * len(keys)
            parts[3::5] = _texts(values)
            return "".join(parts).encode()
        except ValueError:  # a lone surrogate, for which UTF-8 has no bytes, or an int of thousands of digits
            pairs = zip(keys, values, strict=True)
            lines = (
                f'{{"key": {json.dumps(plain(key))}, "value": {json.dumps(plain(value))}{tail}'
                for key, value in pairs
            )
            return "".join(lines).encode()


# Python makes no more than 4,300 decimal digits of an int.
_MOST_BITS = 14_000

_encode = json.JSONEncoder(ensure_ascii=False).encode


def _texts(column: list[Any]) -> list[str]:
    kinds = set(map(type, column))
    if kinds == {str}:
        return list(map(encode_basestring, column))
    if kinds == {int}:
        return list(map(str, column))
    return [_encode(plain(item)) for item in column]


def plain(value: Any) -> Any:
    """What JSON has for `value`; what it has nothing for becomes its text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < _MOST_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return str(value)
