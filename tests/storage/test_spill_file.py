from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from asyncmr.errors import StorageError
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.storage.spill_file import SpillFile, Written


@pytest.fixture
async def spill_file(disk: Disk, tmp_path: Path) -> AsyncIterator[SpillFile]:
    folder = SpillFolder(str(tmp_path))
    file = await SpillFile.create(disk, folder)
    yield file
    await file.remove()
    folder.close()


async def test_blocks_lie_one_behind_the_other_with_a_checksum_for_each_piece(spill_file: SpillFile) -> None:
    blocks = [(b"one block", (9,)), (b"", (0,)), (b"three pieces", array("I", [5, 5, 12]))]
    written = await spill_file.append(blocks[:1]) + await spill_file.append(blocks[1:])
    assert Path(spill_file.path).read_bytes() == b"one blockthree pieces"
    assert spill_file.end == 21
    assert written == [
        Written(offset, ends, array("I", [zlib.crc32(data[a:b]) for a, b in pairwise((0, *ends))]))
        for offset, (data, ends) in zip((0, 9, 9), blocks, strict=True)
    ]


async def test_the_file_is_for_this_user_only(spill_file: SpillFile) -> None:
    assert os.stat(spill_file.path).st_mode & 0o777 == 0o600


async def test_after_a_full_disk_the_file_is_as_it_was(disk: Disk, small_disk: Path) -> None:
    folder = SpillFolder(str(small_disk))
    file = await SpillFile.create(disk, folder)
    await file.append([(b"kept", (4,))])
    with pytest.raises(StorageError, match=r"6,291,456 bytes to .*disk is full") as caught:
        await file.append([(bytes(6 << 20), (6 << 20,))])
    assert (caught.value.path, caught.value.size) == (file.path, 6 << 20)
    assert (await file.append([(b"next", (4,))]))[0].offset == 4
    assert Path(file.path).read_bytes()[:8] == b"keptnext"
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
