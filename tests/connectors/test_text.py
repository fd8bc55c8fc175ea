"""Text files as a source: every line once, in order, with a place that leads back to it."""

import asyncio
import os
import tempfile
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncmr.connectors import line_numbers, plain_files, splitting
from asyncmr.connectors.line_numbers import line_number
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import InputError, UsageError
from asyncmr.storage.disk import Disk
from tests.connectors.reading import Memories, lines_of, read_splits

CONTENTS = st.lists(
    st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\xff", b"d" * 9])).map(b"".join),
    min_size=1,
    max_size=6,
)


def written(folder, contents):
    paths = []
    for number, content in enumerate(contents):
        path = Path(folder, f"{number:05d}.txt")
        path.write_bytes(content)
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("small", [0, 8, 64 << 10])
@pytest.mark.parametrize("slice_bytes", [1, 3, 1 << 20])
@given(contents=CONTENTS, split_bytes=st.integers(1, 40))
@example(contents=[b"abc"], split_bytes=3)
@example(contents=[b"ab\n", b"c"], split_bytes=3)
@settings(max_examples=25, deadline=None)
async def test_splits_hold_every_line_once_with_its_place(small, slice_bytes, contents, split_bytes):
    """For any contents, sizes of splits and slices, and whichever way files are read."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_files, "SMALL_BYTES", small)
        patch.setattr(splitting, "SLICE_BYTES", slice_bytes)
        paths = written(folder, contents)
        splits = await read_splits(TextFiles(paths, split_bytes=split_bytes))
        assert [line for split in splits for line in lines_of(split.data)] == [
            line for content in contents for line in lines_of(content)
        ]
        places = []
        for split in splits:
            assert split.data.endswith(b"\n")
            assert all(piece.start < len(split.data) for piece in split.pieces)
            position = 0
            for line in lines_of(split.data):
                places.append(split.place(position))
                position += len(line) + 1
        assert places == expected_places(paths, contents)


def expected_places(paths, contents):
    places = []
    for path, content in zip(paths, contents, strict=True):
        offset = 0
        for line in lines_of(content):
            places.append((path, offset))
            offset += len(line) + 1
    return places


@given(contents=CONTENTS.filter(any), split_bytes=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
async def test_the_cut_does_not_depend_on_the_way_files_are_read(contents, split_bytes):
    cuts = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        paths = written(folder, contents)
        for small in (0, 64 << 10):
            patch.setattr(plain_files, "SMALL_BYTES", small)
            cuts.append(await read_splits(TextFiles(paths, split_bytes=split_bytes)))
    assert cuts[0] == cuts[1]


@given(content=st.lists(st.sampled_from([b"a", b"bcd", b"\n"])).map(b"".join), data=st.data())
@settings(max_examples=60, deadline=None)
async def test_a_line_number_counts_the_newlines_before_it(content, data):
    offset = data.draw(st.integers(0, len(content)))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_numbers, "SLICE_BYTES", 4)
        [path] = written(folder, [content])
        async with Disk() as disk:
            assert await line_number(disk, path, offset) == content[:offset].count(b"\n") + 1


async def test_many_small_files_share_a_split(tmp_path):
    written(tmp_path, [b"x %d" % number for number in range(200)])
    [split] = await read_splits(TextFiles(tmp_path))
    assert lines_of(split.data) == [b"x %d" % number for number in range(200)]
    assert len(split.pieces) == 200


async def test_input_without_a_byte_gives_no_split(tmp_path):
    assert await read_splits(TextFiles(written(tmp_path, [b"", b""]))) == []


async def test_carriage_returns_are_left_to_the_decoder(tmp_path):
    [split] = await read_splits(TextFiles(written(tmp_path, [b"a\r\nb\r\n"])))
    assert split.data == b"a\r\nb\r\n"


async def test_a_line_of_a_hundred_megabytes_is_one_split(tmp_path):
    """The buffer grows by doubling: a handful of times, not once for each slice."""
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.seek(100_000_000, os.SEEK_CUR)  # a hole, which reads as zeros
        file.write(b"\nlast\n")
    buffers = Memories()
    splits = await read_splits(TextFiles(path), buffers)
    assert [len(split.data) for split in splits] == [6, 100_000_006]
    assert 1 <= buffers.grown <= 6


async def test_a_small_input_asks_for_no_more_memory_than_it_fills(tmp_path):
    class Sizes(Memories):
        async def lease(self, size):
            assert size <= 5
            return await super().lease(size)

    [split] = await read_splits(TextFiles(written(tmp_path, [b"a\n", b"b"])), Sizes())
    assert split.data == b"a\nb\n"


async def test_the_size_is_known_before_reading(tmp_path):
    async with Disk() as disk:
        info = await TextFiles(written(tmp_path, [b"abc", b"", b"de\n"])).prepare(disk)
    assert info.bytes == 6


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("change", ["longer", "shorter", "touched"])
async def test_a_file_changed_since_it_was_listed_is_an_error_that_names_it(tmp_path, size, change):
    [path] = written(tmp_path, [b"x\n" * (size // 2)])
    source = TextFiles(path)
    async with Disk() as disk:
        await source.prepare(disk)
        if change == "touched":
            os.utime(path, ns=(1, 1))
        else:
            os.truncate(path, size + 2 if change == "longer" else size - 2)
        with pytest.raises(InputError, match=r"00000\.txt' was changed"):
            await drained(source)


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_file_removed_since_it_was_listed_is_an_error_that_names_it(tmp_path, size):
    [path] = written(tmp_path, [b"x" * size])
    source = TextFiles(path)
    async with Disk() as disk:
        await source.prepare(disk)
        os.unlink(path)
        with pytest.raises(InputError, match=r"00000\.txt"):
            await drained(source)


async def test_a_file_that_grows_while_it_is_read_is_an_error(tmp_path):
    [path] = written(tmp_path, [b"x\n" * 100_000])
    source = TextFiles(path, split_bytes=50_000)
    async with Disk() as disk:
        await source.prepare(disk)
        async with aclosing(source.splits(Memories())) as splits:
            await anext(splits)
            with open(path, "ab") as file:
                file.write(b"more\n")
            with pytest.raises(InputError, match="was changed"):
                async for _ in splits:
                    pass


async def drained(source):
    buffers = Memories()
    async with aclosing(source.splits(buffers)) as splits:
        try:
            async for split in splits:
                split.buffer.release()
        finally:
            assert buffers.held == 0


async def test_left_early_it_closes_its_file(tmp_path):
    """The descriptor left open would be found by the fixture."""
    source = TextFiles(written(tmp_path, [b"x\n" * 100_000]), split_bytes=1_000)
    async with Disk() as disk:
        await source.prepare(disk)
        async with aclosing(source.splits(Memories())) as splits:
            assert (await anext(splits)).length == 1_000


async def test_cancelled_while_it_waits_for_a_buffer_it_closes_its_file(tmp_path):
    waits = asyncio.Event()

    class Scarce(Memories):
        async def lease(self, size):
            if self.held:
                waits.set()
                await asyncio.Event().wait()
            return await super().lease(size)

    async def read(source):
        async with aclosing(source.splits(Scarce())) as splits:
            async for _ in splits:
                pass

    source = TextFiles(written(tmp_path, [b"x\n" * 100_000]), split_bytes=1_000)
    async with Disk() as disk:
        await source.prepare(disk)
        reading = asyncio.create_task(read(source))
        await waits.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_a_source_can_be_read_again(tmp_path):
    source = TextFiles(written(tmp_path, [b"a\nb\n"]), split_bytes=2)
    assert await read_splits(source) == await read_splits(source)


def test_a_split_without_bytes_is_refused():
    with pytest.raises(UsageError, match="split_bytes=0"):
        TextFiles("a.txt", split_bytes=0)


async def test_it_is_prepared_before_it_is_read():
    with pytest.raises(UsageError, match="prepared"):
        await anext(TextFiles("a.txt").splits(Memories()))
