from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncmr.errors import CorruptRunError, StorageError
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.storage.spill_file import HEADER, SpillFile

BLOCKS = [b"first block", b"", b"the second, and last, block"]


@pytest.fixture
async def spill_file(disk: Disk, tmp_path: Path) -> AsyncIterator[SpillFile]:
    folder = SpillFolder(str(tmp_path))
    file = await SpillFile.create(disk, folder)
    yield file
    await file.remove()
    folder.close()


async def read_all(file: SpillFile, offsets: list[int]) -> list[bytes]:
    return [await file.read(offset, len(block)) for offset, block in zip(offsets, BLOCKS, strict=True)]


async def test_blocks_come_back_as_they_were(spill_file: SpillFile) -> None:
    offsets = await spill_file.append(BLOCKS[:1]) + await spill_file.append(BLOCKS[1:])
    assert await read_all(spill_file, offsets) == BLOCKS
    buffer = bytearray(len(BLOCKS[2]))
    await spill_file.read_into(offsets[2], memoryview(buffer))
    assert buffer == BLOCKS[2]
    assert spill_file.end == sum(map(len, BLOCKS)) + 3 * HEADER.size


async def test_the_file_is_for_this_user_only(spill_file: SpillFile) -> None:
    assert os.stat(spill_file.path).st_mode & 0o777 == 0o600


async def test_every_changed_byte_is_found(spill_file: SpillFile) -> None:
    offsets = await spill_file.append(BLOCKS)
    good = Path(spill_file.path).read_bytes()
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 0x10
        Path(spill_file.path).write_bytes(changed)
        with pytest.raises(CorruptRunError, match="checksum"):
            await read_all(spill_file, offsets)


async def test_every_shortening_is_found(spill_file: SpillFile) -> None:
    offsets = await spill_file.append(BLOCKS)
    for length in reversed(range(spill_file.end)):
        os.truncate(spill_file.path, length)
        with pytest.raises(CorruptRunError, match="cut short"):
            await read_all(spill_file, offsets)


async def test_damage_is_named_with_path_and_offset_also_when_read_into(spill_file: SpillFile) -> None:
    offsets = await spill_file.append(BLOCKS)
    os.truncate(spill_file.path, spill_file.end - 1)
    with pytest.raises(CorruptRunError, match=f"offset {offsets[2]} of '{spill_file.path}'") as caught:
        await spill_file.read_into(offsets[2], memoryview(bytearray(len(BLOCKS[2]))))
    assert (caught.value.path, caught.value.size) == (spill_file.path, len(BLOCKS[2]))


async def test_a_block_in_the_place_of_another_is_found(spill_file: SpillFile) -> None:
    """Each record is whole, but not the one that was asked for."""
    offsets = await spill_file.append([b"a" * 100, b"b" * 90])
    with pytest.raises(CorruptRunError):
        await spill_file.read(offsets[1], 100)


async def test_after_a_full_disk_the_file_is_as_it_was(disk: Disk, small_disk: Path) -> None:
    folder = SpillFolder(str(small_disk))
    file = await SpillFile.create(disk, folder)
    before = await file.append([b"kept"])
    with pytest.raises(StorageError, match="disk is full"):
        await file.append([b"x" * (6 << 20)])
    after = await file.append([b"next"])
    assert after == [before[0] + HEADER.size + 4]
    assert [await file.read(offset, 4) for offset in before + after] == [b"kept", b"next"]
    await file.remove()
    folder.close()


async def test_a_missing_folder_is_named(disk: Disk, tmp_path: Path) -> None:
    folder = SpillFolder(str(tmp_path))
    path = folder.open()
    os.unlink(os.path.join(path, "lock"))
    os.rmdir(path)
    with pytest.raises(StorageError, match=path):
        await SpillFile.create(disk, folder)
    folder.close()
