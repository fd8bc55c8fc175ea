from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import InputError, OutputError, StorageError
from asyncmr.storage.disk import Disk, _behind, finish, read_at, write_at
from tests.actors.until import turns


async def test_read_into_stops_at_the_end_of_the_file(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    handle = await disk.open(str(tmp_path / "a"))
    buffer = bytearray(16)
    assert await disk.read_into(handle, memoryview(buffer)) == 10
    assert buffer == b"0123456789" + bytes(6)
    await disk.close_file(handle)


async def test_a_read_at_an_offset_leaves_the_position_alone(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    handle = await disk.open(str(tmp_path / "a"))
    there, here = bytearray(3), bytearray(3)
    await disk.read_into(handle, memoryview(there), 5)
    await disk.read_into(handle, memoryview(here))
    assert bytes(there + here) == b"567012"
    await disk.close_file(handle)


def test_what_is_written_in_many_buffers_is_read_in_many_others(tmp_path: Path) -> None:
    pieces = [b"%d," % number * (number % 5) for number in range(3000)]  # more than one pwritev takes
    whole = b"".join(pieces)
    with (tmp_path / "a").open("x+b", buffering=0) as file:
        write_at(file.fileno(), pieces, 2)
        assert (tmp_path / "a").read_bytes() == b"\0\0" + whole
        views = [memoryview(bytearray(size)) for size in (0, 5, 1000, 0, len(whole))]
        assert read_at(file.fileno(), views, 2) == len(whole)
        assert b"".join(views) == whole + bytes(1005)


@given(st.lists(st.binary(max_size=4), max_size=6), st.data())
def test_after_a_short_write_exactly_the_rest_is_left(buffers: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(buffers)
    done = data.draw(st.integers(0, len(whole)))
    assert b"".join(_behind(list(buffers), done)) == whole[done:]


async def test_append_makes_the_file_and_adds_to_it(disk: Disk, tmp_path: Path) -> None:
    await disk.append(str(tmp_path / "a"), b"one")
    await disk.append(str(tmp_path / "a"), b"two")
    assert (tmp_path / "a").read_bytes() == b"onetwo"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.both_loops
@pytest.mark.parametrize("style", ["asyncio", "anyio"])
async def test_a_cancelled_read_waits_for_the_thread_that_owns_the_buffer(
    disk: Disk, pipe: Path, style: str
) -> None:
    """A pipe keeps the thread in its read until we write; only then may the caller have its buffer back."""
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    handle = await disk.open(str(pipe))
    buffer = bytearray(4)
    scope = anyio.CancelScope()

    async def read() -> None:
        with scope:
            await disk.read_into(handle, memoryview(buffer))

    task = asyncio.create_task(read())
    await turns(20)
    for _ in range(3):
        scope.cancel() if style == "anyio" else task.cancel()
        await turns(20)
    assert not task.done()
    os.write(writer, b"data")
    await asyncio.wait([task])
    assert buffer == b"data"
    assert task.cancelled() is (style == "asyncio")
    os.close(writer)
    await disk.close_file(handle)


async def test_a_cancelled_open_leaves_no_descriptor(disk: Disk, pipe: Path) -> None:
    task = asyncio.create_task(disk.open(str(pipe)))  # waits for someone who writes
    await turns(20)
    task.cancel()
    await turns(20)
    assert not task.done()
    writer = await disk.run(os.open, pipe, os.O_WRONLY)
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BrokenPipeError):  # nobody reads any more
        os.write(writer, b"x")
    os.close(writer)


async def test_finish_keeps_the_error_of_cancelled_work_as_context() -> None:
    go = asyncio.Event()

    async def fails() -> None:
        await go.wait()
        raise OSError("late")

    task = asyncio.create_task(finish(fails()))
    await turns(20)
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    contexts = []
    error: BaseException | None = caught.value
    while error is not None:
        contexts.append(str(error))
        error = error.__context__
    assert "late" in contexts


async def test_a_missing_file_is_named_in_the_family_asked_for(disk: Disk, tmp_path: Path) -> None:
    path = str(tmp_path / "absent")
    with pytest.raises(StorageError, match="absent") as caught:
        await disk.open(path)
    assert caught.value.path == path
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(InputError, match="absent"):
        await disk.open(path, raises=InputError)


async def test_a_private_file_is_for_this_user_only_and_follows_no_link(disk: Disk, tmp_path: Path) -> None:
    handle = await disk.open(str(tmp_path / "mine"), "xb", private=True)
    await disk.close_file(handle)
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="link"):
        await disk.open(str(tmp_path / "link"), "wb", private=True)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_full_disk_is_named_with_path_and_bytes(disk: Disk, small_disk: Path) -> None:
    path = str(small_disk / "big")
    handle = await disk.open(path, "xb")
    for writing in (
        disk.write_all(handle, bytes(6 << 20)),
        disk.append(path, bytes(6 << 20)),
    ):
        with pytest.raises(StorageError, match=r"6,291,456 bytes to .*big.*disk is full") as caught:
            await writing
        assert (caught.value.path, caught.value.size) == (path, 6 << 20)
    with pytest.raises(OutputError, match="disk is full"):
        await disk.append(path, bytes(6 << 20), raises=OutputError)
    await disk.close_file(handle)


def test_a_file_size_limit_is_an_error_that_names_it(tmp_path: Path) -> None:
    """The write that meets the limit comes out short; the one for the rest fails."""
    script = textwrap.dedent(
        """
        import asyncio, resource, sys
        from asyncmr.errors import StorageError
        from asyncmr.storage.disk import Disk

        async def main():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            async with Disk() as disk:
                handle = await disk.open(sys.argv[1], "xb")
                try:
                    await disk.write_all(handle, bytes(1500))
                except StorageError as error:
                    sys.stdout.write(f"{error.size} {error}")
                await disk.close_file(handle)

        asyncio.run(main())
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("1500 could not write 1,500 bytes")
    assert "ulimit -f" in ran.stdout
    assert (tmp_path / "a").stat().st_size == 1000
