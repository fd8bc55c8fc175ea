"""The plain forms of keys that hold no other keys: numbers, times, enum members, UUIDs. See `keys`.

A function is called with keys of its type alone, so it imports nothing to make that type known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from asyncmr.errors import KeyTypeError
from asyncmr.kernel.failures import excerpt

if TYPE_CHECKING:
    from datetime import date, datetime, time, timedelta
    from decimal import Decimal
    from fractions import Fraction
    from uuid import UUID

NAN_FORM = (..., "nan")

# A Decimal of more digits than this before or after its point would cost seconds and gigabytes as a ratio of
# integers (its exponent may be 10**18); it is told by its digits, and meets other Decimals only.
_DECIMAL_REACH = 10_000

_ADVICE: dict[type, str] = {
    list: "use a tuple",
    dict: "use frozenset(d.items())",
    set: "use a frozenset",
    bytearray: "use bytes",
    memoryview: "use bytes",
    range: "use a tuple of its start, stop and step",
}


def refuse(key: object) -> NoReturn:
    """Raises the KeyTypeError that says why `key` cannot be one, and what could."""
    cls = type(key)
    if cls in _ADVICE:
        advice = _ADVICE[cls]
    elif hasattr(cls, "__dataclass_params__"):
        advice = "declare it with @dataclass(frozen=True) and the == that comes with it, or use a tuple"
    else:
        advice = "use a tuple of its fields, or register the type with asyncmr.register_key_type"
    raise KeyTypeError(
        f"{excerpt(key)} of type {type_name(cls)} cannot be a key, or a part of one: "
        f"it has no value that is known to be the same in every process; {advice}"
    )


def type_name(cls: type) -> str:
    """What a message calls a type."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def class_names(cls: type) -> tuple[str, str]:
    """What tells a class from others, in every process."""
    # A worker imports the main script as __mp_main__: there its classes have another module than in the host.
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return module, cls.__qualname__


def plain_bytes(key: bytes) -> bytes:
    return b"".join((key,))


def plain_none(_key: None) -> None:
    return None


def plain_float(key: float) -> Any:
    value = float.__float__(key)
    if value.is_integer():
        return int(value)
    return value if value == value else NAN_FORM


def plain_complex(key: complex) -> Any:
    value = complex.__pos__(key)
    if value != value:
        return NAN_FORM
    if not value.imag:
        return plain_float(value.real)
    return ..., "complex", plain_float(value.real), plain_float(value.imag)


def plain_fraction(key: Fraction) -> Any:
    return _rational(int(key.numerator), int(key.denominator))


def plain_decimal(key: Decimal) -> Any:
    if key.is_snan():
        refuse(key)
    if key.is_nan():
        return NAN_FORM
    if key.is_infinite():
        return float(key)
    if key and abs(key.adjusted()) > _DECIMAL_REACH:
        sign, digits, _exponent = key.as_tuple()
        return ..., "decimal", sign, "".join(map(str, digits)).rstrip("0"), key.adjusted()
    return _rational(*key.as_integer_ratio()) if key else 0


def _rational(numerator: int, denominator: int) -> Any:
    if denominator == 1:
        return numerator
    try:
        value = numerator / denominator
        exact = value.as_integer_ratio() == (numerator, denominator)
    except OverflowError:
        exact = False
    return value if exact else (..., "ratio", numerator, denominator)


def plain_enum(key: Any) -> tuple[Any, ...]:
    return ..., "enum", *class_names(type(key)), key._name_


def plain_flag(key: Any) -> tuple[Any, ...]:
    # Combined flags have a name on some Pythons only.
    return ..., "enum", *class_names(type(key)), int(key._value_)


def plain_uuid(key: UUID) -> tuple[Any, ...]:
    return ..., "uuid", key.int


def plain_date(key: date) -> tuple[Any, ...]:
    return ..., "date", key.toordinal()


def plain_timedelta(key: timedelta) -> tuple[Any, ...]:
    return ..., "timedelta", _microseconds(key)


def plain_time(key: time) -> tuple[Any, ...]:
    offset = key.utcoffset()
    if offset is None:
        return ..., "time", _of_day(key)
    return ..., "time utc", _of_day(key) - _microseconds(offset)


def plain_datetime(key: datetime) -> tuple[Any, ...]:
    local = key.toordinal() * 86_400_000_000 + _of_day(key)
    if key.tzinfo is None:
        return ..., "datetime", local
    first = key.replace(fold=0)
    offset = first.utcoffset()
    if offset is None:
        return ..., "datetime", local
    folded = key.replace(fold=1).utcoffset()
    if folded == offset:
        return ..., "datetime utc", local - _microseconds(offset)
    # A time that a change of clocks repeats or skips is equal to none in another zone (PEP 495).
    zone = getattr(key.tzinfo, "key", None) or first.tzname()
    return ..., "datetime folded", local, _microseconds(offset), str(zone)


def _microseconds(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _of_day(key: time | datetime) -> int:
    return ((key.hour * 60 + key.minute) * 60 + key.second) * 1_000_000 + key.microsecond
