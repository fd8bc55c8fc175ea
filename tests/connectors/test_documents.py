"""Whole files as records."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.connectors import documents, file_blocks, splitting
from asyncmr.connectors.documents import Documents
from asyncmr.errors import InputError
from asyncmr.storage.disk import Disk
from tests.connectors.compressing import COMPRESSORS, compressed
from tests.connectors.reading import Memories, read_splits
from tests.connectors.test_text import drained, written

CONTENTS = st.lists(st.binary(max_size=60), min_size=1, max_size=6)


def read(splits):
    """The documents, as the mapper gets them, split by split."""
    found = []
    for split in splits:
        data = memoryview(split.data)
        found.append(
            [
                pair
                for batch in Documents.decoder.decode(data, 0, len(data), 30)
                for pair in zip(batch.keys or (), batch.values, strict=True)
            ]
        )
    return found


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@given(contents=CONTENTS, split_bytes=st.integers(1, 100), data=st.data())
@settings(max_examples=25, deadline=None)
async def test_each_file_is_one_record_with_its_path(block_bytes, contents, split_bytes, data):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_blocks, "BLOCK_BYTES", block_bytes)
        patch.setattr(documents, "BLOCK_BYTES", block_bytes)
        patch.setattr(splitting, "SLICE_BYTES", data.draw(st.sampled_from([1, 5, 1 << 20])))
        suffixes = data.draw(st.sampled_from([[""], list(COMPRESSORS)]))
        paths = [
            compressed(folder, f"c{number}", data.draw(st.sampled_from(suffixes)), content)
            for number, content in enumerate(contents)
        ]
        splits = await read_splits(Documents(paths, limit=60, split_bytes=split_bytes))
    texts = [content.decode("utf-8", "replace") for content in contents]
    assert [pair for some in read(splits) for pair in some] == list(zip(paths, texts, strict=True))
    for split, some in zip(splits, read(splits), strict=True):
        assert [piece.path for piece in split.pieces] == [path for path, _ in some]
        # It goes on beyond its size only until a first document has ended.
        first = split.pieces[1].start if len(some) > 1 else len(split.data)
        assert len(split.data) <= max(split_bytes, first + split_bytes)


async def test_many_small_files_share_a_split(tmp_path):
    written(tmp_path, [b"x %d" % number for number in range(500)])
    [split] = await read_splits(Documents(tmp_path, limit=100))
    assert len(read([split])[0]) == len(split.pieces) == 500


async def test_one_larger_than_a_split_is_one_record(tmp_path):
    paths = written(tmp_path, [b"small", b"x" * 5_000, b"small"])
    splits = await read_splits(Documents(paths, limit=10_000, split_bytes=1_000))
    assert [len(text) for some in read(splits) for _, text in some] == [5, 5_000, 5]


async def test_no_more_memory_is_asked_for_than_small_files_fill(tmp_path):
    class Sizes(Memories):
        async def lease(self, size):
            assert size < 100
            return await super().lease(size)

    await read_splits(Documents(written(tmp_path, [b"x"]), limit=100), Sizes())


@pytest.mark.parametrize(("suffix", "says"), [("", "has 101 bytes"), (".gz", "has more than 100 bytes")])
async def test_one_over_the_limit_is_named_with_what_to_do(tmp_path, suffix, says):
    source = Documents(compressed(tmp_path, "a", suffix, b"x" * 101), limit=100)
    with pytest.raises(InputError, match=rf"a{suffix}' {says}.*raise documents\(\.\.\., limit=\)"):
        await read_splits(source)


async def test_an_unreadable_file_is_named(tmp_path):
    paths = written(tmp_path, [b"a", b"b"])
    source = Documents(paths, limit=100)
    async with Disk() as disk:
        await source.prepare(disk)
        os.unlink(paths[1])
        with pytest.raises(InputError, match=r"could not open '.*00001\.txt'"):
            await drained(source)
