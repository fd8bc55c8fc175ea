"""Keepers: the workers that hold the state of a stream, each some of its key groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from asyncmr.actors import TaskScope
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.cold import Place
from asyncmr.kernel.largest import largest
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.pipeline.messages import Pieces
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.protocols import Pair
from asyncmr.storage.disk import Disk
from asyncmr.storage.runs import BlockStore
from asyncmr.streaming.changes import Changes
from asyncmr.streaming.keeper import STAGE, Keeper
from asyncmr.streaming.key_counts import KeyCounts
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.telling import Telling
from asyncmr.workers import Pool, Program


class Keepers:
    """All keepers of a stream. Key group g belongs to keeper g modulo their number.

    `store` and its `disk` have what was committed; `blocks` holds what mappers made; `keys` is how many keys each place
    has. `room`: the bytes that the tables of each keeper may take, beyond which keys become cold. `most`: how many keys
    a pane may have.
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
        room: int,
        most: int | None = None,
    ) -> None:
        self._groups = partitioning.partitions
        self._partitioning = partitioning
        self.keys = KeyCounts()
        self._full: list[Keeper] = []
        self._keepers = [
            Keeper(
                pool,
                program,
                range(number, self._groups, pool.workers),
                job=job,
                store=store,
                disk=disk,
                blocks=blocks,
                tolerance=tolerance,
                room=room,
                most=None if most is None else divided(most, self._groups),
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
        found: list[Changes] = []
        self._full = []

        async def one(keeper: Keeper) -> None:
            places = [place for place in outgrown if place[0] in keeper.groups]
            changes = await keeper.again(partial(keeper.epoch, mapped, places, telling))
            found.append(changes)
            if changes.full:
                self._full.append(keeper)

        await self._each(one)
        changes = Changes.together(found)
        return changes

    async def tidy(self) -> None:
        """Makes room where it is needed, once what was applied last has been committed.

        Raises:
            StorageError: the database cannot be written.
        """
        for keeper in self._full:
            await keeper.tidy()
        self._full = []

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

    async def drop(self, panes: Sequence[int]) -> None:
        """Forgets panes, which are committed as dropped."""
        self.keys.drop(panes)
        await self._each(lambda keeper: keeper.asked("drop", list(panes)))

    async def close(self) -> None:
        """Ends the sessions."""
        for keeper in self._keepers:
            await keeper.close()

    async def _each(self, work: Callable[[Keeper], Any]) -> None:
        if len(self._keepers) == 1:
            await work(self._keepers[0])
            return
        async with TaskScope() as scope:
            for number, keeper in enumerate(self._keepers):
                scope.spawn(partial(work, keeper), name=f"{STAGE}[{number}]")


def divided(keys: int, groups: int) -> list[int]:
    """How many keys each key group may have, if all may have so many."""
    return [keys * (group + 1) // groups - keys * group // groups for group in range(groups)]
