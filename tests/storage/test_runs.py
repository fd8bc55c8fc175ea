from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import ClosedError, CorruptRunError, StorageError, UsageError
from asyncmr.storage import runs
from asyncmr.storage.budget import Budget
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.storage.runs import WRITE_BYTES, Block, BlockStore
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
        assert block.offset == 0
        assert await store.read(block) == data
        buffer = bytearray(LARGE + 5)
        await store.read_into(block, memoryview(buffer))
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


async def test_what_is_beyond_the_budget_stays_below_one_write(disk: Disk, folder: SpillFolder) -> None:
    async with BlockStore(Budget(1), folder, disk) as store:
        for _ in range(500):
            await store.put(bytes(10_000))
            assert store.stats().memory_bytes < WRITE_BYTES


async def test_a_file_is_deleted_with_its_last_block(
    disk: Disk, folder: SpillFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "FILE_BYTES", 2 * LARGE)
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
        with pytest.raises(UsageError, match="does not fit"):
            await store.read_into(block, memoryview(bytearray(2)))


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
        await until(lambda: not store._leaving)  # the batch is on its way
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


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_use_by_several_tasks_gives_back_what_was_put(data: st.DataObject) -> None:
    """Blocks of any size put, read and freed at once, in files of a few records, in a budget of a few blocks."""
    sizes = data.draw(st.lists(st.integers(0, 120), min_size=1, max_size=80))
    with tempfile.TemporaryDirectory() as parent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "WRITE_BYTES", data.draw(st.integers(1, 200)))
        patch.setattr(runs, "BATCH_BYTES", data.draw(st.integers(1, 300)))
        patch.setattr(runs, "FILE_BYTES", data.draw(st.integers(1, 1000)))
        asyncio.run(
            use(parent, sizes, data.draw(st.integers(1, 400)), random.Random(data.draw(st.integers())))
        )


async def use(parent: str, sizes: list[int], total: int, chance: random.Random) -> None:
    budget, folder = Budget(total), SpillFolder(parent)
    async with Disk() as disk:
        async with BlockStore(budget, folder, disk) as store:

            async def one(size: int) -> None:
                data = chance.randbytes(size)
                block = await store.put(data)
                for _ in range(chance.randrange(4)):
                    assert await store.read(block) == data
                store.free(block)

            await asyncio.gather(*map(one, sizes))
            assert store.stats()[:2] == (0, 0)
            assert budget.stats().held == 0
        await disk.run(folder.close)
    assert os.listdir(parent) == []
