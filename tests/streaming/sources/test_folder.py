from __future__ import annotations

import gzip
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import InputError
from asyncmr.storage.disk import Disk
from asyncmr.streaming.feeds.folder import FolderFeed
from asyncmr.streaming.feeds.folder_files import FolderFiles
from tests.streaming.sources.surroundings import Pulled


def put(folder, name: str, content: bytes, age: float = 0.0) -> None:
    """A file as it appears when it is renamed into the folder."""
    path = folder / f".{name}"
    path.write_bytes(content)
    os.utime(path, (900.0 - age, 900.0 - age))
    path.rename(folder / name)


async def test_files_come_by_age_and_compressed_ones_as_what_was_compressed(tmp_path, disk):
    put(tmp_path, "new", b"3\n4")
    put(tmp_path, "old.gz", gzip.compress(b"1\n2\n"), age=10)
    feed = FolderFeed(tmp_path)
    async with Pulled(feed, disk, batch_bytes=1) as pulled:
        assert not (await pulled.next()).data.strip(b"1\n")
        assert feed.lag == 3  # the other file; gzip reads ahead
        assert await pulled.until(4) == [b"1", b"2", b"3", b"4"]
        put(tmp_path, "newer", b"5\n")
        assert await pulled.until(5) == [b"1", b"2", b"3", b"4", b"5"]


async def test_a_file_that_still_changes_is_waited_for(tmp_path, disk):
    path = tmp_path / "growing"
    path.write_bytes(b"1\n")
    files = FolderFiles(str(tmp_path), {}, block_bytes=100, line_limit=100, settle=1.0)
    assert not files.read(0.0).more
    path.write_bytes(b"1\n2\n")
    assert not files.read(0.5).more
    assert not files.read(1.0).more
    assert files.read(1.5).more
    assert files.read(1.5).data == b"1\n2\n"
    files.close()


@pytest.mark.parametrize("name", [".hidden", "_SUCCESS", "a.tmp", "a.part", "a~"])
def test_a_file_that_is_not_ready_by_its_name_is_left_alone(tmp_path, name):
    (tmp_path / name).write_bytes(b"1\n")
    os.utime(tmp_path / name, (0, 0))
    files = FolderFiles(str(tmp_path), {}, block_bytes=100, line_limit=100, settle=1.0)
    assert not files.read(100.0).more


CONTENT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n"]), max_size=30).map(b"".join)


@given(
    contents=st.lists(CONTENT, max_size=4), cuts=st.lists(st.integers(0, 5), max_size=6), packed=st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_each_line_comes_once_wherever_it_stops_and_goes_on(tmp_path_factory, contents, cuts, packed):
    folder = tmp_path_factory.mktemp("files")
    for number, content in enumerate(contents):
        name = f"{number}.gz" if packed else str(number)
        put(folder, name, gzip.compress(content) if packed else content, age=-number)
    positions: dict[str, object] = {}
    data = b""
    for pieces in [*cuts, 10_000]:
        files = FolderFiles(str(folder), positions, block_bytes=5, line_limit=100, settle=1.0)
        for _ in range(pieces):
            piece = files.read(1_000.0)
            data += piece.data
            if piece.position is not None:
                positions[piece.partition] = json.loads(json.dumps(piece.position))
            if not piece.more:
                break
        files.close()
    assert data == b"".join(c + b"\n" if c and not c.endswith(b"\n") else c for c in contents)


async def test_a_file_that_went_is_forgotten_and_the_rest_is_not(tmp_path, disk):
    for number in range(200):
        put(tmp_path, f"file {number}", b"%d\n" % number, age=-number)
    feed = FolderFeed(tmp_path)
    async with Pulled(feed, disk) as pulled:
        await pulled.until(200)
        while pulled.positions and feed.place(pulled.positions) != "200 files":
            await pulled.next()
        for number in range(199):
            (tmp_path / f"file {number}").unlink()
        put(tmp_path, "last", b"last\n")
        await pulled.until(201)
    assert sum(len(position["done"]) for position in pulled.positions.values()) < 200 * 12
    async with Pulled(FolderFeed(tmp_path), disk, pulled.positions) as pulled:
        put(tmp_path, "more", b"more\n")
        assert await pulled.until(1) == [b"more"]


async def test_a_damaged_file_is_told_and_the_others_come(tmp_path, disk, caplog):
    put(tmp_path, "a.gz", gzip.compress(b"1\n" * 1000)[:-8], age=2)
    put(tmp_path, "b", b"2\n", age=1)
    feed = FolderFeed(tmp_path)
    async with Pulled(feed, disk) as pulled:
        while b"2" not in pulled.lines:
            await pulled.next()
    assert feed.damaged == 1
    assert f"the rest of '{tmp_path}/a.gz' was left out: the compressed input" in caplog.text


def test_a_file_that_grows_after_it_was_read_is_told(tmp_path, caplog):
    put(tmp_path, "a", b"1\n")
    files = FolderFiles(str(tmp_path), {}, block_bytes=100, line_limit=100, settle=1.0)
    while files.read(1_000.0).more:
        pass
    (tmp_path / "a").write_bytes(b"1\n2\n")
    assert not files.read(2_000.0).more
    assert not files.read(3_000.0).more
    assert caplog.text.count("was changed after it had been read, and is not read again") == 1


def test_a_folder_that_has_no_new_name_is_not_listed_again(tmp_path, monkeypatch):
    put(tmp_path, "a", b"1\n")
    os.utime(tmp_path, (900, 900))
    files = FolderFiles(str(tmp_path), {}, block_bytes=100, line_limit=100, settle=1.0)
    while files.read(1_000.0).more:
        pass
    listed = []
    scandir = os.scandir

    def noted(path):
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    assert not files.read(1_029.0).more
    assert listed == []
    put(tmp_path, "b", b"2\n")
    assert files.read(1_029.0).more
    assert listed == [str(tmp_path)]
    files.close()


def test_a_line_that_is_too_long_is_left_out(tmp_path):
    put(tmp_path, "a", b"1\n" + b"x" * 50 + b"\n2\n")
    files = FolderFiles(str(tmp_path), {}, block_bytes=8, line_limit=20, settle=1.0)
    data, more = b"", True
    while more:
        piece = files.read(1_000.0)
        data, more = data + piece.data, piece.more
    assert (data, files.refused) == (b"1\n2\n", 1)


async def test_a_folder_that_is_not_there_is_told(tmp_path):
    async with Disk() as disk, Pulled(FolderFeed(tmp_path / "none"), disk) as pulled:
        with pytest.raises(InputError, match=r"could not look into .*none': there is no such file or folder"):
            await pulled.next()
