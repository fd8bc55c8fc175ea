"""Keepers: the workers that hold the state of a stream, each some of its key groups, in one session that never ends.

A keeper that dies is started again: it is given what was committed, and then once more what was not. What is asked of
it meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

from anyio import CancelScope

from asyncmr.actors import TaskScope
from asyncmr.errors import AsyncMRError, WorkerDied
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.state import Command, Place, command, largest
from asyncmr.pipeline.attempts import Item
from asyncmr.pipeline.blame import blamed
from asyncmr.pipeline.feeding import PIPE_BYTES
from asyncmr.pipeline.messages import Pieces
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.protocols import Pair
from asyncmr.storage.disk import Disk, finish
from asyncmr.storage.runs import BlockStore
from asyncmr.streaming.store import Delta, StateStore
from asyncmr.streaming.telling import Telling
from asyncmr.workers import Account, Buffer, Pool, Program, RemoteError, Session, SlotDied, SlotTimeout

T = TypeVar("T")

STAGE = "keep"


class Changes:
    """What an epoch changed in the tables."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.keys: dict[Place, int] = {}

    def take(self, items: Sequence[Item]) -> None:
        """Adds what a keeper answered."""
        for (kind, group, pane, keys), data in items:
            self.keys[group, pane] = keys
            self.deltas.append(Delta((group, pane), bytes(data), kind == "snapshot"))


class Keepers:
    """All keepers of a stream. Key group g belongs to keeper g modulo their number.

    `store` and its `disk` have what was committed; `blocks` holds what mappers made; `keys` is how many keys each table
    has.
    """

    def __init__(
        self,
        pool: Pool,
        program: Program,
        partitioning: Partitioning,
        *,
        job: str,
        store: StateStore,
        disk: Disk,
        blocks: BlockStore,
        tolerance: Tolerance,
    ) -> None:
        self._groups = partitioning.partitions
        self._partitioning = partitioning
        self.keys: dict[Place, int] = {}
        self._keepers = [
            _Keeper(
                pool,
                program,
                range(number, self._groups, pool.workers),
                job=job,
                store=store,
                disk=disk,
                blocks=blocks,
                tolerance=tolerance,
                keys=self.keys,
            )
            for number in range(min(pool.workers, self._groups))
        ]

    async def load(self) -> None:
        """Starts all keepers with what was committed."""
        await self._each(lambda keeper: keeper.again(keeper.ready))

    async def apply(
        self,
        mapped: Sequence[tuple[int, Sequence[Pieces]]],
        outgrown: Sequence[Place],
        telling: Telling,
    ) -> Changes:
        """Takes in what was mapped, each with its pane, in input order, and gives what that changed. `outgrown`: the
        tables to be given whole. `telling` takes the results that it wants.

        Raises:
            WorkerDied: a keeper died more often than the retries allow.
            UserCodeError: the job's fold or aggregator raised.
        """
        changes = Changes()

        async def one(keeper: _Keeper) -> None:
            places = [place for place in outgrown if place[0] in keeper.groups]
            changes.take(await keeper.again(partial(keeper.epoch, mapped, places, telling)))

        await self._each(one)
        changes.deltas.sort(key=lambda delta: delta.place)
        self.keys |= changes.keys
        return changes

    async def top(self, k: int, panes: Sequence[int]) -> list[Pair]:
        """The `k` keys with the largest values in some panes together."""
        found: list[Pair] = []
        for keeper in self._keepers:
            for _, data in await keeper.asked("top", (k, list(panes))):
                found += zip(*decode_pairs(bytes(data)), strict=True)
        return largest(k, found)

    async def get(self, key: Any, panes: Sequence[int]) -> Any:
        """The value of a key in some panes together; None if it has none.

        Raises:
            KeyTypeError: this can be no key.
        """
        (group,) = self._partitioning.divide([key], 1)
        keeper = self._keepers[group % len(self._keepers)]
        items = await keeper.asked("get", (group, list(panes)), encode_pairs([key], [None]))
        return decode_pairs(bytes(items[0][1]))[1][0] if items else None

    @property
    def panes(self) -> list[int]:
        """The panes that have keys."""
        return sorted({pane for _, pane in self.keys})

    async def drop(self, panes: Sequence[int]) -> None:
        """Forgets panes, which are committed as dropped."""
        for place in [place for place in self.keys if place[1] in panes]:
            del self.keys[place]
        await self._each(lambda keeper: keeper.asked("drop", list(panes)))

    async def close(self) -> None:
        """Ends the sessions."""
        for keeper in self._keepers:
            await keeper.close()

    async def _each(self, work: Callable[[_Keeper], Any]) -> None:
        if len(self._keepers) == 1:
            await work(self._keepers[0])
            return
        async with TaskScope() as scope:
            for number, keeper in enumerate(self._keepers):
                scope.spawn(partial(work, keeper), name=f"{STAGE}[{number}]")


