"""A folder of part files: there whole, with `_SUCCESS`, or not at all."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncmr.connectors.part_files import STAGING, SUCCESS, PartFiles
from asyncmr.errors import ClosedError, OutputError
from asyncmr.kernel.formats import TextFormat
from tests.storage.faulty_io import Call, error, faulty_io

ROOT = Path(__file__).parents[2]


async def opened(disk, folder):
    sink = PartFiles(folder, TextFormat())
    await sink.open(disk)
    return sink


async def put(sink, index, *chunks, attempt=0):
    writer = await sink.part(index, attempt)
    for chunk in chunks:
        await writer.write(chunk)
    await writer.close()
    await sink.accept(index, writer)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_committed_parts_are_there_and_success_beside_them(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    await put(sink, 1, b"c\n")
    await put(sink, 0, b"a\n", b"b\n")
    await sink.commit()
    assert content(tmp_path / "out") == {"part-00000": b"a\nb\n", "part-00001": b"c\n", "_SUCCESS": b""}


async def test_a_part_without_pairs_is_an_empty_file(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    await put(sink, 0)
    await sink.commit()
    assert content(tmp_path / "out") == {"part-00000": b"", "_SUCCESS": b""}


async def test_nothing_is_visible_before_the_commit(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    await put(sink, 0, b"a\n")
    assert [name[: len(STAGING)] for name in os.listdir(tmp_path / "out")] == [STAGING]
    await sink.abort()


async def test_only_the_accepted_attempt_counts(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    first = await sink.part(0, 0)
    await first.write(b"half")
    rival = await sink.part(0, 0)
    await rival.write(b"rival")
    await put(sink, 0, b"whole", attempt=1)
    await first.discard()
    await sink.commit()
    assert content(tmp_path / "out") == {"part-00000": b"whole", "_SUCCESS": b""}


@pytest.mark.parametrize("there", [False, True])
async def test_aborted_it_leaves_what_was_there(disk, tmp_path, there):
    """Folders that it made go, the one that was there stays."""
    out = tmp_path / "new" / "out"
    if there:
        out.mkdir(parents=True)
    sink = await opened(disk, out)
    await put(sink, 0, b"a\n")
    writer = await sink.part(1, 0)
    await writer.write(b"unfinished")
    await sink.abort()
    assert os.listdir(tmp_path) == (["new"] if there else [])
    assert not there or os.listdir(out) == []


async def test_aborting_twice_or_unopened_is_harmless(disk, tmp_path):
    sink = PartFiles(tmp_path / "out", TextFormat())
    await sink.abort()
    await sink.open(disk)
    await sink.abort()
    await sink.abort()
    assert os.listdir(tmp_path) == []


async def test_aborting_after_the_commit_takes_nothing_back(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    await put(sink, 0, b"a\n")
    await sink.commit()
    await sink.abort()
    assert sorted(content(tmp_path / "out")) == ["_SUCCESS", "part-00000"]


@pytest.mark.parametrize("name", ["part-00000", "notes.txt", ".hidden"])
async def test_a_folder_with_anything_in_it_is_refused_and_left_alone(disk, tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"not empty, it holds {name}"):
        await opened(disk, tmp_path)
    assert content(tmp_path) == {name: b"mine"}


async def test_two_jobs_cannot_write_to_one_folder(disk, tmp_path):
    first = await opened(disk, tmp_path / "out")
    with pytest.raises(OutputError, match="another job is writing to it"):
        await opened(disk, tmp_path / "out")
    await put(first, 0, b"a\n")
    await first.commit()
    assert sorted(content(tmp_path / "out")) == ["_SUCCESS", "part-00000"]


@pytest.mark.parametrize("below", ["file", "file/out"])
async def test_a_file_in_the_place_of_a_folder_is_refused(disk, tmp_path, below):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(OutputError, match="file"):
        await opened(disk, tmp_path / below)
    assert content(tmp_path) == {"file": b"mine"}


async def test_a_commit_that_fails_half_way_takes_back_what_it_did(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    for index in range(3):
        await put(sink, index, b"a\n")
    (tmp_path / "out" / "part-00002").write_bytes(b"a stranger's")
    with pytest.raises(OutputError, match="part-00002"):
        await sink.commit()
    await sink.abort()
    assert content(tmp_path / "out") == {"part-00002": b"a stranger's"}


async def test_a_part_that_cannot_be_taken_back_keeps_no_other_visible(disk, tmp_path):
    folder = tmp_path / "out"
    with faulty_io(folder) as faulty:
        sink = await opened(disk, folder)
        for index in range(3):
            await put(sink, index, b"x\n")

        def hook(call: Call) -> None:
            names = {"open": SUCCESS, "remove": "part-00001"}
            if names.get(call.kind) == Path(call.path).name:
                raise error(errno.EIO, call)

        faulty.hook = hook
        with pytest.raises(OutputError, match="could not remove the output of a failed job"):
            await sink.commit()
    assert {path.name for path in folder.iterdir() if path.name.startswith(("part", "_"))} == {"part-00001"}
    await sink.abort()


async def test_a_commit_that_was_cancelled_is_taken_back_by_abort(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    await put(sink, 0, b"a\n")
    committing = asyncio.create_task(sink.commit())
    await asyncio.sleep(0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await sink.abort()
    assert os.listdir(tmp_path) == []


async def test_opening_that_was_cancelled_leaves_nothing(disk, tmp_path):
    opening = asyncio.create_task(opened(disk, tmp_path / "out"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert os.listdir(tmp_path) == []


async def test_a_full_disk_names_path_and_bytes_and_leaves_nothing(disk, small_disk):
    sink = await opened(disk, small_disk / "out")
    await put(sink, 0, b"x" * 1_000_000)
    writer = await sink.part(1, 0)
    with pytest.raises(OutputError, match=r"8,000,000 bytes .*/00001\.0.*disk is full"):
        await writer.write(b"x" * 8_000_000)
    await writer.discard()
    await sink.abort()
    assert os.listdir(small_disk) == []


async def test_the_staging_folder_of_a_killed_job_is_removed_by_the_next(disk, tmp_path):
    script = (
        "import asyncio, sys\n"
        "from asyncmr.connectors.part_files import PartFiles\n"
        "from asyncmr.storage.disk import Disk\n"
        "async def main():\n"
        "    async with Disk() as disk:\n"
        "        sink = PartFiles(sys.argv[1], None)\n"
        "        await sink.open(disk)\n"
        "        await (await sink.part(0, 0)).write(b'half')\n"
        "        print('written', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == b"written\n"
        with pytest.raises(OutputError, match="another job is writing to it"):
            await opened(disk, tmp_path / "out")
        job.send_signal(signal.SIGKILL)
    sink = await opened(disk, tmp_path / "out")
    await put(sink, 0, b"whole")
    await sink.commit()
    assert content(tmp_path / "out") == {"part-00000": b"whole", "_SUCCESS": b""}


async def test_parts_that_are_being_written_hold_no_descriptors(disk, tmp_path):
    sink = await opened(disk, tmp_path / "out")
    before = len(os.listdir("/proc/self/fd"))
    for index in range(300):
        await (await sink.part(index, 0)).write(b"x")
    assert len(os.listdir("/proc/self/fd")) <= before
    await sink.abort()


async def test_it_is_opened_before_it_is_written(tmp_path):
    with pytest.raises(ClosedError):
        await PartFiles(tmp_path / "out", TextFormat()).part(0, 0)
