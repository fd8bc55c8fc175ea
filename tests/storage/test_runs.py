from __future__ import annotations

import asyncio
import os
import random
import tempfile
from array import array
from collections.abc import AsyncIterator
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import ClosedError, CorruptRunError, StorageError, UsageError
from asyncmr.storage import runs, spill
from asyncmr.storage.block import Block
from asyncmr.storage.budget import Budget
from asyncmr.storage.compression import Codec, Compression, codec_of
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.storage.runs import READ_BYTES, BlockStore
from asyncmr.storage.spill import BATCH_BYTES, WRITE_BYTES
from tests.actors.until import until

LARGE = WRITE_BYTES


@pytest.fixture
async def folder(disk: Disk, tmp_path: Path) -> AsyncIterator[SpillFolder]:
    folder = SpillFolder(str(tmp_path))
    yield folder
    folder.close()


def spill_files(folder: SpillFolder) -> list[str]:
    return [name for name in os.listdir(folder.open()) if name.endswith(".spill")]


async def test_a_block_waits_in_memory_while_there_is_room(disk: Disk, folder: SpillFolder) -> None:
    budget = Budget(100)
    async with BlockStore(budget, folder, disk) as store:
        block = await store.put(b"x" * 60)
        assert block.in_memory
        assert await store.read(block) == b"x" * 60
        assert store.stats() == (1, 60, 0, 0)
        assert budget.stats().held == 60
        store.free(block)
        assert store.stats() == (0, 0, 0, 0)
        assert budget.stats().held == 0
    assert os.listdir(folder.parent) == []


async def test_a_block_without_room_goes_to_disk(disk: Disk, folder: SpillFolder) -> None:
    budget = Budget(100)
    async with BlockStore(budget, folder, disk) as store:
        data = random.Random(1).randbytes(LARGE)
        block = await store.put(data)
        assert not block.in_memory
        assert await store.read(block) == data
        buffer = bytearray(LARGE + 5)
        assert await store.read_into([(block, 0)], memoryview(buffer)) == [LARGE]
        assert buffer == data + bytes(5)
        stats = store.stats()
        assert (stats.blocks, stats.memory_bytes, stats.spilled_bytes_total) == (1, 0, LARGE)
        assert stats.disk_bytes == os.path.getsize(Path(folder.open(), spill_files(folder)[0]))


async def test_small_blocks_are_written_together(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(1), folder, disk) as store:
        small = [await store.put(bytes([number]) * 1000) for number in range(100)]
        assert store.stats()[:3] == (100, 100_000, 0)
        assert await store.read(small[7]) == b"\7" * 1000
        store.free(small.pop())
        await store.put(b"x" * LARGE)
        assert store.stats()[:2] == (100, 0)
        for number, block in enumerate(small):
            assert await store.read(block) == bytes([number]) * 1000


async def test_pieces_are_read_one_by_one_or_one_behind_the_other(disk: Disk, folder: SpillFolder) -> None:
    """Of blocks that lie in memory, on their way to disk, and on disk."""
    async with BlockStore(Budget(30), folder, disk) as store:
        stays = await store.put(b"stays in memory", [5, 5, 8, 15])
        large = await store.put(b"<" + bytes(LARGE) + b">", array("I", [1, LARGE + 1, LARGE + 2]))
        leaves = await store.put(b"small and on its way", [6, 20])
        assert store.stats()[:2] == (3, 35)
        assert [block.in_memory for block in (stays, large, leaves)] == [True, False, True]
        assert [await store.read(stays, piece) for piece in range(4)] == [b"stays", b"", b" in", b" memory"]
        assert [await store.read(large, piece) for piece in (0, 2, 1)] == [b"<", b">", bytes(LARGE)]
        buffer = bytearray(30)
        wanted = [(leaves, 1), (large, 2), (stays, 1), (large, 0), (stays, 0)]
        assert await store.read_into(wanted, memoryview(buffer)) == [14, 15, 15, 16, 21]
        assert buffer == b"and on its way><stays" + bytes(9)


