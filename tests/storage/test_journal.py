"""The journal: what is committed to it is there in the next process, whole, or not at all."""

from __future__ import annotations

import sqlite3
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncmr.errors import CorruptRunError, ResumeError, StorageError
from asyncmr.storage.durable_log import DurableLog
from asyncmr.storage.durable_store import DurableStore
from asyncmr.storage.epochs import Epoch
from asyncmr.storage.journal import FORMAT, Journal


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "new" / "journal"


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    journal = Journal(folder)
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


def database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "journal.sqlite")


def test_what_was_committed_is_there_when_it_is_opened_again(folder):
    with opened(folder) as journal:
        assert journal.insert("map", 3, {"facts": {"é": 1}})
        assert journal.insert("map", -1, {"facts": {}})
        journal.note(identity="mine")
    with opened(folder) as journal:
        assert list(journal.epochs()) == [("map", 3, {"facts": {"é": 1}}), ("map", -1, {"facts": {}})]
        assert journal.find("map", 3) == {"facts": {"é": 1}}
        assert journal.find("reduce", 3) is None
        assert journal.noted("identity") == "mine"


def test_a_task_is_committed_once(folder):
    with opened(folder) as journal:
        assert journal.insert("map", 0, {"first": True})
        assert not journal.insert("map", 0, {"first": False})
        assert journal.find("map", 0) == {"first": True}
        journal.delete("map", 0)
        assert journal.insert("map", 0, {"first": False})


def test_its_token_stays_and_is_its_own(folder, tmp_path):
    with opened(folder) as journal, opened(tmp_path / "other") as other:
        journal.insert("map", 0, {})
        token = journal.token
        assert token != other.token
    with opened(folder) as journal:
        assert journal.token == token


def test_clearing_forgets_epochs_and_keeps_notes(folder):
    with opened(folder) as journal:
        journal.insert("map", 0, {})
        journal.note(identity="mine")
        journal.clear(report="done")
        assert journal.is_empty()
    with opened(folder) as journal:
        assert (journal.noted("identity"), journal.noted("report")) == ("mine", "done")


def test_a_journal_that_nobody_used_leaves_nothing(folder):
    with opened(folder) as journal:
        assert journal.is_empty()
    assert not folder.exists()


def test_only_its_user_can_read_it(folder):
    with opened(folder) as journal:
        journal.insert("map", 0, {})
        for path in [folder, *folder.iterdir()]:
            assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def test_one_process_has_it_at_a_time(folder):
    with opened(folder) as journal:
        journal.insert("map", 0, {})
        with pytest.raises(ResumeError, match="is in use"):
            Journal(folder).open()
    with opened(folder):
        pass


@pytest.mark.parametrize("content", ["file", "others", "open to others"])
def test_a_folder_that_is_no_journal_is_refused(tmp_path, content):
    folder = tmp_path / "folder"
    if content == "file":
        folder.touch()
    else:
        folder.mkdir()
    if content == "others":
        (folder / "thesis.tex").touch()
    elif content == "open to others":
        folder.chmod(0o777)
    with pytest.raises(ResumeError, match=str(folder)):
        Journal(folder).open()
    assert not (folder / "lock").exists()


def test_a_journal_of_another_format_is_refused(folder):
    with opened(folder) as journal:
        journal.insert("map", 0, {})
        journal.note(format="0")
    with pytest.raises(ResumeError, match=f"another format \\(0, not {FORMAT}\\)"):
        Journal(folder).open()


@pytest.mark.parametrize(
    "change",
    [
        "record = '{}'",
        "task = 7",
        "stage = 'reduce'",
        "checksum = checksum + 1",
        "record = x'00'",
        "record = CAST(x'a9' AS TEXT)",
    ],
)
def test_an_epoch_that_was_changed_does_not_count(folder, change):
    with opened(folder) as journal:
        journal.insert("map", 0, {"facts": {"pairs": 1}})
        journal.insert("map", 1, {"facts": {"pairs": 2}})
    with database(folder) as connection:
        connection.execute(f"UPDATE epochs SET {change} WHERE task = 0")
    connection.close()
    with opened(folder) as journal:
        assert [(stage, task) for stage, task, _ in journal.epochs()] == [("map", 1)]
        assert [journal.find("map", 0), journal.find("map", 7), journal.find("reduce", 0)] == [None] * 3


