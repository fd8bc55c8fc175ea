"""Session: the host's end of one conversation with one worker.

    async with pool.session(program, "method", argument) as session:
        reply = await session.open(buffers, last=False)
        while reply.state != "done":
            ...                                          # use reply.items
            if reply.state == "hungry":
                reply = await session.feed(buffers, last=...)
            else:
                reply = await session.drain()

The program's method gets `(argument, feed)` and returns a generator. `feed` iterates over the rounds, each a
list of read-only memoryviews that are valid until the next round is asked for; `feed.ask(wanted)` is the next
round as well, and tells the host what it should hold. The generator yields
`(meta, data)`, builtins and bytes, and returns a builtin.

No call runs while the host thinks between two replies. Leaving the block early never waits: an idle worker
closes the generator in the background, one that still runs is killed and replaced.
"""

from __future__ import annotations

import asyncio
import marshal
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pickle import PickleBuffer
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Protocol

from asyncmr.counters import Counts
from asyncmr.errors import ClosedError
from asyncmr.workers.failures import RemoteError, SlotDied, SlotTimeout
from asyncmr.workers.fairness import Account
from asyncmr.workers.forwarding import levels
from asyncmr.workers.program import Program
from asyncmr.workers.seat import Seat, Slot
from asyncmr.workers.segments import SegmentRange
from asyncmr.workers.wire import Received
from asyncmr.workers.worker import Answer, WireBuffer

Buffer = bytes | SegmentRange
State = Literal["done", "hungry", "more"]


@dataclass(slots=True)
class Reply:
    """What a worker answers to one call.

    `state`: "hungry", it asks for another round, and `result` is what the program told `feed.ask`; "more",
    its output reached the limit and there is more; "done", with the generator's `result` and the user
    counters it raised.
    """

    state: State
    items: list[tuple[Any, Received]]
    result: Any = None
    counts: Counts = field(default_factory=dict)


class Lender(Protocol):
    """What a session needs of the pool."""

    async def lease(self, account: Account, program: int) -> Seat: ...
    def release(self, seat: Seat) -> None: ...
    def close_session(self, seat: Seat) -> None: ...
    def discard(self, seat: Seat, *, died: bool = False) -> asyncio.Future[int | None]: ...


