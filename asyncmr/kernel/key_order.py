"""An order of keys of all kinds, for ties: total, also among NaNs and sets, and the same in every process.

Keys are compared in parts first, by those who keep some of them, and then together. So the order of two keys must not
depend on which others there are.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from asyncmr.kernel.keys import canonical

# Keys of one such kind are in this order as they are.
_PLAIN: frozenset[type] = frozenset({str, bytes, int})


def is_plain(kinds: set[type]) -> bool:
    """Whether keys of these types may be compared themselves."""
    return len(kinds) == 1 and kinds <= _PLAIN


def place_of(key: Any) -> tuple[Any, ...]:
    """What to compare in place of a key: numbers come first, then text, bytes, tuples, and then other kinds."""
    kind = type(key)
    if kind is str:
        return 1, key
    if kind in (int, float, bool):
        nan = key != key
        return 0, nan, 0 if nan else key
    if kind is bytes:
        return 2, key
    if kind is tuple:
        return 3, tuple(map(place_of, key))
    return 4, kind.__qualname__, key if kind is date else canonical(key)
