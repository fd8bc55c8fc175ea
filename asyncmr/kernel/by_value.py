"""Pickling by value: cloudpickle's, except that a class of the main script has the same name in every run of it.

cloudpickle knows a class that it sends by a random number, and whoever gets it twice in a run makes it once. What
outlives a run, as the state of a stream and the journal of a job do, holds instances of a class of an earlier one, and
as keys they would be equal to none of this one. So a class is known by its name and what it consists of.
"""

from __future__ import annotations

import io
from collections import Counter
from threading import Lock
from typing import Any

import cloudpickle

from asyncmr.kernel.description import digest

# By classes, the numbers that cloudpickle knows them by. It has no other way to choose them.
_numbers = getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", None)
_classes = getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", None)
_named: Counter[str] = Counter()
_lock = Lock()


def dumps(obj: object) -> bytes:
    """Pickles an object, with the functions and classes that whoever reads it could not import."""
    with io.BytesIO() as file:
        _Pickler(file, protocol=5).dump(obj)
        return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, type) or _numbers is None or _classes is None:
            return super().reducer_override(obj)
        with _lock:
            known = obj in _numbers
            reduced = super().reducer_override(obj)
            if known or obj not in _numbers:
                return reduced
            del _classes[_numbers[obj]]
            number = _numbers[obj] = _name(obj)
            _classes[number] = obj
            return super().reducer_override(obj)


def _name(kind: type) -> str:
    """A class that is defined again, as in a notebook, is another class, even if nothing in it has changed."""
    name = f"{kind.__module__}.{kind.__qualname__} {digest(kind)}"
    _named[name] += 1
    return f"{name} {_named[name]}"
