from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncmr.errors import ClosedError, OutputError, StorageError
from asyncmr.storage.folder import LOCK, PrivateFolder, SpillFolder, sweep

OPENS_A_FOLDER = """
import sys
from asyncmr.storage.folder import SpillFolder
path = SpillFolder(sys.argv[1]).open()
open(path + "/block", "wb").close()
sys.stdout.write(path + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@contextmanager
def process_with_a_folder(parent: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    command = [sys.executable, "-c", OPENS_A_FOLDER, str(parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_is_made_when_first_opened_and_is_private(tmp_path: Path) -> None:
    folder = SpillFolder(str(tmp_path))
    assert os.listdir(tmp_path) == []
    path = Path(folder.open())
    assert path == Path(folder.open())
    assert path.parent == tmp_path
    assert path.name.startswith(f"asyncmr-{os.getpid()}-")
    assert path.stat().st_mode & 0o777 == 0o700
    folder.close()


def test_closing_removes_the_folder_and_what_is_in_it(tmp_path: Path) -> None:
    folder = SpillFolder(str(tmp_path))
    Path(folder.open(), "block").write_bytes(b"x")
    folder.close()
    folder.close()
    assert os.listdir(tmp_path) == []
    with pytest.raises(ClosedError):
        folder.open()


def test_closing_a_folder_that_somebody_removed_is_no_error(tmp_path: Path) -> None:
    folder = SpillFolder(str(tmp_path))
    os.unlink(os.path.join(folder.open(), LOCK))
    os.rmdir(folder.open())
    folder.close()


def test_the_default_parent_is_the_folder_for_temporary_files() -> None:
    assert SpillFolder().parent == tempfile.gettempdir()


def test_a_parent_that_is_missing_or_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for parent in ("absent", "file"):
        with pytest.raises(StorageError, match=parent) as caught:
            SpillFolder(str(tmp_path / parent)).open()
        assert caught.value.path == str(tmp_path / parent)
    with pytest.raises(OutputError, match="absent"):
        PrivateFolder(str(tmp_path / "absent"), ".asyncmr-", OutputError).open()


def test_a_sweep_spares_the_folders_of_live_processes(tmp_path: Path) -> None:
    own = SpillFolder(str(tmp_path))
    own.open()
    with process_with_a_folder(tmp_path) as (_, theirs):
        assert sweep(str(tmp_path)) == []
        assert (theirs / "block").exists()
    own.close()


def test_a_sweep_removes_the_folder_of_a_killed_process(tmp_path: Path) -> None:
    with process_with_a_folder(tmp_path) as (process, theirs):
        process.kill()
        process.wait()
        assert (theirs / "block").exists()
        assert sweep(str(tmp_path)) == [str(theirs)]
    assert os.listdir(tmp_path) == []


def test_a_sweep_removes_a_folder_whose_process_died_before_it_made_the_lock(tmp_path: Path) -> None:
    (tmp_path / "asyncmr-1-abc").mkdir()
    assert sweep(str(tmp_path)) == [str(tmp_path / "asyncmr-1-abc")]
    assert os.listdir(tmp_path) == []


def test_a_sweep_leaves_other_names_files_and_links_alone(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "data").touch()
    (tmp_path / "asyncmr-1-link").symlink_to(target)
    (tmp_path / "asyncmr-2-file").touch()
    (tmp_path / "asyncmr-notes").mkdir()
    assert sweep(str(tmp_path)) == []
    assert sorted(os.listdir(tmp_path)) == ["asyncmr-1-link", "asyncmr-2-file", "asyncmr-notes", "precious"]
    assert os.listdir(target) == ["data"]


def test_a_sweep_follows_no_link_inside_a_dead_folder(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "data").touch()
    dead = tmp_path / "asyncmr-1-dead"
    dead.mkdir()
    (dead / "link").symlink_to(target)
    assert sweep(str(tmp_path)) == [str(dead)]
    assert os.listdir(target) == ["data"]


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    dead = tmp_path / "asyncmr-1-dead"
    dead.mkdir()
    (dead / LOCK).symlink_to(tmp_path / "elsewhere")
    assert sweep(str(tmp_path)) == []
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_sweep_leaves_other_users_folders_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "asyncmr-1-theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    assert sweep(str(tmp_path)) == []
    assert theirs.exists()


def test_a_sweep_of_a_missing_parent_finds_nothing(tmp_path: Path) -> None:
    assert sweep(str(tmp_path / "absent")) == []


def test_newcomers_and_sweeps_that_meet_never_lose_a_live_folder(tmp_path: Path) -> None:
    """Sweeps run over and over while folders are made; what `open` returned must still be there afterwards."""
    done = False

    def sweeps() -> int:
        removed = 0
        while not done:
            removed += len(sweep(str(tmp_path)))
        return removed

    def newcomer(_: int) -> SpillFolder:
        folder = SpillFolder(str(tmp_path))
        folder.open()
        return folder

    with ThreadPoolExecutor(8) as threads:
        sweepers = [threads.submit(sweeps) for _ in range(3)]
        try:
            folders = list(threads.map(newcomer, range(150)))
        finally:
            done = True
        for sweeper in sweepers:
            sweeper.result()
    for folder in folders:
        assert os.path.exists(os.path.join(folder.open(), LOCK))
        folder.close()
    sweep(str(tmp_path))
    assert os.listdir(tmp_path) == []