async def test_many_pieces_are_read_in_trips_of_bounded_size(disk: Disk, folder: SpillFolder) -> None:
    """And every other one lies in memory."""
    async with BlockStore(Budget(LARGE), folder, disk) as store:
        data = random.Random(2).randbytes(LARGE)
        ends = array("I", range(500, LARGE, 500))
        ends.append(LARGE)
        here, there = await store.put(data, ends), await store.put(data, ends)
        wanted = [(block, piece) for piece in range(len(ends)) for block in (here, there)]
        view = memoryview(bytearray(2 * LARGE))
        got = await store.read_into(wanted, view)
        starts = [0, *ends]
        assert view == b"".join(data[starts[piece] : ends[piece]] * 2 for piece in range(len(ends)))
        assert got[-1] == 2 * LARGE


async def test_a_block_leaves_with_its_last_piece(disk: Disk, folder: SpillFolder) -> None:
    budget = Budget(10)
    async with BlockStore(budget, folder, disk) as store:
        small = await store.put(b"0123456789", [2, 6, 10])
        large = await store.put(bytes(LARGE), [1, LARGE])
        for piece in (1, 0, 1, 0):  # twice does not count twice
            store.free(small, piece)
        store.free(large, 1)
        assert store.stats()[:2] == (2, 10)
        assert await store.read(small, 2) == b"6789"
        assert await store.read(large, 0) == bytes(1)
        for freed in (small, 1), (large, 1):
            with pytest.raises(ClosedError, match="freed"):
                await store.read(*freed)
            with pytest.raises(ClosedError, match="freed"):
                await store.read_into([freed], memoryview(bytearray(LARGE)))
        store.free(small, 2)
        store.free(large, 0)
        assert store.stats()[:2] == (0, 0)
        assert budget.stats().held == 0


async def test_freeing_a_block_frees_all_its_pieces(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(10), folder, disk) as store:
        block = await store.put(b"0123456789", [2, 6, 10])
        store.free(block)
        assert store.stats()[:2] == (0, 0)
        with pytest.raises(ClosedError, match="freed"):
            await store.read(block, 2)


async def test_ends_that_do_not_fit_leave_nothing_behind(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(10), folder, disk) as store:
        with pytest.raises(UsageError, match="3 bytes"):
            await store.put(b"abc", [1, 2])
        assert store.stats()[:2] == (0, 0)


async def test_a_large_piece_in_memory_is_copied_in_turns(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(8 * READ_BYTES), folder, disk) as store:
        data = random.Random(4).randbytes(4 * READ_BYTES + 3)
        block = await store.put(data)
        view = memoryview(bytearray(len(data)))
        task = asyncio.create_task(store.read_into([(block, 0)], view))
        for copied in range(5):
            assert view[copied * READ_BYTES : (copied + 1) * READ_BYTES] == bytes(
                min(READ_BYTES, len(data) - copied * READ_BYTES)
            )
            await asyncio.sleep(0)
        await task
        assert view == data


async def test_what_is_beyond_the_budget_stays_below_one_write(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(1), folder, disk) as store:
        for _ in range(500):
            await store.put(bytes(10_000))
            assert store.stats().memory_bytes < WRITE_BYTES


async def test_who_puts_a_large_block_waits_until_it_is_written(disk: Disk, folder: SpillFolder) -> None:
    """However many do at once: beyond the budget is only what those hold who still wait."""
    waiting = {number: WRITE_BYTES + number for number in range(12)}
    async with BlockStore(Budget(1), folder, disk) as store:

        async def puts(number: int) -> None:
            for _ in range(3):
                block = await store.put(bytes(waiting[number]))
                assert not block.in_memory
                assert store.stats().memory_bytes <= sum(waiting.values()) + WRITE_BYTES
            del waiting[number]

        await asyncio.gather(*map(puts, range(12)))
        assert store.stats()[:2] == (36, 0)
        assert store.stats().spilled_bytes_total > BATCH_BYTES


