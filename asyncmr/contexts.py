"""What `setup` made, for the functions of a job: the value of `asyncmr.context()`.

A worker makes it, and sets it around each step of a task, so that jobs which share a process do not see each other's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from asyncmr.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")


class Context:
    """What one call of a setup returned. It lives as long as somebody holds it."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: Any) -> None:
        self.value = value


_current: ContextVar[Context | None] = ContextVar("asyncmr_context", default=None)


def context() -> Any:
    """What the job's `setup` returned in this worker.

        def load():
            with open("cities.json") as file:
                return json.load(file)

        def located(_key, line):
            city, _, name = line.partition(",")
            yield asyncmr.context()[city], name

        job = asyncmr.Job(mapper=located, reducer=listed, setup=load)

    Raises:
        UsageError: outside the functions of a job with `setup`, and in threads that these start.
    """
    current = _current.get()
    if current is None:
        raise UsageError(
            "asyncmr.context() has no value here: it is what the setup of a job returned, for the job's own functions; "
            "give the job one, Job(..., setup=load), and call asyncmr.context() inside its mapper, combiner, reducer, "
            "fold, aggregator or partitioner, not at the top of a module or in a thread of your own"
        )
    return current.value


@contextmanager
def using(current: Context | None) -> Iterator[None]:
    """Inside, `asyncmr.context()` gives this."""
    token = _current.set(current)
    try:
        yield
    finally:
        _current.reset(token)


def within(current: Context | None, steps: Generator[T, None, R]) -> Generator[T, None, R]:
    """The same generator, for which `asyncmr.context()` gives this, but not for who advances it."""
    try:
        while True:
            token = _current.set(current)
            try:
                item = next(steps)
            except StopIteration as stop:
                result: R = stop.value
                return result
            finally:
                _current.reset(token)
            yield item
    finally:
        with using(current):
            steps.close()
