"""What workers print and log comes to the host, with what its session is about."""

from __future__ import annotations

import logging
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import PoolStartError
from asyncmr.workers import Pool, Program, Said, SlotDied, redirection
from asyncmr.workers.forwarding import packed, unpacked
from asyncmr.workers.output import BLOCK, LineCutter
from tests.workers.programs import Talk
from tests.workers.talking import run_script, talk, until

TALK = Program(Talk())


class Heard(list[Said]):
    """What a pool was told."""

    def text(self, kind: str = "stdout", about: object = None) -> list[str]:
        return [
            line.decode()
            for said in self
            if said.kind == kind and about in (None, said.about)
            for line in said.lines
        ]

    def records(self) -> list[logging.LogRecord]:
        return [unpacked(line) for said in self if said.kind == "log" for line in said.lines]


@pytest.fixture
async def heard():
    return Heard()


@pytest.fixture
async def pool(heard):
    async with Pool(1, on_output=heard.append) as opened:
        yield opened


@pytest.mark.both_loops
async def test_text_is_heard_before_the_answer_of_the_session_that_wrote_it(pool, heard):
    """Hundreds of sessions, none of which is told another's words."""
    for number in range(300):
        await talk(pool, TALK, "say", f"line {number}\n", about=number)
        assert heard.text(about=number) == [f"line {number}"]
        assert heard.text("stderr", about=number) == [f"line {number}"]


@pytest.mark.parametrize("way", ["by_descriptor", "by_child"])
async def test_c_code_and_children_are_heard_too(pool, heard, way):
    await talk(pool, TALK, way, "from below", about="job")
    assert heard.text(about="job") == ["from below"]


async def test_what_has_no_line_end_is_heard_when_another_session_speaks(pool, heard):
    await talk(pool, TALK, "say", "no end", about="first")
    await talk(pool, TALK, "say", " here\n", about="second")
    assert heard.text() == ["no end here"]


@pytest.mark.parametrize("end", ["crash", "leave", "kill"])
async def test_the_last_words_of_a_worker_are_heard_before_its_death_is_told(pool, heard, end):
    with pytest.raises(SlotDied):
        await talk(pool, TALK, end, "farewell", about="job")
    assert heard.text(about="job") == ["farewell"]


async def test_a_crash_in_c_code_tells_where_it_was(pool, heard):
    with pytest.raises(SlotDied):
        await talk(pool, TALK, "crash", "farewell")
    assert any("programs.py" in line and "in crash" in line for line in heard.text("stderr"))


async def test_more_than_a_pipe_holds_passes_while_the_session_runs(pool, heard):
    lines = [f"{number:01000}" for number in range(300)]
    await talk(pool, TALK, "say", "\n".join(lines) + "\n")
    assert heard.text() == lines


async def test_a_record_keeps_its_logger_level_place_and_extras(pool, heard):
    await talk(pool, TALK, "log", "it is %s")
    [record] = heard.records()
    assert (record.name, record.levelname, record.getMessage()) == ("tests.talk", "ERROR", "it is late")
    assert (record.filename, record.funcName, record.user) == ("programs.py", "log", "me")
    assert "ZeroDivisionError" in record.exc_text


async def test_a_process_that_the_worker_forks_logs_as_well(pool, heard):
    await talk(pool, TALK, "log_from_child", "from a child")
    [record] = heard.records()
    assert record.process not in pool.pids()


async def test_a_record_that_no_logger_of_the_host_wants_is_not_made(pool, heard):
    logging.getLogger("tests.talk").setLevel(logging.DEBUG)
    try:
        await talk(pool, TALK, "debug", "wanted")
    finally:
        logging.getLogger("tests.talk").setLevel(logging.NOTSET)
    await talk(pool, Program(Talk("again")), "debug", "not wanted")
    assert [record.getMessage() for record in heard.records()] == ["wanted"]


async def test_a_handler_that_a_module_adds_in_the_worker_is_taken_away(pool, heard):
    """The host has it too."""
    await talk(pool, Program(Talk(handler=True)), "log", "it is %s")
    assert len(heard.records()) == 1
    assert heard.text("stderr") == []


async def test_warnings_are_log_records(pool, heard):
    await talk(pool, TALK, "warn", "careful")
    assert "UserWarning: careful" in heard.records()[0].getMessage()


async def test_a_worker_that_cannot_start_is_quoted(heard, monkeypatch):
    monkeypatch.setattr("asyncmr.workers.slot.entry.serve", Talk.fail_to_start)
    async with Pool(1, on_output=heard.append) as pool:
        with pytest.raises(PoolStartError, match=r"it wrote:(.|\n)*Traceback(.|\n)*no, I will not"):
            await talk(pool, TALK, "say", "")


SCRIPT = """
import asyncio
print("at the top level")
from asyncmr.workers import Pool, Program
from tests.workers.programs import Talk
from tests.workers.talking import talk

async def main():
    heard = []
    async with Pool(1, on_output=heard.append) as pool:
        await talk(pool, Program(Talk()), "say", "in a session\\n")
    print([line.decode() for said in heard if said.kind == "stdout" for line in said.lines])

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_what_the_script_prints_while_a_worker_imports_it_is_heard_too(tmp_path):
    process = await run_script(tmp_path / "script.py", SCRIPT)
    out, err = await process.communicate()
    assert (out, err) == (b"at the top level\n['at the top level', 'in a session']\n", b"")


def test_the_name_that_redirects_needs_nothing_but_the_standard_library(monkeypatch):
    """It arrives before `sys.path` does."""
    monkeypatch.setattr(redirection, "DupFd", lambda descriptor: f"descriptor {descriptor}")
    sent = pickle.dumps(redirection.RedirectingName("worker", 8, 9))
    assert b"descriptor 8" in sent
    assert b"asyncmr" not in sent


async def test_nobody_listens_when_open_files_are_scarce(heard, monkeypatch):
    monkeypatch.setattr("asyncmr.workers.pool.can_listen", lambda workers: False)
    async with Pool(1, on_output=heard.append) as pool:
        await until(lambda: pool.stats().idle)
        before = len(os.listdir("/dev/fd"))
    async with Pool(1) as pool:
        await until(lambda: pool.stats().idle)
        assert len(os.listdir("/dev/fd")) == before


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(lines, size):
    text = b"".join(line.replace(b"\n", b"").replace(b"\r", b"") + b"\n" for line in lines)
    cutter = LineCutter()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert [line for piece in pieces for line in cutter.cut(piece)] == [
        line for line in text.split(b"\n") if line
    ]


@given(st.integers(1, 5))
def test_of_a_line_that_is_drawn_again_the_last_state_counts(size):
    text = b" 10%\r 20%\r100%\r\nnext\r\nlast"
    cutter = LineCutter()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert [line for piece in pieces for line in cutter.cut(piece)] == [b"100%", b"next"]
    assert cutter.end() == [b"last"]


def test_a_line_without_end_comes_in_pieces():
    cutter = LineCutter()
    pieces = [line for _ in range(10) for line in cutter.cut(b"x" * (BLOCK // 2))]
    assert sum(map(len, pieces + cutter.end())) == 5 * BLOCK
    assert max(map(len, pieces)) <= 2 * BLOCK


def test_a_record_of_any_size_fits_one_message():
    vast = {f"name{number}": "\U0001f600" * 10**6 for number in range(100)}
    record = logging.makeLogRecord({"msg": "\U0001f600" * 10**6, "stack_info": "x" * 10**6, **vast})
    assert len(packed(record)) < 192 * 1024