async def test_a_file_is_deleted_with_its_last_block(
    disk: Disk, folder: SpillFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "FILE_BYTES", 2 * LARGE)
    async with BlockStore(Budget(1), folder, disk) as store:
        blocks = [await store.put(b"x" * LARGE) for _ in range(4)]
        assert len(spill_files(folder)) == 2
        store.free(blocks[0])
        store.free(blocks[1])
        await until(lambda: len(spill_files(folder)) == 1)
        assert await store.read(blocks[2]) == b"x" * LARGE
        assert store.stats().disk_bytes < 3 * LARGE


async def test_closing_frees_memory_and_disk(disk: Disk, folder: SpillFolder) -> None:
    budget = Budget(100)
    store = BlockStore(budget, folder, disk)
    block = await store.put(b"x" * 60)
    await store.put(b"y" * LARGE)
    await store.put(b"z" * 50)
    await store.close()
    await store.close()
    assert spill_files(folder) == []
    assert budget.stats().held == 0
    assert store.stats()[:3] == (0, 0, 0)
    for use in (store.read(block), store.put(b"")):
        with pytest.raises(ClosedError):
            await use


async def test_a_freed_block_cannot_be_read(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(100), folder, disk) as store:
        block = await store.put(b"x")
        store.free(block)
        store.free(block)
        with pytest.raises(ClosedError, match="freed"):
            await store.read(block)


async def test_a_buffer_too_short_is_refused(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(100), folder, disk) as store:
        block = await store.put(b"xyz")
        with pytest.raises(UsageError, match="do not fit a buffer of 2"):
            await store.read_into([(block, 0)], memoryview(bytearray(2)))


async def test_a_damaged_block_is_an_error_and_the_others_are_well(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(1), folder, disk) as store:
        first, second = await store.put(b"x" * LARGE), await store.put(b"y" * LARGE)
        path = Path(folder.open(), spill_files(folder)[0])
        with path.open("r+b") as file:
            file.seek(500)
            file.write(b"?")
        with pytest.raises(CorruptRunError, match=str(path)):
            await store.read(first)
        assert await store.read(second) == b"y" * LARGE


async def test_a_full_disk_costs_only_the_block_that_met_it(disk: Disk, small_disk: Path) -> None:
    budget, folder = Budget(1), SpillFolder(str(small_disk))
    async with BlockStore(budget, folder, disk) as store:
        kept = [await store.put(b"a" * LARGE), await store.put(b"b" * 100)]
        before = store.stats()
        with pytest.raises(StorageError, match=rf"bytes to '{small_disk}.*disk is full") as caught:
            await store.put(bytes(5 << 20))
        assert caught.value.size >= 5 << 20
        assert store.stats() == before
        assert [(await store.read(block))[:1] for block in kept] == [b"a", b"b"]
        kept.append(await store.put(b"c" * LARGE))
        assert [(await store.read(block))[:1] for block in kept] == [b"a", b"b", b"c"]
        assert store.stats().memory_bytes == 0  # the small one went with the next write
    folder.close()
    assert os.listdir(small_disk) == []


async def test_a_cancelled_put_leaves_nothing_and_harms_nobody(disk: Disk, folder: SpillFolder) -> None:
    """Each round cancels one of several puts at another moment of its way to disk."""
    async with BlockStore(Budget(1), folder, disk) as store:
        for moment in range(30):
            tasks = [asyncio.create_task(store.put(bytes([number]) * LARGE)) for number in range(4)]
            for _ in range(moment):
                await asyncio.sleep(0)
            tasks[moment % 4].cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            blocks = {number: block for number, block in enumerate(done) if isinstance(block, Block)}
            assert len(blocks) >= 3
            assert store.stats().blocks == len(blocks)
            for number, block in blocks.items():
                assert await store.read(block) == bytes([number]) * LARGE
                store.free(block)
            assert store.stats()[:2] == (0, 0)


async def test_a_block_freed_while_it_is_written_takes_no_room(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(1), folder, disk) as store:
        small = await store.put(b"s" * 10)
        task = asyncio.create_task(store.put(b"x" * LARGE))
        await until(lambda: not store._spill._leaving)  # the batch is on its way
        assert not task.done()
        store.free(small)
        block = await task
        assert store.stats()[:2] == (1, 0)
        assert await store.read(block) == b"x" * LARGE


