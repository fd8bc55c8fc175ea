"""User counters: numbers that user functions raise, and that a report adds up.

A worker collects what one task attempt counts; the host adds it to the report when, and only when, that
attempt commits. A task that runs twice is therefore counted once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from asyncmr.errors import UsageError

Counts = dict[tuple[str, str], int]

_current: ContextVar[Counts | None] = ContextVar("asyncmr_counts", default=None)


class Counter:
    """A named number that mappers, combiners and reducers may raise. Made by `asyncmr.counter`."""

    __slots__ = ("_name",)

    def __init__(self, group: str, name: str) -> None:
        self._name = (group, name)

    def increment(self, amount: int = 1) -> None:
        """Adds `amount` to the counter of the task that is running.

        Raises:
            UsageError: outside a mapper, combiner or reducer, where there is no task to count for.
        """
        counts = _current.get()
        if counts is None:
            group, name = self._name
            raise UsageError(
                f"counter({group!r}, {name!r}).increment() was called outside a running task; "
                "call it inside a mapper, combiner or reducer"
            )
        counts[self._name] = counts.get(self._name, 0) + amount


def counter(group: str, name: str) -> Counter:
    """The counter `name` of `group`, to be raised inside user functions.

    Its total over all committed tasks is in `report.counters[group][name]`.

        def words(_key, line):
            if not line:
                asyncmr.counter("lines", "empty").increment()
            for word in line.split():
                yield word, 1
    """
    return Counter(group, name)


def add_counts(counts: Counts) -> None:
    """Raises counters of the running task by what was counted apart from them."""
    for name, amount in counts.items():
        Counter(*name).increment(amount)


@contextmanager
def counting(counts: Counts) -> Iterator[None]:
    """Sends what the code inside counts to `counts`."""
    token = _current.set(counts)
    try:
        yield
    finally:
        _current.reset(token)
