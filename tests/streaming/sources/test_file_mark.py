"""A file is known again by what was read of it."""

from __future__ import annotations

import os

from asyncmr.streaming.feeds.file_mark import FileMark


def test_a_file_is_known_again_however_short_reads_come_out(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.write_bytes(bytes(range(256)) * 8)
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: real(fd, [buffers[0][:7]], offset))
    with path.open("rb") as file:
        stored = FileMark.at(file.fileno(), 2000).stored()
        monkeypatch.undo()
        assert stored == FileMark.at(file.fileno(), 2000).stored()
        assert FileMark.found(file.fileno(), stored) is not None
