"""What a key is: every key's plain form, the same in every process and on every Python.

The plain form of a key is made of exact str, bytes, int, float, None and tuple alone, and two keys have
equal plain forms if and only if they are one key: equal under `==`, or both NaN. A number with an integral
value is an int, so that `1`, `1.0`, `True` and `Decimal(1)` meet; a float in a plain form is neither
integral nor NaN. What has no plain counterpart becomes a tuple that opens with Ellipsis, which no key may
hold. `marshal`, at its frozen version 2, turns a plain form into bytes: exact, in C, no hash seed.

Which form a type has follows from the class that defines its `==`: a namedtuple compares as tuple does and
has a tuple's form, a str that redefines `==` is refused. Those classes are known by name, so that no module
is imported for them: a key of a type can only exist where its module is loaded.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from itertools import chain
from operator import ne
from typing import Any

from asyncmr.errors import KeyTypeError, UsageError
from asyncmr.kernel import keyforms
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.keyforms import class_names, refuse, type_name

Form = Callable[[Any], Any]

_PLAIN: frozenset[type] = frozenset({str, bytes, int, type(None)})
_PLAIN_IF_LOOKED_INTO: frozenset[type] = _PLAIN | {float, tuple}


def canonical(key: object) -> bytes:
    """Bytes that two keys share if and only if they are one key.

    Raises:
        KeyTypeError: `key`, or something that it holds, has no value that is the same in every process.
    """
    return marshal.dumps(plain(key), 2)


def plain(key: Any) -> Any:
    """The plain form of `key`; see the head of this file. Raises KeyTypeError as `canonical` does."""
    return form_of(type(key))(key)


def plain_column(keys: list[Any]) -> list[Any]:
    """The plain form of each key; the list itself, found out in C, where every key is its own plain form."""
    return keys if _are_plain(keys) else list(map(plain, keys))


def _are_plain(keys: list[Any]) -> bool:
    kinds = set(map(type, keys))
    if kinds <= _PLAIN:
        return True
    if not kinds <= _PLAIN_IF_LOOKED_INTO:
        return False
    if float in kinds:
        floats = keys if len(kinds) == 1 else [key for key in keys if type(key) is float]
        if any(map(float.is_integer, floats)) or any(map(ne, floats, floats)):
            return False
    if tuple not in kinds:
        return True
    tuples = keys if len(kinds) == 1 else [key for key in keys if type(key) is tuple]
    if set(map(type, chain.from_iterable(tuples))) <= _PLAIN:
        return True
    return _are_plain(list(chain.from_iterable(tuples)))


def register_key_type(cls: type, canonical: Callable[[Any], object]) -> None:
    """Makes `cls` and its subclasses usable as keys.

    `canonical` turns an instance into the built-in key that it stands for, often a tuple: instances that are
    equal must give equal keys, all others different ones. An instance and what it stands for are one key; a
    class whose instances must stay apart from plain tuples puts a name of its own in front.

    Call it where the module of `cls` is imported, so that worker processes know the type as well.

        register_key_type(Point, lambda point: ("Point", point.x, point.y))
    """
    if not isinstance(cls, type) or not callable(canonical):  # type: ignore[redundant-expr]
        raise UsageError(
            f"register_key_type({excerpt(cls)}, {excerpt(canonical)}): it takes a class, "
            "and a function that turns an instance into a built-in key"
        )
    if cls is object or cls in _EXACT or (cls.__module__, cls.__qualname__) in _BY_EQUALITY:
        raise UsageError(
            f"register_key_type({type_name(cls)}): this type is a key as it is; register a class of your own"
        )

    def registered(key: Any) -> Any:
        stands_for = canonical(key)
        if isinstance(stands_for, cls):
            raise KeyTypeError(
                f"the function registered for keys of type {type_name(cls)} returned {excerpt(stands_for)}, "
                "which is such a key again; it must return a built-in key, a tuple say"
            )
        return plain(stands_for)

    _registered[cls] = registered
    for known in [known for known in _forms if issubclass(known, cls)]:
        del _forms[known]


def form_of(cls: type) -> Form:
    """The function that makes the plain form of the keys of type `cls`; it raises where there is none."""
    form = _forms.get(cls)
    if form is None:
        form = _forms[cls] = _find_form(cls)
    return form


def _find_form(cls: type) -> Form:
    for base in cls.__mro__:
        if base in _registered:
            return _registered[base]
    owner = next(base for base in cls.__mro__ if "__eq__" in vars(base))
    if owner is object:
        bases = {(base.__module__, base.__qualname__) for base in cls.__mro__}
        if ("enum", "Flag") in bases:
            return keyforms.plain_flag
        return keyforms.plain_enum if ("enum", "Enum") in bases else refuse
    form = _BY_EQUALITY.get((owner.__module__, owner.__qualname__))
    return form or _dataclass_form(cls, owner)


def _dataclass_form(cls: type, owner: type) -> Form:
    code = getattr(vars(owner)["__eq__"], "__code__", None)
    # A dataclass may define __eq__ itself; the code that the decorator generates is known by this name.
    generated = code is not None and code.co_qualname.startswith("__create_fn__.")
    if not generated or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return refuse
    from dataclasses import fields

    names = [field.name for field in fields(owner) if field.compare]
    head = (..., "dataclass", *class_names(cls))
    return lambda key: (*head, *[plain(getattr(key, name)) for name in names])


def plain_tuple(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(map(plain, tuple.__iter__(key)))


def plain_frozenset(key: frozenset[Any]) -> tuple[Any, ...]:
    return ..., "frozenset", *sorted(set(map(canonical, frozenset.__iter__(key))))


_EXACT: dict[type, Form] = {
    str: str.__str__,
    bytes: keyforms.plain_bytes,
    int: int.__int__,
    bool: int.__int__,
    float: keyforms.plain_float,
    complex: keyforms.plain_complex,
    type(None): keyforms.plain_none,
    tuple: plain_tuple,
    frozenset: plain_frozenset,
}

_BY_EQUALITY: dict[tuple[str, str], Form] = {
    **{("builtins", cls.__name__): form for cls, form in _EXACT.items()},
    ("fractions", "Fraction"): keyforms.plain_fraction,
    ("decimal", "Decimal"): keyforms.plain_decimal,
    ("uuid", "UUID"): keyforms.plain_uuid,
    ("datetime", "date"): keyforms.plain_date,
    ("datetime", "time"): keyforms.plain_time,
    ("datetime", "datetime"): keyforms.plain_datetime,
    ("datetime", "timedelta"): keyforms.plain_timedelta,
}

_registered: dict[type, Form] = {}
_forms: dict[type, Form] = dict(_EXACT)
