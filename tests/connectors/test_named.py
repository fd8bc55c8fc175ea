"""Sources with names: read in order, as one split where they are small, and told apart in each."""

from __future__ import annotations

from contextlib import aclosing

import pytest

import asyncmr
from asyncmr import UsageError
from asyncmr.connectors import named
from asyncmr.connectors.memory import Records
from asyncmr.connectors.named import NamedSources, named_sources
from asyncmr.connectors.sources import source_of
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel.naming import first_position
from asyncmr.protocols import Piece, Source
from tests.connectors.reading import Memories

MAPPERS = {"users": None, "orders": None}


@pytest.fixture
def files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}1\n{name}2\n")
    return tmp_path


async def splits_of(source, disk):
    """The splits of a source, copied, with what they tell."""
    buffers, found = Memories(), []
    info = await source.prepare(disk)
    async with aclosing(source.splits(buffers)) as splits:
        async for split in splits:
            data = split.data if split.buffer is None else bytes(split.buffer.view[: split.length])
            found.append((split.index, data, split.pieces, split.sections))
            split.release()
    assert buffers.held == 0
    return info, found


async def test_small_ones_make_one_split_whose_sections_say_where_each_lies(files, disk):
    parts: dict[str, Source] = {
        "a": TextFiles(files / "a"),
        "n": Records([1, 2]),
        "b": TextFiles(files / "b"),
    }
    info, [(index, data, pieces, sections)] = await splits_of(NamedSources(parts), disk)
    assert (index, info.divided, info.bytes) == (0, False, len(data))
    assert [data[start:stop] for _, start, stop in sections][::2] == [b"a1\na2\n", b"b1\nb2\n"]
    assert [source for source, _, _ in sections] == [0, 1, 2]
    assert pieces == (
        Piece(str(files / "a"), 0, 0),
        Piece(str(files / "b"), 0, sections[2].start),
        Piece("", 0, first_position(1, 6, Records.decoder)),
    )


@pytest.mark.parametrize("empty", [{}, {"n": Records([])}])
async def test_of_one_alone_the_split_is_as_it_was(files, disk, empty):
    _, [(_, data, pieces, sections)] = await splits_of(
        NamedSources({**empty, "a": TextFiles(files / "a")}), disk
    )
    assert (data, pieces) == (b"a1\na2\n", (Piece(str(files / "a"), 0, 0),))
    assert sections == ((len(empty), 0, len(data)),)


@pytest.mark.parametrize(
    "why", ["one of them makes several splits", "they are too large together", "unknown"]
)
async def test_others_keep_their_splits_in_order(files, disk, why, monkeypatch):
    parts: dict[str, Source] = {"a": TextFiles(files / "a"), "b": TextFiles([files / "b", files / "a"])}
    expected = [(0, b"a1\na2\n"), (1, b"b1\nb2\na1\na2\n")]
    if why == "one of them makes several splits":
        parts["b"] = TextFiles([files / "b", files / "a"], split_bytes=6)
        expected[1:] = [(1, b"b1\nb2\n"), (1, b"a1\na2\n")]
    elif why == "unknown":
        parts["c"] = Records(iter([[0] * 100] * 1024))
    else:
        monkeypatch.setattr(named, "WHOLE_BYTES", 17)
    info, splits = await splits_of(NamedSources(parts), disk)
    assert info.divided
    assert [(sections[0].source, data) for _, data, _, sections in splits][: len(expected)] == expected
    assert [index for index, *_ in splits] == list(range(len(splits)))
    assert all(sections == ((sections[0].source, 0, len(data)),) for _, data, _, sections in splits)


async def test_samples_are_told_apart(files, disk):
    source = NamedSources({"n": Records([1, 2]), "a": TextFiles(files / "a")})
    info = await source.prepare(disk)
    buffers, seen = Memories(), []
    async with aclosing(source.samples(buffers)) as samples:
        async for sample in samples:
            seen.append((sample.split.index, sample.split.sections[0].source))
            sample.split.release()
    assert info.sampled
    assert [index for index, _ in seen] == list(range(len(seen)))
    assert {number for _, number in seen} == {0, 1}


async def test_a_fingerprint_tells_names_order_and_what_each_is(files, disk):
    async def fingerprint(**parts):
        source = NamedSources({name: TextFiles(files / file) for name, file in parts.items()})
        await source.prepare(disk)
        return source.fingerprint()

    first = await fingerprint(users="a", orders="b")
    assert await fingerprint(users="a", orders="b") == first
    for other in ({"orders": "b", "users": "a"}, {"users": "b", "orders": "a"}, {"user": "a", "orders": "b"}):
        assert await fingerprint(**other) != first
    source = NamedSources({"n": Records([1])})
    await source.prepare(disk)
    with pytest.raises(UsageError, match=r"Records, its input 'n'"):
        source.fingerprint()


SAME = asyncmr.records([1])


@pytest.mark.parametrize(
    ("mapper", "given", "told"),
    [
        (len, {"users": "a", "orders": "b"}, r"users, orders.*one mapper.*mapper=\{\"users\": \.\.\., \"ord"),
        (MAPPERS, "a", r"users, orders.*given a str.*\{\"users\": SOURCE.*users=PATH orders=PATH"),
        (MAPPERS, {"users": "a"}, "no source for 'orders'$"),
        (MAPPERS, {"users": "a", "orders": "b", "x": "c", "y": "d"}, "no mapper for 'x' and 'y'$"),
        (
            MAPPERS,
            {"users": "a", "order": "b"},
            "no source for 'orders', and there is no mapper for 'order'$",
        ),
        (MAPPERS, {"users": "a", "orders": 5}, "the source 'orders': .*int is no source"),
        (MAPPERS, {"users": SAME, "orders": SAME}, "'users' and 'orders' are one Records object"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(mapper, given, told):
    with pytest.raises(UsageError, match=told):
        named_sources("join", mapper, given, source_of)


def test_the_mappers_give_the_order():
    source = named_sources("join", MAPPERS, {"orders": "b", "users": "a"}, source_of)
    assert source.decoder.names == ("users", "orders")
