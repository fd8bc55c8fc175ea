"""A state whose log was torn, as by a power failure, is that of its last whole epoch, wherever it was torn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.streaming.commit import Commit
from asyncmr.streaming.store import StateStore

EPOCHS = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A state as a process leaves it that is killed, and how long its log was after each epoch."""
    folder, copied = tmp_path_factory.mktemp("written"), tmp_path_factory.mktemp("copied")
    store = StateStore(str(folder), durable=False)
    store.open({})
    lengths = [_log(folder).stat().st_size]
    for number in range(1, EPOCHS + 1):
        positions = {("feed", ""): number}
        store.commit(
            Commit(number, 0.0, records=10, bytes=100, positions=positions, tokens=[("feed", f"{number}")])
        )
        lengths.append(_log(folder).stat().st_size)
    for path in folder.iterdir():
        shutil.copy(path, copied)
    store.close()
    return copied, lengths


def _log(folder: Path) -> Path:
    (log,) = folder.glob("*-wal")
    return log


def test_the_log_grows_with_each_epoch(written):
    """Guards the others: they tear nothing if there is no log."""
    _, lengths = written
    assert lengths == sorted(set(lengths))


def _check(written: tuple[Path, list[int]], folder: Path, length: int) -> None:
    copied, lengths = written
    shutil.copytree(copied, folder, dirs_exist_ok=True)
    with _log(folder).open("r+b") as log:
        log.truncate(length)
    store = StateStore(str(folder), durable=False)
    store.open({})
    whole = sum(end <= length for end in lengths[1:])
    assert store.epoch == whole
    assert store.records == 10 * whole
    assert store.positions() == ({"feed": {"": whole}} if whole else {})
    assert [store.has_token("feed", f"{number}") for number in range(1, EPOCHS + 1)] == [
        number <= whole for number in range(1, EPOCHS + 1)
    ]
    store.close()


@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_at_the_end_of_each_epoch(written, tmp_path, beside):
    for number, end in enumerate(written[1]):
        if end + beside <= written[1][-1]:
            _check(written, tmp_path / str(number), end + beside)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_at_any_byte(written, tmp_path_factory, data):
    length = data.draw(st.integers(0, written[1][-1]))
    _check(written, tmp_path_factory.mktemp("torn"), length)