class Session:
    """One use of a program in one worker. Made by `Pool.session`; for one task at a time."""

    def __init__(
        self,
        lender: Lender,
        program: Program,
        method: str,
        argument: bytes,
        account: Account,
        timeout: float | None,
        reply_limit: int,
        about: object,
    ) -> None:
        self._lender = lender
        self._program = program
        self._method = method
        self._argument = argument
        self._account = account
        self._timeout = timeout
        self._reply_limit = reply_limit
        self._about = about
        self._seat: Seat | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._opened = False
        self._used = 0.0

    @property
    def calling(self) -> bool:
        """Whether the worker is at work on a call."""
        return self._waiter is not None

    async def __aenter__(self) -> Session:
        self._seat = await self._lender.lease(self._account, self._program.id)
        self._seat.session = self
        self._seat.about = self._about
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        seat, self._seat = self._seat, None
        if seat is None:
            return
        seat.session = None
        if self._waiter is not None:
            self._lender.discard(seat)
        elif self._opened:
            self._lender.close_session(seat)
        else:
            self._lender.release(seat)

    async def prepare(self, limit: float | None = None) -> None:
        """Has the worker prepare the program, unless it has before; comes before `open`, and takes no time of the
        session's. `limit`: the seconds of worker time that it has itself.

        Raises:
            RemoteError: the program raised; the session is over, the worker is well.
            SlotDied, SlotTimeout: the worker died, or was killed at the limit; the session is over.
        """
        seat, program = self._held(), self._program
        if program.id in seat.prepared:
            return
        data = None if program.id in seat.programs else (program.data, levels())
        parts = {id: part for id, part in program.parts.items() if id not in seat.prepared}
        try:
            while True:
                answer = await self._call("prepare", program.id, data, parts, preparing=True, limit=limit)
                if answer[0] != "missing":
                    break
                data, parts = (program.data, levels()), program.parts
        except SlotDied as error:
            raise SlotDied(error.exitcode, f"{error.cause}, in its setup") from None
        if answer[0] == "failed":
            seat.programs.discard(program.id)
            self._reply(answer)
        seat.programs.add(program.id)
        seat.prepared |= {program.id, *program.parts}

    async def open(
        self, buffers: Sequence[Buffer] = (), last: bool = True, limit: float | None = None
    ) -> Reply:
        """Starts the generator on the first round of input. `limit`: as for `prepare`, which may have to be repeated.

        Raises:
            RemoteError: the program raised; the session is over, the worker is well.
            SlotDied, SlotTimeout: the worker died, or was killed at the timeout; the session is over.
        """
        seat, program = self._held(), self._program
        if self._opened:
            raise ClosedError("a session is opened once; use feed() and drain() from then on")
        self._opened = True
        data = None if program.id in seat.programs else (program.data, levels())
        wire = self._wire(seat, buffers)
        while True:
            answer = await self._call(
                "open", program.id, data, self._method, self._argument, wire, last, self._reply_limit
            )
            if answer[0] != "missing":
                break
            data = (program.data, levels())
            if program.parts:  # what was prepared went with it
                seat.programs.discard(program.id)
                seat.prepared.discard(program.id)
                await self.prepare(limit)
                data = None
        if answer[0] == "failed" and not program.parts:
            seat.programs.discard(program.id)  # it may not have got as far as unpickling it
        else:
            seat.programs.add(program.id)
        return self._reply(answer)

    async def feed(
        self, buffers: Sequence[Buffer] = (), last: bool = False, limit: float | None = None
    ) -> Reply:
        """Hands over another round, after "hungry". An empty `last` round only ends the feed. `limit`: the seconds that
        this call may take, which is no time of the session's."""
        return self._reply(await self._call("feed", self._wire(self._held(), buffers), last, limit=limit))

    async def drain(self, limit: float | None = None) -> Reply:
        """Goes on, after "more". `limit`: as for `feed`."""
        return self._reply(await self._call("drain", limit=limit))

    def fail(self, exc: Exception) -> None:
        """Ends the call under way with an exception; the pool's way to say that it closes."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc)

    async def _call(
        self, operation: str, *arguments: Any, preparing: bool = False, limit: float | None = None
    ) -> Answer:
        seat = self._held()
        if self._waiter is not None:
            raise ClosedError("a session takes one call at a time")
        timer: asyncio.TimerHandle | None = None
        begun = monotonic()
        self._account.begin(begun)
        try:
            if seat.ended is not None:
                raise BrokenExecutor
            self._waiter = waiter = seat.slot.call(operation, *arguments)
            if waiter.done():
                await asyncio.sleep(0)  # inline: let the loop turn between two calls
            elif limit is not None:
                late = SlotTimeout(limit, preparing=preparing)
                timer = asyncio.get_running_loop().call_later(limit, self._expire, late)
            elif self._timeout is not None and not preparing:
                left = max(0.0, self._timeout - self._used)
                timer = asyncio.get_running_loop().call_later(left, self._expire, SlotTimeout(self._timeout))
            answer: Answer = await waiter
        except BrokenExecutor:
            ended = self._give_up(seat, died=True)
            raise SlotDied(await asyncio.shield(ended), seat.cause) from None
        except (MemoryError, OSError) as exc:
            # The executor itself could not send the call or the answer; the worker's state is unknown.
            self._give_up(seat)
            raise SlotDied(None, f"its call or its answer could not be sent: {exc!r}") from exc
        except BaseException:
            self._give_up(seat)
            raise
        finally:
            now = monotonic()
            self._account.end(begun, now)
            self._used += 0.0 if preparing or limit is not None else now - begun
            if timer is not None:
                timer.cancel()
        self._waiter = None
        if self._timeout is not None and timer is None and self._used > self._timeout:
            self._give_up(seat)
            raise SlotTimeout(self._timeout)
        return answer

    def _reply(self, answer: Answer) -> Reply:
        state, head, data = answer
        if state == "failed":
            self._done()
            raise RemoteError(*marshal.loads(head))
        metas, result, counts = marshal.loads(head)
        if state == "done":
            self._done()
        # The worker says nothing but these three.
        items = list(zip(metas, data, strict=True))
        return Reply(state, items, result, counts)  # type: ignore[arg-type]

    def _wire(self, seat: Seat, buffers: Sequence[Buffer]) -> list[WireBuffer]:
        return [_on_wire(buffer, seat.slot) for buffer in buffers]

    def _held(self) -> Seat:
        if self._seat is None:
            raise ClosedError("the session is over, or was not entered with `async with`")
        return self._seat

    def _done(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.session = None
            self._lender.release(seat)

    def _give_up(self, seat: Seat, *, died: bool = False) -> asyncio.Future[int | None]:
        self._seat = None
        seat.session = None
        return self._lender.discard(seat, died=died)

    def _expire(self, late: SlotTimeout) -> None:
        self.fail(late)


def _on_wire(buffer: Buffer, slot: Slot) -> WireBuffer:
    if isinstance(buffer, bytes):
        return buffer if slot.pid is None else PickleBuffer(buffer)
    if slot.maps_segments:
        ref = buffer.ref()
        if ref is not None:
            return ref
    # To a process the bytes themselves are sent, straight from the segment.
    return buffer.view() if slot.pid is None else PickleBuffer(buffer.view())
