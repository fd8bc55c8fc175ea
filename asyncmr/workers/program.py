"""Program: the object that workers run, pickled once, sent to each worker once."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from reprlib import repr as short_repr
from typing import Any

from asyncmr.errors import UsageError
from asyncmr.kernel import by_value


class Program:
    """An object whose generator methods workers run.

    It is pickled here and now, by value, so that a lambda or closure may be part of it and that one
    which cannot be sent fails before any worker is taken. `id` is a hash of what would be sent: an object
    pickled again unchanged is not sent again, and one whose globals have changed is. `parts`: pickled objects that the
    programs of a worker share, by their `id`; one with parts is prepared before its first session in a worker.

    Raises:
        UsageError: the object cannot be pickled; `name` says in the message what it is.
    """

    __slots__ = ("data", "id", "name", "parts")

    def __init__(
        self, obj: object, *, name: str | None = None, parts: Mapping[int, bytes] | None = None
    ) -> None:
        self.name = name or _name(obj)
        self.parts = dict(parts or {})
        try:
            self.data = by_value.dumps(obj)
        except Exception as exc:
            raise UsageError(
                f"{self.name} cannot be sent to a worker process, since something in it cannot be pickled: "
                f"{type(exc).__name__}: {exc}; create locks, open files, connections and clients inside the "
                "function instead of holding them in a function's closure or globals"
            ) from exc
        self.id = int.from_bytes(blake2b(self.data, digest_size=16).digest())


def _name(obj: Any) -> str:
    name = getattr(obj, "__qualname__", None)
    return name if isinstance(name, str) else short_repr(obj)
