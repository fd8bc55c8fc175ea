"""A crew: starts actors, watches them, and leaves nothing behind.

Leaving `async with Crew()` waits for every actor. If one fails, the order is: the rest are cancelled at
once, each ends with its `abort`, then, when no task is left, every channel that an actor held is closed,
and the first failure is raised as it is. Channels come last, so that no actor can take a neighbour's
failure for the end of its input; whoever reads the last channel outside the crew gets the failure from it.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from asyncmr.actors.actor import Actor, ActorStats
from asyncmr.actors.channel import Channel, ChannelClosed, ChannelStats
from asyncmr.actors.scope import TaskScope

AnyActor = TypeVar("AnyActor", bound=Actor[Any, Any])

# An `abort` frees memory and unlinks files. The bound is only there so that one that hangs cannot hang its
# job; it is long, because cutting short one that is merely slow leaves the files.
ABORT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CrewStats:
    """A crew at one moment: its actors in the order in which they were added, and their channels."""

    actors: tuple[ActorStats, ...]
    channels: tuple[ChannelStats, ...]


class Crew:
    """Runs actors: `async with Crew() as crew: crew.add(actor)`.

    Leaving the block waits until all actors are done. Raises what failed first, in an actor or in the block
    itself (notes on it name what failed after it); a cancellation from outside stays a `CancelledError`.
    """

    def __init__(self) -> None:
        self._scope = TaskScope()
        self._actors: list[Actor[Any, Any]] = []

    def add(self, actor: AnyActor) -> AnyActor:
        """Starts `actor`, takes over its ends, and returns it.

        Raises:
            ClosedError: outside the block.
        """
        self._scope.spawn(lambda: self._live(actor), name=actor.name)
        self._actors.append(actor)
        return actor

    def cancel(self) -> None:
        """Cancels every actor and the block; leaving it then raises nothing, unless something had failed."""
        self._scope.cancel()

    def stats(self) -> CrewStats:
        """What every actor does and every channel holds, now."""
        return CrewStats(
            actors=tuple(actor.stats() for actor in self._actors),
            channels=tuple(channel.stats() for channel in self._channels()),
        )

    def _channels(self) -> Iterator[Channel[Any]]:
        seen: set[Channel[Any]] = set()
        for actor in self._actors:
            for end in (actor.inbox, actor.outbox):
                if end is not None and end.channel not in seen:
                    seen.add(end.channel)
                    yield end.channel

    async def _live(self, actor: Actor[Any, Any]) -> None:
        try:
            await actor.run()
        except BaseException as error:
            # Before the abort, which may take its time: the others must not go on meanwhile.
            if not isinstance(error, CancelledError):
                self._scope.fail(actor.name, error)
            await self._abort(actor)
            raise

    async def _abort(self, actor: Actor[Any, Any]) -> None:
        name = f"{actor.name}.abort"
        try:
            with anyio.move_on_after(ABORT_SECONDS, shield=True) as limit:
                await actor.abort()
            if limit.cancelled_caught:
                raise TimeoutError(f"{name}() took longer than {ABORT_SECONDS:g} s and was given up")
        except Exception as error:
            self._scope.fail(name, error)

    def _close_channels(self) -> None:
        for actor in self._actors:
            if actor.outbox is not None:
                # Those that are done have closed it; on them this does nothing.
                actor.outbox.fail(self._reason(actor.outbox.channel))
            if actor.inbox is not None:
                actor.inbox.close()

    def _reason(self, channel: Channel[Any]) -> Exception:
        failure = self._scope.failure
        if isinstance(failure, Exception):
            return failure
        closed = ChannelClosed(f"channel {channel.name!r}: the crew was cancelled before the stream ended")
        closed.__cause__ = failure
        return closed

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            return await self._scope.__aexit__(kind, error, trace)
        finally:
            self._close_channels()
