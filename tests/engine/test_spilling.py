"""Disks that fail under a job that spills: one typed error, nothing left, and never a wrong result."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.errors import CorruptRunError, StorageError
from asyncmr.pipeline.limits import Limits
from tests.engine.at_rest import is_at_rest
from tests.engine.word_count import COUNT, WORDS, source
from tests.family import listed
from tests.storage.faulty_io import Call, error, faulty_io
from tests.storage.small_disk import small_disk

__all__ = ["small_disk"]

SPILLING = Limits(fused=0, shuffle=1)
RECORDS = 3000
LATE = 2800  # by then most of the records are mapped, since the source runs only a few tasks ahead


def padded(_key, number):
    yield number % 50, f"{number:2000}"


LARGE = Job(mapper=padded, reducer=listed, name="large")
EXPECTED = {key: [f"{n:2000}" for n in range(key, RECORDS, 50)] for key in range(50)}


def spill_files(folder: Path) -> list[Path]:
    return list(folder.glob("asyncmr-*/*.spill"))


def numbers(at: int, act: Callable[[], object]) -> asyncmr.Source:
    """Records; `act` is called on the loop when the job takes the record number `at`."""

    def every() -> Iterator[int]:
        for number in range(RECORDS):
            if number == at:
                act()
            yield number

    return asyncmr.records(every(), records_per_task=100)


async def fails_and_works_again(
    folder: Path, records: asyncmr.Source, error: type[StorageError]
) -> StorageError:
    """Runs the job, which must fail; then the engine must be as good as new."""
    async with Engine(workers=2, limits=SPILLING, spill_dir=folder) as engine:
        with pytest.raises(error) as caught:
            await engine.collect(LARGE, records)
        await is_at_rest(engine)
        assert spill_files(folder) == []
        assert dict(await engine.collect(COUNT, source())) == WORDS
    return caught.value


async def test_a_full_disk_is_named_with_path_and_bytes(small_disk):
    error = await fails_and_works_again(small_disk, numbers(0, lambda: None), StorageError)
    assert "disk is full" in str(error)
    assert str(small_disk) in error.path
    assert error.size > 0
    assert list(small_disk.iterdir()) == []


async def test_a_spill_folder_that_vanished_is_named(tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    error = await fails_and_works_again(folder, numbers(0, lambda: shutil.rmtree(folder)), StorageError)
    assert str(folder) in str(error)
    assert "no such file or folder" in str(error)


async def test_spill_files_that_are_deleted_meanwhile_are_read_all_the_same(tmp_path):
    """The job holds them open."""

    def delete() -> None:
        files = spill_files(tmp_path)
        assert files
        for file in files:
            file.unlink()

    async with Engine(workers=2, limits=SPILLING, spill_dir=tmp_path) as engine:
        result = await engine.collect(LARGE, numbers(LATE, delete))
    assert dict(result) == EXPECTED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "truncate"])
async def test_a_damaged_spill_file_fails_the_job(tmp_path, damage):
    """Without the damage the same job gives the right result."""
    spilled: list[Path] = []

    def harm(damage: str) -> None:
        spilled[:] = spill_files(tmp_path)
        assert spilled
        for file in spilled:
            with file.open("r+b") as opened:
                first = opened.read(1)
                opened.seek(0)
                if damage == "flip":
                    opened.write(bytes([first[0] ^ 1]))
                elif damage == "truncate":
                    opened.truncate(1)

    error = await fails_and_works_again(tmp_path, numbers(LATE, lambda: harm(damage)), CorruptRunError)
    assert error.path == str(spilled[0])
    assert str(spilled[0]) in str(error)
    async with Engine(workers=2, limits=SPILLING, spill_dir=tmp_path) as engine:
        assert dict(await engine.collect(LARGE, numbers(LATE, lambda: harm("none")))) == EXPECTED
    assert list(tmp_path.iterdir()) == []


async def test_a_spill_folder_that_cannot_be_removed_fails_no_job_that_is_done(tmp_path, caplog):
    with faulty_io(tmp_path) as faulty:
        async with Engine(workers=2, limits=SPILLING, spill_dir=tmp_path) as engine:
            assert dict(await engine.collect(LARGE, asyncmr.records(range(RECORDS)))) == EXPECTED

            def hook(call: Call) -> None:
                if call.kind == "remove":
                    raise error(errno.EIO, call)

            faulty.hook = hook
    assert "could not remove the temporary folder" in caplog.text
    assert "the next engine" in caplog.text
    assert list(tmp_path.glob("asyncmr-*"))
    async with Engine(workers=1, spill_dir=tmp_path):
        assert not list(tmp_path.glob("asyncmr-*"))