def test_damage_that_is_not_even_text_is_an_error_and_leaves_nothing_open(folder):
    """The name of a table."""
    with opened(folder) as journal:
        journal.insert("map", 0, {})
    path = folder / "journal.sqlite"
    path.write_bytes(path.read_bytes().replace(b"TABLE epochs", b"TABLE epo\xa9hs"))
    with pytest.raises(StorageError, match="it is damaged; remove"):
        Journal(folder).open()
    path.unlink()
    with opened(folder) as journal:
        assert journal.is_empty()


def test_a_note_that_was_changed_is_an_error(folder):
    with opened(folder) as journal:
        journal.note(staging="here")
    with database(folder) as connection:
        connection.execute("UPDATE notes SET value = 'there' WHERE name = 'staging'")
    connection.close()
    with pytest.raises(StorageError, match="it is damaged; remove"):
        Journal(folder).open()


def test_a_database_that_is_none_is_an_error(folder):
    with opened(folder) as journal:
        journal.insert("map", 0, {})
    (folder / "journal.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match="it is damaged; remove"):
        Journal(folder).open()


async def test_a_log_gives_back_epochs_and_counts_them_once(disk, folder):
    epoch = Epoch(
        "map",
        2,
        attempt=3,
        counts={("words", "é"): 4},
        facts={"tasks": 1, "pairs": 5},
        beside={"combine": {"tasks": 1}},
        answer={"basis": 2**63},
    )
    with opened(folder) as journal:
        log = DurableLog(journal, disk)
        assert await log.save(epoch, {"loose": []})
        assert log.commit(epoch)
        assert not await log.save(epoch, {"loose": ["other"]})
    with opened(folder) as journal:
        log = DurableLog(journal, disk)
        await log.load()
        assert log.counters() == {("words", "é"): 4}
        assert log.facts("map") == {"tasks": 1, "pairs": 5, "resumed": 1}
        assert log.facts("combine") == {"tasks": 1, "resumed": 1}
        assert await log.saved("map", 1) is None
        found = await log.saved("map", 2)
        assert found is not None
        assert (found[0].attempt, found[0].answer, found[1]) == (3, {"basis": 2**63}, {"loose": []})
        await log.drop("map", 2)
        assert await log.saved("map", 2) is None
        assert log.counters() == {}
        assert await log.save(epoch, {"loose": []})
        assert log.commit(epoch)


@pytest.mark.parametrize("compression", [None, "lz4"])
async def test_a_block_is_the_same_in_the_next_store(disk, folder, compression):
    from asyncmr.storage.compression import codec_of

    codec = None if compression is None else codec_of(compression)
    data, ends = b"abc" + bytes(5000), array("I", [3, 3, 5003])
    with opened(folder) as journal:
        journal.insert("map", 0, {})
        async with DurableStore(journal.folder, disk, codec) as store:
            block = await store.put(data, ends)
            place = await store.place(block)
            store.free(block)
    with opened(folder) as journal:
        async with DurableStore(journal.folder, disk, codec) as store:
            block = await store.restored(place)
            assert [await store.read(block, piece) for piece in range(3)] == [b"abc", b"", bytes(5000)]


@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "name"])
async def test_a_block_that_is_damaged_is_not_restored(disk, folder, damage):
    with opened(folder) as journal:
        journal.insert("map", 0, {})
        async with DurableStore(journal.folder, disk) as store:
            place = await store.place(await store.put(b"abcdef"))
    (path,) = folder.glob("blocks/*.spill")
    if damage == "flip":
        path.write_bytes(b"abcdeF")
    elif damage == "cut":
        path.write_bytes(b"abcde")
    elif damage == "delete":
        path.unlink()
    else:
        place["file"] = "../../../etc/passwd"
    with opened(folder) as journal:
        async with DurableStore(journal.folder, disk) as store:
            with pytest.raises(CorruptRunError):
                await store.restored(place)
            assert store.stats().blocks == 0


async def test_files_that_no_epoch_needs_are_deleted(disk, folder):
    with opened(folder) as journal:
        log = DurableLog(journal, disk)
        async with DurableStore(journal.folder, disk) as store:
            place = await store.place(await store.put(b"needed"))
            assert await log.save(Epoch("map", 0, 1), {"loose": [place]})
        async with DurableStore(journal.folder, disk) as store:
            await store.place(await store.put(b"of no commit"))
    assert len(list(folder.glob("blocks/*"))) == 2
    with opened(folder) as journal:
        await DurableLog(journal, disk).load()
        assert [path.name for path in folder.glob("blocks/*")] == [place["file"]]
