"""A log gives each of its lines once, whatever is done to it and wherever its reader stops and goes on."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.streaming.feeds import file_mark, log_files, rotated
from asyncmr.streaming.feeds.log_files import LogFiles

LINGER = 5.0
BLOCK = 64


class Log:
    """A log, who writes it, and logrotate; and a reader, which can be stopped at any point."""

    writer = -1

    def __init__(self, folder: Path, files: type[LogFiles]) -> None:
        self._files = files
        self.path = folder / "app.log"
        self.written = 0
        self.lines: list[bytes] = []
        self.position: object = None
        self.now = 0.0
        self._unfinished = b""
        self.reopen()
        self.reader = self.new_reader()
        self.look()

    def new_reader(self) -> LogFiles:
        return self._files(str(self.path), self.position, block_bytes=BLOCK, linger=LINGER)

    def append(self, count: int) -> None:
        lines = b"".join(b"line %d\n" % number for number in range(self.written, self.written + count))
        self.written += count
        os.write(self.writer, self._unfinished + lines)
        self._unfinished = b""

    def begin_line(self) -> None:
        """The first half of a line. The other comes with the next ones, to the same file."""
        if not self._unfinished:
            os.write(self.writer, b"line ")
            self._unfinished = b"%d\n" % self.written
            self.written += 1

    def finish_line(self) -> None:
        os.write(self.writer, self._unfinished)
        self._unfinished = b""

    def rename(self) -> None:
        """The writer keeps the old file, until it reopens the log."""
        if self.path.exists():
            self._shift()
            self.path.rename(f"{self.path}.1")

    def reopen(self) -> None:
        if self.writer >= 0:
            self.finish_line()
            os.close(self.writer)
        self.writer = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def copytruncate(self) -> None:
        if self.path.exists():
            self.finish_line()
            self._shift()
            shutil.copy(self.path, f"{self.path}.1")
            os.truncate(self.path, 0)

    def _shift(self) -> None:
        rotated = sorted(self.path.parent.glob("app.log.*"), key=lambda path: -int(path.suffix[1:]))
        for path in rotated:
            path.rename(f"{self.path}.{int(path.suffix[1:]) + 1}")

    def look(self) -> bool:
        piece = self.reader.read(self.now)
        assert piece.data.endswith(b"\n") or not piece.data
        self.lines += piece.data.splitlines()
        self.position = json.loads(json.dumps(self.reader.position()))
        return piece.more

    def settle(self) -> None:
        """The writer has reopened the log, and the old file stays as it is for long enough."""
        self.reopen()
        for _ in range(2):
            self.read_all()
            self.now += LINGER

    def restart(self) -> None:
        self.reader.close()
        self.reader = self.new_reader()

    def read_all(self) -> None:
        while self.look():
            pass

    def expected(self) -> list[bytes]:
        return [b"line %d" % number for number in range(self.written)]

    def close(self) -> None:
        self.reader.close()
        os.close(self.writer)


STEPS = st.sampled_from(
    [
        "append",
        "append",
        "look",
        "look",
        "begin_line",
        "rename",
        "reopen",
        "copytruncate",
        "restart",
        "settle",
    ]
)


def play(steps: list[str], files: type[LogFiles] = LogFiles) -> Log:
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), files)
        try:
            for step in steps:
                log.append(3) if step == "append" else getattr(log, step)()
            log.reopen()
            log.read_all()
        finally:
            log.close()
    return log


@given(steps=st.lists(STEPS, max_size=30))
@settings(max_examples=300, deadline=None)
def test_each_line_comes_once_and_in_order_whatever_is_done_to_the_log(steps):
    log = play(steps)
    assert log.lines == log.expected()


class Meanwhile:
    """The module `os`, but that something happens to the log before some of its calls."""

    def __init__(self, log: Log, steps: list[tuple[int, str]]) -> None:
        self._log = log
        self._steps = steps

    def __getattr__(self, name: str) -> object:
        if name in ("pread", "open", "fstat", "stat", "scandir") and self._steps:
            calls, step = self._steps[0]
            self._steps[0] = (calls - 1, step)
            if not calls:
                del self._steps[0]
                rest, self._steps = self._steps, []
                self._log.append(3) if step == "append" else getattr(self._log, step)()
                self._steps = rest
        return getattr(os, name)


HAPPENS = st.sampled_from(["append", "rename", "reopen", "copytruncate"])


@given(steps=st.lists(st.tuples(st.integers(0, 12), HAPPENS), max_size=20))
@settings(max_examples=300, deadline=None)
def test_each_line_comes_once_whatever_happens_in_the_middle_of_a_look(steps):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        log = Log(Path(folder), LogFiles)
        try:
            meanwhile = Meanwhile(log, list(steps))
            for module in (log_files, file_mark, rotated):
                patch.setattr(module, "os", meanwhile)
            while meanwhile._steps:
                log.look()
            log.reopen()
            log.read_all()
        finally:
            log.close()
    assert log.lines == log.expected()


class OnlyTheLog(LogFiles):
    def _open_later(self, than):
        self._open(self._path)

    def _copied(self, file, block):
        return False


class NoCopies(LogFiles):
    def _copied(self, file, block):
        return False


class EveryTimeFromTheStart(LogFiles):
    def _find(self, stored):
        return super()._find({**stored, "offset": 0})


@pytest.mark.parametrize("broken", [OnlyTheLog, NoCopies, EveryTimeFromTheStart])
def test_a_reader_that_is_broken_is_noticed(broken):
    """The negative control."""
    steps = ["append", "look", "restart", "look"]  # goes on in the middle
    steps += [
        "settle",
        "copytruncate",
        "look",
        "append",
        "copytruncate",
    ]  # a copy of what was never looked at
    steps += ["append", "rename", "reopen", "append", "rename", "reopen"]  # and a log that came and went
    assert play(steps).lines == play(steps).expected()
    log = play(steps, broken)
    assert log.lines != log.expected()


def test_a_log_truncated_and_longer_than_before_is_read_again(tmp_path, caplog):
    path = tmp_path / "app.log"
    header = b"# header\n" * 3
    path.write_bytes(header + b"1\n")
    files = LogFiles(str(path), None, block_bytes=BLOCK, linger=LINGER)
    lines = all_of(files)
    path.write_bytes(header + b"2\n3\n")
    assert lines + all_of(files) == [*header.splitlines(), b"1", *header.splitlines(), b"2", b"3"]
    assert "was truncated when it had been read up to byte 29" in caplog.text
    files.close()


def test_a_file_with_the_inode_of_one_that_is_gone_is_another_file(tmp_path, caplog):
    path = tmp_path / "app.log"
    path.write_bytes(b"old 1\nold 2\n")
    files = LogFiles(str(path), None, block_bytes=BLOCK, linger=LINGER)
    all_of(files)
    position = files.position()
    files.close()
    with path.open("r+b") as file:  # the same inode, other content
        file.write(b"new 1\nnew 2\n")
    files = LogFiles(str(path), position, block_bytes=BLOCK, linger=LINGER)
    assert all_of(files) == [b"new 1", b"new 2"]
    assert "the file that had been read up to byte 12 is not there any more" in caplog.text
    files.close()


def test_a_line_that_is_too_long_is_left_out_and_told(tmp_path, caplog):
    path = tmp_path / "app.log"
    path.write_bytes(b"a\n" + b"x" * 1000)
    files = LogFiles(str(path), None, block_bytes=BLOCK, linger=LINGER)
    assert all_of(files) == [b"a"]
    with path.open("ab") as file:
        file.write(b"x" * 1000 + b"\nb\n")
    assert all_of(files) == [b"b"]
    assert files.refused == 1
    assert "a line of 2,001 bytes at byte 2 was left out" in caplog.text
    files.close()


def all_of(files: LogFiles) -> list[bytes]:
    """What is there, until there is no more."""
    data, more = b"", True
    while more:
        piece = files.read(0.0)
        data, more = data + piece.data, piece.more
    return data.splitlines()
