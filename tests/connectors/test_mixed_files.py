"""Compressed files and pipes: the same splits as of plain files, and errors that say where."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.connectors import file_blocks, mixed_files, splitting
from asyncmr.connectors.frames import LineFrames
from asyncmr.connectors.paths import resolve
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import CorruptInputError, InputError, UsageError
from asyncmr.storage.disk import Disk
from tests.connectors.compressing import COMPRESSORS, compressed
from tests.connectors.reading import lines_of, read_splits
from tests.connectors.test_text import CONTENTS, drained, expected_places, written

SUFFIXES = st.sampled_from(list(COMPRESSORS))


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@given(contents=CONTENTS, split_bytes=st.integers(1, 40), data=st.data())
@settings(max_examples=25, deadline=None)
async def test_splits_are_those_of_the_same_lines_uncompressed(block_bytes, contents, split_bytes, data):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "SLICE_BYTES", data.draw(st.sampled_from([1, 5, 1 << 20])))
        patch.setattr(file_blocks, "BLOCK_BYTES", block_bytes)
        plain = await read_splits(TextFiles(written(folder, contents), split_bytes=split_bytes))
        patch.setattr(mixed_files, "_AHEAD", data.draw(st.integers(1, 4)))
        suffixes = [data.draw(SUFFIXES) for _ in contents[1:]] + [".gz"]
        paths = [
            compressed(folder, f"c{number}", suffix, content[:3], content[3:])
            for number, (suffix, content) in enumerate(zip(suffixes, contents, strict=True))
        ]
        splits = await read_splits(TextFiles(paths, split_bytes=split_bytes))
    assert [split.data for split in splits] == [split.data for split in plain]
    assert places_of(splits) == expected_places(paths, contents)


def places_of(splits):
    places = []
    for split in splits:
        position = 0
        for line in lines_of(split.data):
            places.append(split.place(position))
            position += len(line) + 1
    return places


async def test_the_size_of_what_is_compressed_is_not_known(tmp_path):
    async with Disk() as disk:
        info = await TextFiles(compressed(tmp_path, "a", ".gz", b"x")).prepare(disk)
    assert (info.bytes, info.sampled) == (None, False)


async def test_empty_files_give_no_split(tmp_path):
    paths = [compressed(tmp_path, "a", suffix, b"") for suffix in COMPRESSORS if suffix]
    (tmp_path / "none.gz").touch()
    assert await read_splits(TextFiles([*paths, str(tmp_path / "none.gz")])) == []


async def test_no_more_is_decompressed_at_once_than_is_asked_for(tmp_path, monkeypatch):
    """Two megabytes of zeros in two kilobytes: they come block by block."""
    path = compressed(tmp_path, "zeros", ".gz", (b"0" * 9_999 + b"\n") * 200)
    monkeypatch.setattr(file_blocks, "BLOCK_BYTES", 50_000)
    sizes = []
    async with Disk() as disk:
        blocks = file_blocks.FileBlocks(disk, resolve(path), LineFrames())
        while block := await blocks.next():
            sizes.append(sum(len(stretch.data) for stretch in block))
        await blocks.close()
    assert [size for size in sizes if size] == [50_000] * 40


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESSORS if suffix])
@pytest.mark.parametrize("damage", ["cut short", "changed", "never compressed"])
async def test_a_damaged_file_is_named_with_the_place(tmp_path, suffix, damage):
    path = Path(compressed(tmp_path, "a", suffix, os.urandom(300_000)))
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "cut short": data[:middle],
            "changed": data[:middle] + bytes(1000) + data[middle + 1000 :],
            "never compressed": b"to be or not to be\n",
        }[damage]
    )
    source = TextFiles(str(path))
    async with Disk() as disk:
        await source.prepare(disk)
        with pytest.raises(
            CorruptInputError, match=rf"'{path}' is damaged or cut short, near byte"
        ) as failed:
            await drained(source)
    assert (failed.value.path, failed.value.offset <= len(data)) == (str(path), True)


async def test_zstd_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.zst").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.zst' is compressed with zstd.*asyncmr\[zstd\]"):
        await read_splits(TextFiles(tmp_path / "a.zst"))


async def test_a_file_changed_since_it_was_listed_is_an_error_that_names_it(tmp_path):
    path = compressed(tmp_path, "a", ".gz", b"x\n")
    source = TextFiles(path)
    async with Disk() as disk:
        await source.prepare(disk)
        compressed(tmp_path, "a", ".gz", b"x\ny\n")
        with pytest.raises(InputError, match=r"a\.gz' was changed"):
            await drained(source)


def piped(data):
    """What a shell's `<(...)` stands for: the path, and the descriptor to close."""
    reader, writer = os.pipe()
    assert os.write(writer, data) == len(data)
    os.close(writer)
    return f"/dev/fd/{reader}", reader


async def test_a_pipe_is_read_to_its_end_with_the_numbers_of_its_lines(monkeypatch):
    monkeypatch.setattr("asyncmr.connectors.pipe_blocks.BLOCK_BYTES", 4)
    monkeypatch.setattr("asyncmr.connectors.frames._COUNTED_BYTES", 4)
    path, reader = piped(b"a\nbc\n\nd\nefghij\nk")
    splits = await read_splits(TextFiles(path, split_bytes=6))
    os.close(reader)
    assert [split.data for split in splits] == [b"a\nbc\n\n", b"d\n", b"efghij\nk\n"]
    for split, line in zip(splits, (1, 4, 5), strict=True):
        assert split.pieces[0].line == line
        assert split.pieces[-1].line == line + split.data[: split.pieces[-1].start].count(b"\n")


async def test_a_pipe_beside_files_keeps_its_place(tmp_path):
    path, reader = piped(b"two")
    paths = [*written(tmp_path, [b"one"]), path, compressed(tmp_path, "c", ".gz", b"three")]
    [split] = await read_splits(TextFiles(paths))
    os.close(reader)
    assert split.data == b"one\ntwo\nthree\n"


async def test_a_pipe_is_waited_for_and_can_be_given_up(tmp_path):
    """Nobody has opened it for writing; no thread may be stuck in it."""
    os.mkfifo(tmp_path / "pipe")
    source = TextFiles(tmp_path / "pipe")
    async with Disk() as disk:
        await source.prepare(disk)
        reading = asyncio.create_task(drained(source))
        while not (writer := opened_for_writing(tmp_path / "pipe")):
            await asyncio.sleep(0)  # until the source has opened its end
        assert not reading.done()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    os.close(writer)


def opened_for_writing(path):
    """None as long as nobody reads."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


async def test_what_can_be_read_only_once_cannot_be_resumed():
    source = TextFiles("-")
    async with Disk() as disk:
        await source.prepare(disk)
        with pytest.raises(UsageError, match="can be read only once; write it to a file first"):
            source.fingerprint()
