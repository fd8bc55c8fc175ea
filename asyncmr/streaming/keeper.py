"""A keeper: a worker that holds some key groups of a stream, in one session that never ends.

One that dies is started again: it is given what was committed, and then once more what was not. What is asked of
it meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from anyio import CancelScope

from asyncmr.errors import AsyncMRError, StorageError, TaskTimeout, WorkerDied
from asyncmr.kernel.cold import Place
from asyncmr.kernel.state import Command, command
from asyncmr.pipeline.attempts import Item
from asyncmr.pipeline.blame import blamed
from asyncmr.pipeline.feeding import PIPE_BYTES
from asyncmr.pipeline.messages import Pieces
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.storage.disk import Disk, finish
from asyncmr.storage.runs import BlockStore
from asyncmr.streaming.changes import Changes, moves_of
from asyncmr.streaming.key_counts import KeyCounts
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.telling import Telling
from asyncmr.workers import Account, Buffer, Pool, Program, RemoteError, Session, SlotDied, SlotTimeout

STAGE = "keep"
# Seconds for the answer to somebody who is cancelled: a call that is ended half-way costs the keeper its session, and
# one that hangs would hold up the end of the stream.
_PATIENCE = 0.5


class Keeper:
    """Holds the key groups in `groups`; `room` and `most` are those of `kernel.state`. Its calls come one after the
    other."""

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
        room: int,
        most: list[int] | None,
        keys: KeyCounts,
    ) -> None:
        self.groups = groups
        self._pool = pool
        self._program = program
        self._job = job
        self._store = store
        self._disk = disk
        self._blocks = blocks
        self._tolerance = tolerance
        self._argument = (store.folder.database, room, most)
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
        """Asks something of the keeper. A caller who is cancelled waits a moment for the answer."""

        async def ask() -> list[Item]:
            await self.ready()
            return await self._call(name, argument, *data)

        found: list[Item] = await finish(self.again(ask), patience=_PATIENCE)
        return found

    async def epoch(
        self,
        mapped: Sequence[tuple[int, Sequence[Pieces]]],
        places: list[Place],
        telling: Telling,
    ) -> Changes:
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
        return Changes.of(await self._call("changes", argument, take=partial(telling.take, number)))

    async def tidy(self) -> None:
        """Makes room, by moving keys that were not met for long to the database. A caller who is cancelled waits
        a moment.

        Raises:
            StorageError: there is no room in the database either, or it cannot be written.
        """

        async def make_room() -> None:
            await self.ready()
            await self._tidy()

        await finish(self.again(make_room), patience=_PATIENCE)

    async def _tidy(self) -> None:
        full = True
        while full:
            moves, full = moves_of(await self._call("tidy", ()))
            try:
                if moves:
                    await self._disk.run(self._store.move, moves)
            except BaseException:
                with CancelScope(shield=True):
                    await self.close()  # it holds less than what was committed
                raise

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
            timeout=self._tolerance.task_timeout,
            about=(self._account, STAGE, "state"),
        )
        await session.__aenter__()
        try:
            if self._program.parts:
                await session.prepare(self._tolerance.setup_timeout)
            await session.open([command("load", ([], [])), b""], last=False)
        except BaseException:
            with CancelScope(shield=True):
                await session.__aexit__(None, None, None)
            raise
        self._session = session
        try:
            for group in self.groups:
                await self._load(group)
        except BaseException:
            with CancelScope(shield=True):
                await self.close()
            raise

    async def _load(self, group: int) -> None:
        """Gives it what was committed of a key group; what is too much for it becomes cold at once."""
        blocks = await self._disk.run(self._store.blocks, group)
        ends = accumulate(len(block.data) for block in blocks)
        places = [(group, block.pane, end, block.returned) for block, end in zip(blocks, ends, strict=True)]
        cold = [(*place, keys) for place, keys in self._store.cold.items() if place[0] == group]
        if not places and not cold:
            return
        data = b"".join(block.data for block in blocks)
        loaded = Changes.of(await self._call("load", (places, cold), data))
        self._keys.update(loaded.keys)
        if loaded.full:
            await self._tidy()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.__aexit__(None, None, None)

    def _task(self) -> tuple[str, Any]:
        task = (STAGE, self._argument)
        return ("prepared", task) if self._program.parts else task

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
        limit = self._tolerance.task_timeout
        try:
            reply = await session.feed([command(name, argument), *data], limit=limit)
            items = list(reply.items) if take is None else await take(reply.items)
            while reply.state == "more":
                reply = await session.drain(limit)
                items += reply.items if take is None else await take(reply.items)
        except BaseException:
            with CancelScope(shield=True):
                await session.__aexit__(None, None, None)
            raise
        self._session = session
        return items

    async def _blamed(self, error: RemoteError) -> AsyncMRError:
        if error.type_name == "asyncmr.errors.StorageError":
            return StorageError(error.message, path=self._store.folder.database)

        async def nowhere(path: str, offset: int) -> None:
            return None

        return await blamed(error, job=self._job, stage=STAGE, split=None, line_number=nowhere)

    def _given_up(self, error: SlotDied | SlotTimeout, attempts: int) -> WorkerDied | TaskTimeout:
        where = f"job {self._job!r}, stage {STAGE!r}: the worker that keeps the state"
        committed = "the state is as it was when the last epoch was committed"
        if isinstance(error, SlotTimeout):
            limit = "setup_timeout" if error.preparing else "task_timeout"
            return TaskTimeout(
                f"{where} took longer than {limit}={error.seconds:g} s for one call in each of {attempts} attempts; "
                f"raise {limit}, use more keepers, or look at what makes the job's functions slow; {committed}",
                seconds=error.seconds,
                job=self._job,
                stage=STAGE,
                task="state",
                attempts=attempts,
            )
        return WorkerDied(
            f"{where} died in {attempts} attempts in a row, {error}; if it was killed for its memory, give the stream "
            f"more of that or fewer keys; {committed}",
            exitcode=error.exitcode,
            job=self._job,
            stage=STAGE,
            task="state",
            attempts=attempts,
        )
