"""What is told of an epoch: results that wait in the block store, on disk if they must, until they have been read.

Keepers give them in any order, and some twice, when one has died; they are read in the order of windows, key groups
and keys.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from asyncmr.kernel.state import WantedWindow
from asyncmr.pipeline.attempts import Item
from asyncmr.storage.block import Block
from asyncmr.storage.runs import BlockStore

Place = tuple[int, int, int]
"""An encoder, a window, a key group."""


class Telling:
    """Collects the results of an epoch. `windows`: those of which there are to be any; `encoders`: by their numbers."""

    def __init__(
        self, store: BlockStore, epoch: int, windows: Sequence[WantedWindow], encoders: Sequence[int]
    ) -> None:
        self._store = store
        self._found: dict[int, list[tuple[Place, Block]]] = {}
        self.epoch = epoch
        self.windows = list(windows) if encoders else []
        self.encoders = list(encoders)

    def begin(self, keeper: int) -> None:
        """A keeper begins, perhaps again; what it gave before is forgotten."""
        for _, block in self._found.pop(keeper, []):
            self._store.free(block)

    async def take(self, keeper: int, items: Sequence[Item]) -> list[Item]:
        """Takes the results among what a keeper gives; returns the rest."""
        rest = []
        for meta, data in items:
            if meta[0] == "results":
                _, *place = meta
                block = await self._store.put(data)
                self._found.setdefault(keeper, []).append(((place[0], place[1], place[2]), block))
            else:
                rest.append((meta, data))
        return rest

    def told(self, encoder: int) -> Told:
        """What one encoder made, once all keepers are done."""
        mine = [entry for found in self._found.values() for entry in found if entry[0][0] == encoder]
        mine.sort(key=lambda entry: entry[0])
        return Told(
            self._store, self.epoch, self.windows, [(window, block) for (_, window, _), block in mine]
        )


class Told:
    """The results of an epoch as one encoder made them. Whoever wants them holds them, and releases them when done;
    with the last one they are gone."""

    def __init__(
        self,
        store: BlockStore,
        epoch: int,
        windows: Sequence[WantedWindow],
        blocks: Sequence[tuple[int, Block]],
    ) -> None:
        self._store: BlockStore | None = store
        self._windows = windows
        self._blocks = blocks
        self._kept: dict[Block, bytes] = {}
        self._holders = 0
        self.epoch = epoch

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(block.size for _, block in self._blocks)

    def hold(self) -> None:
        """Keeps them until `release`."""
        self._holders += 1

    def release(self) -> None:
        """One who held them is done."""
        self._holders -= 1
        if not self._holders:
            self._free()

    async def keep(self) -> None:
        """Takes them into memory, since the store is about to be closed."""
        if self._store is not None and self._holders:
            for _, block in self._blocks:
                self._kept[block] = await self._store.read(block)
            self._free()
            self._store = None

    async def read(self) -> AsyncGenerator[tuple[WantedWindow, bytes, bool], None]:
        """Some results of a window at a time, and whether they are its last."""
        following = [window for window, _ in self._blocks[1:]]
        for (window, block), after in zip(self._blocks, [*following, None], strict=True):
            data = await self._store.read(block) if self._store is not None else self._kept[block]
            yield self._windows[window], data, window != after

    def _free(self) -> None:
        if self._store is not None:
            for _, block in self._blocks:
                self._store.free(block)
