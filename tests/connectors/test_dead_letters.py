"""The file of dead letters, there whole or not at all, and the numbers of lines that it tells."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.connectors import line_numbers
from asyncmr.connectors.dead_letters import DeadLetters
from asyncmr.connectors.line_numbers import LineNumbers
from asyncmr.errors import OutputError
from asyncmr.storage.disk import Disk


async def test_letters_are_visible_when_they_are_published(tmp_path):
    async with Disk() as disk:
        letters = DeadLetters(tmp_path / "dead")
        await letters.open(disk)
        letters.write(b"one\n")
        letters.write(b"two\n")
        assert not (tmp_path / "dead").exists()
        await letters.publish()
        await letters.close()
    assert (tmp_path / "dead").read_bytes() == b"one\ntwo\n"
    assert os.listdir(tmp_path) == ["dead"]


async def test_letters_that_are_not_published_leave_nothing(tmp_path):
    async with Disk() as disk:
        letters = DeadLetters(tmp_path / "dead")
        await letters.open(disk)
        letters.write(b"one\n")
        await letters.close()
    assert os.listdir(tmp_path) == []


async def test_letters_of_a_job_that_cannot_commit_are_withdrawn(tmp_path):
    async with Disk() as disk:
        letters = DeadLetters(tmp_path / "dead")
        await letters.open(disk)
        await letters.publish()
        await letters.withdraw()
        await letters.close()
    assert os.listdir(tmp_path) == []


async def test_a_name_that_is_taken_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "dead").write_text("of another job")
    async with Disk() as disk:
        letters = DeadLetters(tmp_path / "dead")
        with pytest.raises(OutputError, match=re.escape(f"{str(tmp_path / 'dead')!r} exists already")):
            await letters.open(disk)
        await letters.close()
    assert (tmp_path / "dead").read_text() == "of another job"


def line_at(numbers, path, offset):
    for _ in numbers.seek(str(path), offset):
        pass
    return numbers.line


@settings(max_examples=30, deadline=None)
@given(lines=st.lists(st.integers(0, 40), min_size=1, max_size=40), data=st.data())
def test_lines_have_the_numbers_that_they_have_in_the_file(lines, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lines")
    starts = []
    for name in ("a", "b"):
        content = b"".join(b"x" * length + b"\n" for length in lines)
        (folder / name).write_bytes(content)
        at = 0
        for number, length in enumerate(lines, 1):
            starts.append((folder / name, at, number))
            at += length + 1
    wanted = sorted(data.draw(st.sets(st.sampled_from(starts))))
    numbers = LineNumbers()
    assert [line_at(numbers, path, offset) for path, offset, _ in wanted] == [line for *_, line in wanted]
    numbers.close()


def test_a_file_is_read_once_for_lines_that_are_asked_for_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(line_numbers, "SLICE_BYTES", 10)
    (tmp_path / "a").write_bytes(b"123456789\n" * 30)
    numbers = LineNumbers()
    pauses = [len(list(numbers.seek(str(tmp_path / "a"), offset))) for offset in (100, 100, 250)]
    numbers.close()
    assert pauses == [10, 0, 15]


def test_a_file_that_is_gone_or_shorter_now_has_no_line_numbers(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n2\n")
    numbers = LineNumbers()
    assert line_at(numbers, tmp_path / "a", 2) == 2
    assert line_at(numbers, tmp_path / "a", 20) is None
    assert line_at(numbers, tmp_path / "gone", 2) is None
    assert line_at(numbers, tmp_path / "a", 2) == 2
    numbers.close()
