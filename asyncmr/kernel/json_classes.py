"""Values of the standard library's types, and of a user's classes, as JSON. See `typed_json`, which calls this.

A class is written as its name and what its object holds. To read it back the class must be there already: nothing is
imported and no function of the class is called, so a file from elsewhere cannot make this process run anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from asyncmr.kernel.keyforms import type_name

Inner = Callable[[Any], Any]
"""What writes, or reads, the values that a value holds."""

# The same module under other names: that of a job's file, of a script, and of a script in its workers.
_MAIN = ("__job__", "__main__", "__mp_main__")
# Set in the `__flags__` of classes that Python code has made.
_HEAP_TYPE = 1 << 9


def write_object(value: Any, inner: Inner) -> Any:
    """What JSON has for a value that is of no built-in type.

    Raises:
        TypeError: there is nothing for a value of its type.
    """
    cls = type(value)
    write = _STANDARD.get(type_name(cls))
    if write is not None:
        return {f"${cls.__name__}": write(value)}
    names = [cls.__module__, cls.__qualname__]
    bases = {type_name(base) for base in cls.__mro__}
    if "enum.Enum" in bases:
        return {"$enum": [*names, value.value if "enum.Flag" in bases else value.name]}
    if isinstance(value, tuple) and len(getattr(cls, "_fields", "")) == len(value):
        return {"$namedtuple": [*names, list(map(inner, value))]}
    held = _held_by(value)
    if held is None:
        raise TypeError(
            f"there is no JSON for the type {type_name(cls)}; built-in types, dates, enums, namedtuples and "
            "dataclasses have one"
        )
    return {"$dataclass": [*names, {name: inner(item) for name, item in held.items()}]}


def _held_by(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, if they are all that it holds."""
    cls = type(value)
    if not hasattr(cls, "__dataclass_fields__") or not _is_of_python(cls):
        return None
    from dataclasses import fields

    held = {field.name: getattr(value, field.name) for field in fields(cls)}
    return held if getattr(value, "__dict__", {}).keys() <= held.keys() else None


def _is_of_python(cls: type) -> bool:
    return all(base.__flags__ & _HEAP_TYPE for base in cls.__mro__[:-1])


def _write_datetime(value: Any) -> Any:
    zone = getattr(value.tzinfo, "key", None)
    if zone is None and value.tzinfo is not None and type_name(type(value.tzinfo)) != "datetime.timezone":
        raise TypeError(
            f"the zone of a time is a {type_name(type(value.tzinfo))}; use datetime.timezone or zoneinfo"
        )
    local = value if zone is None else value.replace(tzinfo=None)
    return local.isoformat() if zone is None and not value.fold else [local.isoformat(), value.fold, zone]


def _read_datetime(kind: str, held: Any) -> Any:
    import datetime

    cls = getattr(datetime, kind)
    if isinstance(held, str):
        return cls.fromisoformat(held)
    text, fold, zone = held
    made = cls.fromisoformat(text).replace(fold=fold)
    if zone is None:
        return made
    from zoneinfo import ZoneInfo

    return made.replace(tzinfo=ZoneInfo(zone))


# By name, so that no module is imported for them: an object of a type exists only where that is loaded.
_STANDARD: dict[str, Callable[[Any], Any]] = {
    "decimal.Decimal": str,
    "fractions.Fraction": str,
    "uuid.UUID": str,
    "datetime.date": lambda value: value.isoformat(),
    "datetime.datetime": _write_datetime,
    "datetime.time": _write_datetime,
    "datetime.timedelta": lambda value: [value.days, value.seconds, value.microseconds],
}


def read_standard(name: str, held: Any) -> Any:
    """The value of a type of the standard library that was written under this name."""
    if name == "Decimal":
        from decimal import Decimal

        return Decimal(held)
    if name == "Fraction":
        from fractions import Fraction

        return Fraction(held)
    if name == "UUID":
        from uuid import UUID

        return UUID(held)
    if name in ("datetime", "time"):
        return _read_datetime(name, held)
    import datetime

    return datetime.date.fromisoformat(held) if name == "date" else datetime.timedelta(*held)


def read_object(name: str, held: Any, inner: Inner) -> Any:
    """The object that was written under this name: an enum member, a namedtuple or a dataclass.

    Raises:
        ValueError: its class is not there, or another one than it was.
    """
    module, qualified, content = held
    cls = _class(module, qualified)
    what = f"{module}.{qualified}"
    bases = {type_name(base) for base in cls.__mro__}
    if name == "enum" and "enum.Enum" in bases:
        return cls(content) if "enum.Flag" in bases else vars(cls)["_member_map_"][content]
    if name == "namedtuple" and issubclass(cls, tuple) and len(getattr(cls, "_fields", "")) == len(content):
        return tuple.__new__(cls, map(inner, content))
    if name == "dataclass" and hasattr(cls, "__dataclass_fields__") and _is_of_python(cls):
        from dataclasses import fields

        if content.keys() == {field.name for field in fields(cls)}:
            made: Any = object.__new__(cls)
            for attribute, item in content.items():
                object.__setattr__(made, attribute, inner(item))
            return made
    raise ValueError(f"{what} is no {name} with what was written of it; it has changed since")


def _class(module: str, qualified: str) -> type:
    for place in _MAIN if module in _MAIN else (module,):
        found: Any = sys.modules.get(place)
        for part in qualified.split("."):
            found = getattr(found, part, None)
        if isinstance(found, type):
            return found
    raise ValueError(
        f"the class {module}.{qualified} is not there; it must be in the file of the job, or be imported by that"
    )