class _Keeper:
    """One of them. Its calls come one after the other."""

    def __init__(
        self,
        pool: Pool,
        program: Program,
        groups: range,
        *,
        job: str,
        store: StateStore,
        disk: Disk,
        blocks: BlockStore,
        tolerance: Tolerance,
        keys: dict[Place, int],
    ) -> None:
        self.groups = groups
        self._pool = pool
        self._program = program
        self._job = job
        self._store = store
        self._disk = disk
        self._blocks = blocks
        self._tolerance = tolerance
        self._keys = keys
        self._account = Account(job)
        self._session: Session | None = None

    async def again(self, work: Callable[[], Any]) -> Any:
        """Does `work`, and does it again when the keeper died of it, as often as there are retries."""
        deaths = 0
        while True:
            try:
                return await work()
            except (SlotDied, SlotTimeout) as error:
                deaths += 1
                if deaths > self._tolerance.retries:
                    raise self._given_up(error, deaths) from error
            except RemoteError as error:
                raised = await self._blamed(error)
                raise raised from raised.__cause__

    async def asked(self, name: Command, argument: Any, *data: bytes) -> list[Item]:
        """Asks something of the keeper. A caller who is cancelled waits for the answer: half a call would cost it."""

        async def ask() -> list[Item]:
            await self.ready()
            return await self._call(name, argument, *data)

        found: list[Item] = await finish(self.again(ask))
        return found

    async def epoch(
        self,
        mapped: Sequence[tuple[int, Sequence[Pieces]]],
        places: list[Place],
        telling: Telling,
    ) -> list[Item]:
        """Takes in what concerns its groups, and gives what that changed."""
        number = self.groups.start
        telling.begin(number)
        await self.ready()
        for pane, stored in mapped:
            for pieces in stored:
                mine = [
                    (group, (pieces.block, number))
                    for group, number in zip(pieces.shares, pieces.numbers, strict=True)
                    if group in self.groups
                ]
                if mine:
                    await self._feed(pane, mine)
        argument = (places, telling.windows, telling.epoch, telling.encoders)
        return await self._call("changes", argument, take=partial(telling.take, number))

    async def _feed(self, pane: int, mine: list[tuple[int, Any]]) -> None:
        size = sum(block.piece_size(number) for _, (block, number) in mine)
        segment = None if size <= PIPE_BYTES else await self._pool.segments.lease(size)
        try:
            data = bytearray(size) if segment is None else segment.view
            ends = await self._blocks.read_into([piece for _, piece in mine], memoryview(data))
            buffer: Buffer = bytes(data) if segment is None else segment.range(0, size)
            places = [(group, pane, end) for (group, _), end in zip(mine, ends, strict=True)]
            await self._call("apply", places, buffer)
        finally:
            if segment is not None:
                segment.release()

    async def ready(self) -> None:
        """Starts the session, with what was committed, unless it runs."""
        if self._session is not None:
            return
        session = self._pool.session(
            self._program,
            *self._task(),
            account=self._account,
            about=(self._account, STAGE, "state"),
        )
        await session.__aenter__()
        try:
            if self._program.parts:
                await session.prepare(self._tolerance.setup_timeout)
            begun = False
            for group in self.groups:
                rows = await self._disk.run(self._store.blocks, group)
                ends = accumulate(len(data) for _, data in rows)
                places = [(group, pane, end) for (pane, _), end in zip(rows, ends, strict=True)]
                buffers: list[Buffer] = [command("load", places), b"".join(data for _, data in rows)]
                reply = await (session.feed(buffers) if begun else session.open(buffers, last=False))
                begun = True
                for meta, _ in reply.items:
                    _, of, pane, keys = meta
                    self._keys[of, pane] = keys
        except BaseException:
            with CancelScope(shield=True):
                await session.__aexit__(None, None, None)
            raise
        self._session = session

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.__aexit__(None, None, None)

    def _task(self) -> tuple[str, Any]:
        return ("prepared", (STAGE, ())) if self._program.parts else (STAGE, ())

    async def _call(
        self,
        name: Command,
        argument: Any,
        *data: Buffer,
        take: Callable[[list[Item]], Awaitable[list[Item]]] | None = None,
    ) -> list[Item]:
        """The items of the answer that `take` leaves, which gets some at a time."""
        session, self._session = self._session, None  # whatever ends a call half-way ends the session
        assert session is not None
        try:
            reply = await session.feed([command(name, argument), *data])
            items = list(reply.items) if take is None else await take(reply.items)
            while reply.state == "more":
                reply = await session.drain()
                items += reply.items if take is None else await take(reply.items)
        except BaseException:
            with CancelScope(shield=True):
                await session.__aexit__(None, None, None)
            raise
        self._session = session
        return items

    async def _blamed(self, error: RemoteError) -> AsyncMRError:
        async def nowhere(path: str, offset: int) -> None:
            return None

        return await blamed(error, job=self._job, stage=STAGE, split=None, line_number=nowhere)

    def _given_up(self, error: SlotDied | SlotTimeout, attempts: int) -> WorkerDied:
        exitcode = error.exitcode if isinstance(error, SlotDied) else None
        return WorkerDied(
            f"job {self._job!r}, stage {STAGE!r}: the worker that keeps the state died in {attempts} attempts in a "
            f"row, {error}; if it was killed for its memory, give the stream more of that or fewer keys; the state is "
            "as it was when the last epoch was committed",
            exitcode=exitcode,
            job=self._job,
            stage=STAGE,
            task="state",
            attempts=attempts,
        )