async def test_closing_while_blocks_are_put_leaves_no_file(disk: Disk, folder: SpillFolder) -> None:
    store = BlockStore(Budget(1), folder, disk)
    tasks = [asyncio.create_task(store.put(bytes(LARGE))) for _ in range(20)]
    await until(lambda: store.stats().disk_bytes)
    await store.close()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(result, ClosedError) for result in done)
    assert spill_files(folder) == []


async def test_a_file_is_there_until_the_reads_of_it_have_ended(disk: Disk, folder: SpillFolder) -> None:
    """Also when all its blocks are freed meanwhile and the read is cancelled."""
    async with BlockStore(Budget(1), folder, disk) as store:
        for moment in range(6):
            blocks = [await store.put(bytes([number]) * LARGE) for number in range(4)]
            view = memoryview(bytearray(4 * LARGE))
            task = asyncio.create_task(store.read_into([(block, 0) for block in blocks], view))
            for _ in range(moment):
                await asyncio.sleep(0)
            if moment % 2:
                task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() == bool(moment % 2)
            view.release()
            for block in blocks:
                store.free(block)


COMPRESSIONS: list[Compression] = ["none"]
COMPRESSIONS += ["lz4"] if find_spec("lz4") else []
COMPRESSIONS += ["zstd"] if find_spec("zstandard") else []


@pytest.mark.parametrize("name", COMPRESSIONS[1:])
async def test_a_piece_is_compressed_where_that_makes_it_smaller(
    disk: Disk, folder: SpillFolder, name: Compression
) -> None:
    chance = random.Random(5)
    pieces = [b"again and again " * 5000, chance.randbytes(LARGE), b"", b"short", b"again " * 40_000]
    async with BlockStore(Budget(1), folder, disk, codec_of(name)) as store:
        block = await store.put(b"".join(pieces), list(accumulate(map(len, pieces))))
        stats = store.stats()
        assert LARGE < stats.spilled_bytes_total < LARGE + 20_000
        assert stats.spilled_bytes_total == stats.disk_bytes
        assert stats.disk_bytes == os.path.getsize(Path(folder.open(), spill_files(folder)[0]))
        assert [await store.read(block, piece) for piece in range(5)] == pieces
        view = memoryview(bytearray(block.size))
        await store.read_into([(block, piece) for piece in (4, 2, 0, 3, 1)], view)
        assert view == b"".join(pieces[piece] for piece in (4, 2, 0, 3, 1))


class Model:
    """What a store should give back: pieces by block."""

    def __init__(self, budget: int, chance: random.Random) -> None:
        self.budget = Budget(budget)
        self.chance = chance
        self.blocks: dict[Block, dict[int, bytes]] = {}

    def data(self, sizes: list[int]) -> tuple[bytes, list[int]]:
        """Some pieces can be compressed, some not."""
        pieces = [
            bytes(size) if self.chance.random() < 0.5 else self.chance.randbytes(size) for size in sizes
        ]
        return b"".join(pieces), list(accumulate(sizes))

    def added(self, block: Block, data: bytes, ends: list[int]) -> None:
        self.blocks[block] = {piece: data[a:b] for piece, (a, b) in enumerate(pairwise([0, *ends]))}

    def wanted(self) -> list[tuple[Block, int]]:
        every = [(block, piece) for block, pieces in self.blocks.items() for piece in pieces]
        return self.chance.sample(every, self.chance.randint(0, len(every)))

    async def check(self, store: BlockStore) -> None:
        wanted = self.wanted()
        sizes = [len(self.blocks[block][piece]) for block, piece in wanted]
        view = memoryview(bytearray(sum(sizes)))
        assert await store.read_into(wanted, view) == list(accumulate(sizes))
        assert view == b"".join(self.blocks[block][piece] for block, piece in wanted)
        for block, piece in wanted[:3]:
            assert await store.read(block, piece) == self.blocks[block][piece]

    def free(self, store: BlockStore) -> None:
        for block, piece in self.wanted()[:5]:
            store.free(block, piece)
            del self.blocks[block][piece]
            if not self.blocks[block]:
                del self.blocks[block]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_use_by_several_tasks_gives_back_what_was_put(data: st.DataObject) -> None:
    """Blocks of any pieces put, read and freed at once, in files of a few blocks, in a budget of a few blocks."""
    sizes = st.lists(st.integers(0, 60), min_size=1, max_size=5)
    lives = data.draw(st.lists(st.lists(sizes, min_size=1, max_size=8), min_size=1, max_size=8))
    with tempfile.TemporaryDirectory() as parent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "WRITE_BYTES", data.draw(st.integers(1, 200)))
        patch.setattr(spill, "BATCH_BYTES", data.draw(st.integers(1, 300)))
        patch.setattr(spill, "FILE_BYTES", data.draw(st.integers(1, 1000)))
        patch.setattr(runs, "READ_BYTES", data.draw(st.integers(1, 100)))
        patch.setattr(runs, "READ_PIECES", data.draw(st.integers(1, 5)))
        asyncio.run(
            use(
                parent,
                lives,
                data.draw(st.integers(1, 400)),
                random.Random(data.draw(st.integers())),
                codec_of(data.draw(st.sampled_from(COMPRESSIONS))),
            )
        )


