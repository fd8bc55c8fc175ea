"""What is looked at of an input before it is read: whole records, from everywhere, the same ones each time."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmr
from asyncmr import InputError
from asyncmr.connectors.line_slices import LINE_BYTES
from asyncmr.connectors.memory import Records
from asyncmr.connectors.sampling import evenly, sample_bytes, sample_records
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel.blocks import decode_pairs
from asyncmr.storage.disk import Disk
from tests.connectors.reading import Memories, ReadSplit


async def samples_of(source):
    """The samples of a source, copied out, and the records that each of them stands for."""
    buffers = Memories()
    found: list[ReadSplit] = []
    async with Disk() as disk:
        await source.prepare(disk)
        async with aclosing(source.samples(buffers)) as samples:
            async for split, every, stretches, _worth in samples:
                assert every == 1
                assert stretches == tuple(piece.start for piece in split.pieces)
                if split.buffer is None:
                    found.append(ReadSplit(split.data, ()))
                else:
                    found.append(ReadSplit(bytes(split.buffer.view[: split.length]), split.pieces))
                    split.buffer.release()
    assert buffers.held == 0
    return found


async def lines_of(paths):
    return [line for sample in await samples_of(TextFiles(paths)) for line in sample.data.splitlines()]


def written(folder, texts):
    paths = [folder / f"{number:03}" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    return paths


@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), min_size=1),
    cut=st.integers(0, 9),
)
async def test_slices_are_whole_lines_at_the_place_that_they_name(tmp_path_factory, lines, cut):
    texts = [b"\n".join(lines[:cut]), b"\n".join(lines[cut:]) + b"\n"]
    paths = written(tmp_path_factory.mktemp("lines"), texts)
    contents = {str(path): path.read_bytes() for path in paths}
    for sample in await samples_of(TextFiles(paths)):
        ends = [piece.start for piece in sample.pieces[1:]] + [len(sample.data)]
        for piece, end in zip(sample.pieces, ends, strict=True):
            slice_, content = sample.data[piece.start : end], contents[piece.path]
            assert slice_.endswith(b"\n")
            assert (content + b"\n")[piece.offset :].startswith(slice_)
            assert piece.offset == 0 or content[piece.offset - 1 : piece.offset] == b"\n"


async def test_slices_come_from_all_over_the_files_and_in_order(tmp_path):
    numbers = [b"%07d\n" % number for number in range(300_000)]
    got = [int(line) for line in await lines_of(written(tmp_path, [b"".join(numbers)]))]
    assert got == sorted(got)
    assert len(got) * 8 <= 1.2 * sample_bytes(300_000 * 8)
    for tenth in range(10):
        share = sum(1 for number in got if number // 30_000 == tenth) / len(got)
        assert 0.08 < share < 0.12


async def test_a_large_line_is_seen_as_often_as_it_takes_up_room(tmp_path):
    """Half the bytes are in lines a hundred times as long, which are as many slices as the short ones."""
    short, long = [b"s" * 99 + b"\n"] * 10_000, [b"l" * 9_999 + b"\n"] * 100
    source = TextFiles(written(tmp_path, [b"".join(short), b"".join(long)]))
    paths = [piece.path for sample in await samples_of(source) for piece in sample.pieces]
    assert sum(path.endswith("001") for path in paths) == pytest.approx(len(paths) / 2, abs=2)


async def test_many_files_of_a_line_without_a_newline(tmp_path):
    lines = set(await lines_of(written(tmp_path, [b"%d" % number for number in range(500)])))
    assert len(lines) >= 30
    assert lines <= {b"%d" % number for number in range(500)}


async def test_lines_too_long_are_passed_over(tmp_path):
    paths = written(tmp_path, [b"x" * (2 * LINE_BYTES) + b"\n" + b"short\n" * 10])
    assert set(await lines_of(paths)) <= {b"short"}


async def test_an_empty_input_has_no_samples(tmp_path):
    assert await samples_of(TextFiles(written(tmp_path, [b"", b""]))) == []
    assert await samples_of(asyncmr.records([])) == []


async def test_a_file_that_was_removed_is_an_error(tmp_path):
    (path,) = written(tmp_path, [b"line\n"])
    source = TextFiles(path)
    async with Disk() as disk:
        await source.prepare(disk)
        path.unlink()
        with pytest.raises(InputError, match="000"):
            await anext(source.samples(Memories()))


async def test_records_in_memory_are_taken_at_even_distances():
    source = asyncmr.records(range(64_000))
    got = [record for sample in await samples_of(source) for record in decode_pairs(sample.data)[1]]
    assert got == list(range(32, 64_000, 64))


@pytest.mark.parametrize("size", [40, 5000, 90_000])
async def test_what_the_samples_of_an_input_stand_for_adds_up_to_all_of_it(tmp_path, size):
    lines = [b"%07d\n" % number for number in range(size)]
    async with Disk() as disk:
        for source, total in (
            (TextFiles(written(tmp_path, [b"".join(lines)])), 8 * size),
            (asyncmr.records(range(size)), size),
        ):
            await source.prepare(disk)
            stands_for = 0.0
            async for sample in source.samples(Memories()):
                records = len(decode_pairs(sample.split.data)[0]) if sample.split.data else 0
                stands_for += sample.worth * (len(sample.stretches) or records)
            assert stands_for == pytest.approx(total)


async def test_only_what_can_be_read_twice_says_that_it_can_be_sampled():
    async with Disk() as disk:
        assert (await Records([1, 2]).prepare(disk)).sampled
        assert not (await Records(iter([1, 2])).prepare(disk)).sampled
        assert not (await Records({1, 2}).prepare(disk)).sampled


@given(total=st.integers(0, 10**6))
def test_a_sample_is_a_small_part_of_a_large_input_and_never_more_than_all(total):
    records = sample_records(total)
    assert records <= total
    assert records <= max(total // 64, 32)
    chosen = evenly(range(total), records)
    assert len(chosen) == records == len(set(chosen))
