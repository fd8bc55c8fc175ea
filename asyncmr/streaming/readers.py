"""The readers of a stream: one task for each feed, which reads while there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from anyio import CancelScope

from asyncmr.actors import Sender, TaskScope
from asyncmr.errors import AsyncMRError, InputError, UsageError
from asyncmr.streaming.feed import Batch, Feed, Surroundings
from asyncmr.streaming.view import SourceInfo


class Readers:
    """Reads `feeds`, each from behind its committed positions, for the job called `job`.

    Raises:
        UsageError: two of them have one name.
    """

    def __init__(self, feeds: Sequence[Feed], job: str) -> None:
        names = [feed.name for feed in feeds]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"two feeds are called {min(twice)!r}, and positions are kept by that name; give each its own"
            )
        self._feeds = tuple(feeds)
        self._job = job
        self._scopes: list[CancelScope] = []

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
                own = CancelScope()
                self._scopes.append(own)
                read = partial(self._read, feed, positions.get(feed.name, {}), around, outlet.clone(), own)
                scope.spawn(read, name=f"feed {feed.name}")

    def stop(self) -> None:
        """No more is read; what was sent stays sent."""
        for scope in self._scopes:
            scope.cancel()

    def infos(self, positions: Mapping[str, Mapping[str, Any]]) -> tuple[SourceInfo, ...]:
        """How far each feed is, by these positions."""
        return tuple(_info(feed, positions.get(feed.name, {})) for feed in self._feeds)

    async def _read(
        self,
        feed: Feed,
        positions: Mapping[str, Any],
        around: Surroundings,
        outlet: Sender[tuple[Feed, Batch]],
        scope: CancelScope,
    ) -> None:
        with outlet:
            try:
                with scope:
                    async with aclosing(feed.batches(positions, around)) as batches:
                        async for batch in batches:
                            await outlet.send((feed, batch), len(batch.data))
            except AsyncMRError as error:
                error.add_note(f"in the feed {feed.name!r} of job {self._job!r}")
                raise
            except Exception as error:
                raise InputError(
                    f"job {self._job!r}: the feed {feed.name!r} raised {type(error).__name__}: {error}; what it "
                    "gave before is committed or will be read again"
                ) from error


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