async def use(
    parent: str, lives: list[list[list[int]]], total: int, chance: random.Random, codec: Codec | None
) -> None:
    budget, folder = Budget(total), SpillFolder(parent)
    async with Disk() as disk:
        async with BlockStore(budget, folder, disk, codec) as store:

            async def live(blocks: list[list[int]]) -> None:
                mine = Model(total, chance)
                for sizes in blocks:
                    data, ends = mine.data(sizes)
                    mine.added(await store.put(data, ends), data, ends)
                    await mine.check(store)
                    mine.free(store)
                await mine.check(store)
                for block in mine.blocks:
                    store.free(block)

            await asyncio.gather(*map(live, lives))
            assert store.stats()[:2] == (0, 0)
            assert budget.stats().held == 0
        await disk.run(folder.close)
    assert os.listdir(parent) == []


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=4), min_size=1, max_size=4),
    seed=st.integers(),
    compression=st.sampled_from(COMPRESSIONS),
)
def test_any_changed_byte_of_a_spill_file_is_found_by_the_piece_it_belongs_to(
    sizes: list[list[int]], seed: int, compression: Compression
) -> None:
    with tempfile.TemporaryDirectory() as parent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "WRITE_BYTES", 1)
        asyncio.run(damage(parent, sizes, random.Random(seed), codec_of(compression)))


async def damage(parent: str, sizes: list[list[int]], chance: random.Random, codec: Codec | None) -> None:
    folder = SpillFolder(parent)
    async with Disk() as disk, BlockStore(Budget(1), folder, disk, codec) as store:
        pieces: list[tuple[Block, int]] = []
        for some in sizes:
            data = [chance.randbytes(size) for size in some]
            if codec is not None:
                data = [piece * chance.choice([1, 20]) for piece in data]
            block = await store.put(b"".join(data), list(accumulate(map(len, data))))
            if not block.in_memory:
                pieces += [(block, piece) for piece in range(len(some))]
        for name in spill_files(folder):
            path = Path(folder.open(), name)
            with path.open("r+b", buffering=0) as file:
                for position in range(path.stat().st_size):
                    good = os.pread(file.fileno(), 1, position)
                    os.pwrite(file.fileno(), bytes([good[0] ^ (1 << chance.randrange(8))]), position)
                    damaged = [await is_damaged(store, block, piece) for block, piece in pieces]
                    assert sum(damaged) == 1
                    with pytest.raises(CorruptRunError):
                        await store.read_into(pieces, memoryview(bytearray(20 * sum(map(sum, sizes)))))
                    os.pwrite(file.fileno(), good, position)
            assert not any([await is_damaged(store, block, piece) for block, piece in pieces])
        await store.close()
        await disk.run(folder.close)


async def is_damaged(store: BlockStore, block: Block, piece: int) -> bool:
    try:
        await store.read(block, piece)
    except CorruptRunError:
        return True
    return False
