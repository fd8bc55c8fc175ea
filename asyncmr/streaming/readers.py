"""The readers of a stream: one task for each feed, which reads while there is room.

A feed that fails, as one does whose broker goes away for a moment, is read again from behind what it gave.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn, TypeVar

from anyio import CancelScope

from asyncmr.actors import Sender, TaskScope
from asyncmr.errors import AsyncMRError, InputError, UsageError
from asyncmr.streaming.feed import Batch, Feed, Surroundings
from asyncmr.streaming.view import SourceInfo

# The pause before a feed that failed is read again, in seconds: doubled with each failure, up to the longest.
_PAUSE, _LONGEST = 0.1, 5.0

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Stop:
    """Ends the reading of a feed, between two batches: what it has given is not lost, even where it cannot go back."""

    def __init__(self) -> None:
        self.asked = False
        self._waiting = CancelScope()

    def __call__(self) -> None:
        self.asked = True
        self._waiting.cancel()

    async def unless_asked(self, waiting: Callable[[], Awaitable[T]]) -> T | None:
        """Waits, or gives None as soon as the reading is to end."""
        if self.asked:  # a scope that is cancelled lets through what does not have to wait
            return None
        with CancelScope() as self._waiting:
            return await waiting()
        return None


class Readers:
    """Reads `feeds`, each from behind its committed positions, for the job called `job`.

    One that raises OSError or InputError, and whose lines are exactly once, is read again after a pause, `retries`
    times in a row without a batch between.

    Raises:
        UsageError: two of them have one name.
    """

    def __init__(self, feeds: Sequence[Feed], job: str, *, retries: int) -> None:
        names = [feed.name for feed in feeds]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"two feeds are called {min(twice)!r}, and positions are kept by that name; give each its own"
            )
        self._feeds = tuple(feeds)
        self._job = job
        self._retries = retries
        self._stops: list[_Stop] = []

    def start(
        self,
        scope: TaskScope,
        positions: Mapping[str, Mapping[str, Any]],
        around: Surroundings,
        outlet: Sender[tuple[Feed, Batch]],
    ) -> None:
        """Sends all batches to `outlet`, which is closed when every feed has ended.

        Raises, in `scope`:
            InputError: a feed failed.
        """
        with outlet:
            for feed in self._feeds:
                stop = _Stop()
                self._stops.append(stop)
                read = partial(self._read, feed, positions.get(feed.name, {}), around, outlet.clone(), stop)
                scope.spawn(read, name=f"feed {feed.name}")

    async def listening(self) -> None:
        """Returns when the feeds that others connect to can be connected to."""
        for feed in self._feeds:
            if (listening := getattr(feed, "listening", None)) is not None:
                await listening()

    def stop(self) -> None:
        """No more is read; what a feed has given is still sent."""
        for stop in self._stops:
            stop()

    def finish(self) -> None:
        """As `stop`, but feeds that can be closed, since others push into them, first give what they hold."""
        for feed, stop in zip(self._feeds, self._stops, strict=True):
            getattr(feed, "close", stop)()

    def infos(self, positions: Mapping[str, Mapping[str, Any]]) -> tuple[SourceInfo, ...]:
        """How far each feed is, by these positions."""
        return tuple(_info(feed, positions.get(feed.name, {})) for feed in self._feeds)

    async def _read(
        self,
        feed: Feed,
        positions: Mapping[str, Any],
        around: Surroundings,
        outlet: Sender[tuple[Feed, Batch]],
        stop: _Stop,
    ) -> None:
        given = dict(positions)
        failures = 0
        with outlet:
            while not stop.asked:
                try:
                    async with aclosing(feed.batches(dict(given), around)) as batches:
                        while (batch := await stop.unless_asked(partial(anext, batches, None))) is not None:
                            await outlet.send((feed, batch), len(batch.data))
                            failures = 0
                            if batch.position is not None:
                                given[batch.partition] = batch.position
                    return
                except Exception as error:
                    failures += 1
                    if not _passing(feed, error) or failures > self._retries:
                        self._fail(feed, error)
                    pause = min(_PAUSE * 2 ** (failures - 1), _LONGEST)
                    _log.warning(
                        "job %r: the feed %r failed (%s: %s); it is read again in %.1f s, from behind what it gave",
                        self._job,
                        feed.name,
                        type(error).__name__,
                        error,
                        pause,
                    )
                    await stop.unless_asked(partial(around.clock.sleep, pause))

    def _fail(self, feed: Feed, error: Exception) -> NoReturn:
        if isinstance(error, AsyncMRError):
            error.add_note(f"in the feed {feed.name!r} of job {self._job!r}")
            raise error
        raise InputError(
            f"job {self._job!r}: the feed {feed.name!r} raised {type(error).__name__}: {error}; what it gave before is "
            "committed or will be read again"
        ) from error


def _passing(feed: Feed, error: Exception) -> bool:
    """Whether the feed may well go on where it was."""
    return feed.guarantee == "exactly-once" and isinstance(error, OSError | InputError)


def _info(feed: Feed, positions: Mapping[str, Any]) -> SourceInfo:
    lag, place = getattr(feed, "lag", None), getattr(feed, "place", None)
    text = ", ".join(f"{partition}: {position}" for partition, position in sorted(positions.items())[:3])
    return SourceInfo(
        feed.name,
        feed.guarantee,
        len(positions),
        place(positions) if callable(place) else text,
        lag() if callable(lag) else lag,
    )
