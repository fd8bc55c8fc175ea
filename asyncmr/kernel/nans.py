"""NaNs in keys: Python holds every NaN for a key of its own, asyncmr for one.

A dict looks at identity before `==`. So once every NaN in the keys is the one object below, tables and
comparisons need no special case: a tuple that holds it is found as well.
"""

from __future__ import annotations

from itertools import chain
from operator import ne
from typing import Any
from weakref import WeakValueDictionary

from asyncmr.kernel import keyforms
from asyncmr.kernel.keys import canonical, form_of, plain_frozenset, plain_tuple

NAN = float("nan")

_NAN_BYTES = canonical(NAN)
_NEVER: frozenset[type] = frozenset({str, bytes, int, bool, type(None)})
_COLLECTIONS: frozenset[type] = frozenset({tuple, frozenset})
_LOOKED_INTO: frozenset[type] = _COLLECTIONS | {float}
_NEVER_FORMS = frozenset(
    {
        str.__str__,
        int.__int__,
        keyforms.plain_bytes,
        keyforms.plain_enum,
        keyforms.plain_flag,
        keyforms.plain_uuid,
        keyforms.plain_date,
        keyforms.plain_time,
        keyforms.plain_datetime,
        keyforms.plain_timedelta,
    }
)
_NUMBER_FORMS = frozenset({keyforms.plain_float, keyforms.plain_complex, keyforms.plain_decimal})

# Instances of the user's classes cannot be rebuilt with another NaN: the first of several stands for all, as
# long as somebody holds it.
_first: WeakValueDictionary[bytes, Any] = WeakValueDictionary()
_first_of_slotted: dict[bytes, Any] = {}


def same_key(a: object, b: object) -> bool:
    """Whether two keys are one: equal, or different only in which NaN they hold."""
    return bool(a == b) or (holds_nan([a, b]) and canonical(a) == canonical(b))


def holds_nan(keys: list[Any]) -> bool:
    """Whether any key is or contains a NaN; costs next to nothing where the types rule it out."""
    types = set(map(type, keys)) - _NEVER
    if types <= {float}:
        return bool(types) and any(map(ne, keys, keys))
    if types <= _LOOKED_INTO:
        floats = [key for key in keys if type(key) is float]
        inside = chain.from_iterable(key for key in keys if type(key) in _COLLECTIONS)
        return any(map(ne, floats, floats)) or holds_nan(list(inside))
    if all(form_of(cls) in _NEVER_FORMS for cls in types):
        return False
    return any(map(_is_or_holds_nan, keys))


def _is_or_holds_nan(key: object) -> bool:
    # A str that spells these bytes is taken for a NaN; that costs time, and nothing else.
    return type(key) not in _NEVER and _NAN_BYTES in canonical(key)


def unify_nans(keys: list[Any]) -> list[Any]:
    """The same keys, every NaN in them one object, so that a dict finds equal those that are one key."""
    return list(map(_unify, keys))


def _unify(key: Any) -> Any:
    if not _is_or_holds_nan(key):
        return key
    form = form_of(type(key))
    if form in _NUMBER_FORMS:
        return NAN
    if form is plain_frozenset:
        return frozenset(map(_unify, key))
    if form is not plain_tuple:
        return _first_like(key)
    items = tuple(map(_unify, key))
    # A namedtuple keeps its type; of other subclasses, only the items count for a key.
    return tuple.__new__(type(key), items) if hasattr(key, "_make") else items


def _first_like(key: Any) -> Any:
    name = canonical(key)
    try:
        return _first.setdefault(name, key)
    except TypeError:
        return _first_of_slotted.setdefault(name, key)
