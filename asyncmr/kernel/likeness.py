"""Likeness: whether two results of the same values are the same, but for what rounding does to them.

The last bits of a sum of floats depend on how it is grouped, for every correct operator. So floats, complex numbers
and Decimals are compared with a tolerance, relative to the largest number in sight, wherever they are inside
lists, tuples, mappings, dataclasses and other objects. All else is compared by `==`. NaN is like NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import chain
from math import inf, isfinite
from numbers import Number
from types import MemberDescriptorType
from typing import Any

# Above what float sums of some values, single precision included, differ by; far below what a wrong mean is off by.
TOLERANCE = 1e-6

_ROUNDED = (float, complex, Decimal)
_SIMPLE = (str, bytes, int, type(None))
# Values may hold themselves; what is deeper is compared by ==.
_LEVELS = 20


def magnitude(values: Iterable[Any], levels: int = _LEVELS) -> float:
    """The sum of the sizes of all numbers in `values`: no partial sum of them is larger. Infinite on overflow."""
    total = 0.0
    for value in values:
        if isinstance(value, str | bytes) or value is None:
            continue
        if isinstance(value, Number):
            total += _size(value)
        elif levels and (inside := _inside(value)) is not None:
            total += magnitude(inside, levels - 1)
    return total


def alike(first: Any, second: Any, *, scale: float, tolerance: float = TOLERANCE) -> bool:
    """Whether two results are the same; see the head of this file.

    `scale`: the `magnitude` of the values that they were made of. Where numbers cancel each other out, the error is
    relative to it. Where it is infinite, nothing can be said of floats, and all of them are alike.
    """
    return _alike(first, second, scale, tolerance, _LEVELS)


def _alike(first: Any, second: Any, scale: float, tolerance: float, levels: int) -> bool:
    if first is second:
        return True
    if isinstance(first, _SIMPLE) and isinstance(second, _SIMPLE):
        return first == second
    if isinstance(first, Number) and isinstance(second, Number):
        return _equal(first, second) or _close(first, second, scale, tolerance)
    if not levels:
        return _equal(first, second)

    def same(one: Any, other: Any) -> bool:
        return _alike(one, other, scale, tolerance, levels - 1)

    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if len(first) != len(second):
            return False
        return all(key in second and same(value, second[key]) for key, value in first.items())
    if isinstance(first, tuple | list):
        if not isinstance(second, list if isinstance(first, list) else tuple) or len(first) != len(second):
            return False
        return all(map(same, first, second))
    if _equal(first, second):
        return True
    if type(first) is not type(second) or isinstance(first, str | bytes | set | frozenset):
        return False
    one, other = _inside(first), _inside(second)
    return one is not None and other is not None and len(one) == len(other) and all(map(same, one, other))


def _equal(first: Any, second: Any) -> bool:
    try:
        return bool(first == second) or bool(first != first and second != second)
    except Exception:  # an array, or an == of the user's: what is inside decides
        return False


def _close(first: Any, second: Any, scale: float, tolerance: float) -> bool:
    if not isinstance(first, _ROUNDED) and not isinstance(second, _ROUNDED):
        return False
    largest = max(_size(first), _size(second), scale)
    if not isfinite(scale):
        return True
    try:
        away = (
            float(abs(first - second))
            if type(first) is type(second)
            else abs(complex(first) - complex(second))
        )
    except (ArithmeticError, TypeError, ValueError):
        return False
    return isfinite(largest) and away <= tolerance * largest


def _size(number: Any) -> float:
    try:
        size = float(abs(number))
    except OverflowError:
        return inf
    except (ArithmeticError, TypeError, ValueError):
        return 0.0
    return size if size == size else 0.0


def _inside(value: Any) -> list[Any] | None:
    """What an object holds, in an order of its own that an equal object shares; None where nobody can tell."""
    if isinstance(value, Mapping):
        return list(chain(value.keys(), value.values()))
    if isinstance(value, tuple | list):
        return list(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if hasattr(value, "tolist"):  # an array of numpy's, say
        listed = value.tolist()
        return listed if isinstance(listed, list) else [listed]
    if isinstance(value, Iterable) and hasattr(value, "__len__"):  # a deque
        return list(value)
    members = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots = [member for member in vars(base).values() if type(member) is MemberDescriptorType]
        members.update(
            {slot.__name__: slot.__get__(value) for slot in slots if hasattr(value, slot.__name__)}
        )
    if members or hasattr(value, "__dict__"):
        return [part for name in sorted(members) for part in (name, members[name])]
    return None  # an object of a C extension shows nothing of what it holds
