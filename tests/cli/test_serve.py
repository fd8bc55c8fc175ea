"""`asyncmr serve`, as a process of its own: it goes on after a kill, ends when it is asked to, and tells systemd."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.workers.talking import ROOT, alive, until

pytest.importorskip("uvicorn")

WORDS = "to be or not to be\n"


class Daemon:
    """A daemon, and questions to it. `said`: before it served."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, said: str = "") -> None:
        self.process = process
        self.url = url
        self.said = said

    async def ask(self, path: str, data: bytes | None = None) -> dict[str, Any]:
        """What it answers."""

        def asked() -> dict[str, Any]:
            with urllib.request.urlopen(f"{self.url}{path}", data=data, timeout=20) as answer:
                return dict(json.load(answer))

        return await asyncio.to_thread(asked)

    async def reaches(self, word: str, count: int) -> None:
        """Waits until it has counted a word so often."""
        async with asyncio.timeout(20):
            while (await self.ask(f"/v1/count/{word}"))["count"] != count:
                pass

    async def ended(self, number: signal.Signals) -> tuple[int | None, str]:
        """Sends a signal; its exit status, and what it said after it had started. Nothing of it is left."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        assert self.process.stderr is not None
        said = (await self.process.stderr.read()).decode()
        status = await self.process.wait()
        await until(lambda: not any(alive(child.pid) for child in below))
        return status, said


@asynccontextmanager
async def serving(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[Daemon]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncmr", "serve", "--listen", "127.0.0.1:0", "--workers", "1", *arguments),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        said = []
        while not (line := (await process.stderr.readline()).decode()).startswith("asyncmr: serving http://"):
            said.append(line)
            assert line, "".join(said)
        yield Daemon(process, line.split()[-1].rstrip("/"), "".join(said))
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def test_a_log_is_counted_once_whatever_is_killed(tmp_path):
    log = tmp_path / "log"
    log.write_text(WORDS)
    for run in range(1, 4):
        async with serving(tmp_path, "tail:log", "--state", "state") as daemon:
            await daemon.reaches("be", 2 * (2 * run - 1))
            with log.open("a") as lines:
                lines.write(WORDS)
            await daemon.reaches("be", 2 * 2 * run)
            assert (await daemon.ended(signal.SIGKILL))[0] == -signal.SIGKILL
            with log.open("a") as lines:
                lines.write(WORDS)
    async with serving(tmp_path, "tail:log", "--state", "state") as daemon:
        await daemon.reaches("be", 14)
        assert await daemon.ask("/v1/top?k=1") == {
            "top": [{"key": "be", "value": 14}],
            "k": 1,
            "window": None,
            "epoch": (await daemon.ask("/v1/stats"))["epoch"],
        }


async def test_what_changes_is_in_a_file_once_whatever_is_killed(tmp_path):
    log = tmp_path / "log"
    for run in range(1, 4):
        with log.open("a") as lines:
            lines.write(WORDS)
        async with serving(tmp_path, "tail:log", "--state", "state", "-o", "changes.jsonl") as daemon:
            await daemon.reaches("be", 2 * run)
            assert (await daemon.ended(signal.SIGKILL))[0] == -signal.SIGKILL
        changes = [json.loads(line) for line in (tmp_path / "changes.jsonl").read_text().splitlines()]
        assert [line["value"] for line in changes if line["key"] == "be"] == [2 * n + 2 for n in range(run)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_it_ends_in_order_and_goes_on_where_it_was(tmp_path, number):
    async with serving(tmp_path, "--state", "state") as daemon:
        await daemon.ask("/v1/ingest", WORDS.encode())
        assert await daemon.ended(number) == (0, "")
    async with serving(tmp_path, "--state", "state") as daemon:
        assert (await daemon.ask("/v1/count/be"))["count"] == 2


async def test_systemd_is_told_when_it_is_ready_alive_and_ending(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        options = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        async with serving(tmp_path, **options) as daemon:
            told = {await asyncio.to_thread(manager.recv, 100) for _ in range(2)}
            assert told == {b"READY=1", b"WATCHDOG=1"}
            assert (await daemon.ended(signal.SIGTERM))[0] == 0
        while (last := await asyncio.to_thread(manager.recv, 100)) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"


async def test_its_options_may_come_from_the_environment(tmp_path):
    (tmp_path / "letters.py").write_text(
        "import asyncmr\n\n"
        "job = asyncmr.Job(mapper=lambda _, line: ((c, 1) for c in line), aggregator=asyncmr.Sum())\n"
    )
    async with serving(tmp_path, ASYNCMR_JOB="letters.py:job") as daemon:
        await daemon.ask("/v1/ingest", b"abba\n")
        assert (await daemon.ask("/v1/count/a"))["count"] == 2
        assert (await daemon.ended(signal.SIGTERM))[0] == 0


async def test_it_says_what_it_listens_to_and_what_becomes_of_it(tmp_path):
    async with serving(tmp_path) as daemon:
        assert daemon.said == (
            f"asyncmr: asyncmr.jobs:wordcount over POST {daemon.url}/v1/ingest; its results are not kept: there is no "
            "--state\n"
        )
    async with serving(tmp_path, "tail:log", "--state", "counts") as daemon:
        assert f"over tail:log, POST {daemon.url}/v1/ingest; its results are kept in counts" in daemon.said


async def test_windows_go_by_the_time_in_the_lines(tmp_path):
    options = ["--window", "1m", "--timestamp", r"^(\S+)", "--lateness", "30s", "--retain", "all"]
    async with serving(tmp_path, *options, ASYNCMR_EMIT="final") as daemon:
        await daemon.ask("/v1/ingest", b"2026-11-21T20:59:59Z be\n2026-11-21T21:00:10Z be\n")
        await daemon.ask("/v1/ingest", b"2026-11-21T20:59:00Z be\n")
        first, second = (await daemon.ask("/v1/windows"))["windows"]
        assert (first["state"], second["state"]) == ("open", "open")
        assert (await daemon.ask(f"/v1/count/be?window={first['start']}"))["count"] == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--listen", "0.0.0.0:0"], "add --token-file FILE, or listen on 127.0.0.1"),
        (["somewhere"], "'somewhere' is no source of a stream; write tail:PATH"),
        (["--job", "asyncmr.jobs:sort"], "cannot be streamed"),
        (["--token-file", "none"], "could not read the token file 'none'"),
        (
            ["--window", "1m late 5s event json:t", "--lateness", "9s"],
            "says already what --lateness '9s' says",
        ),
        (["--max-keys", "9"], "--max-keys 9 is less than one key for each of the 64 key groups"),
        (["--lateness", "9s"], 'say where that time is, such as --timestamp "json:time"'),
    ],
)
async def test_what_cannot_be_served_is_refused(tmp_path, arguments, why):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncmr", "serve", *arguments),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith("asyncmr: ")
    assert why in said.decode()


SUMMED = """
import operator
import asyncmr

job = asyncmr.Job(mapper=lambda _, line: [(line, int(line))], fold=operator.add, name="summed")
"""


async def test_a_line_that_fails_ends_it_unless_such_lines_are_skipped(tmp_path):
    (tmp_path / "summed.py").write_text(SUMMED)
    log = tmp_path / "log"
    log.touch()
    job = ("tail:log", "--job", "summed.py:job", "--state", "state")
    async with serving(tmp_path, *job) as daemon:
        log.write_text("1\n1\ntwo\n")
        assert daemon.process.stderr is not None
        said = (await daemon.process.stderr.read()).decode()
        assert await daemon.process.wait() == 1
        assert f"at {log}, line 3\n  record: 'two'\n  --on-error skip sets such lines aside" in said
    async with serving(tmp_path, *job, "--on-error", "skip", "--skip-limit", "1") as daemon:
        await daemon.reaches("1", 2)
        assert (await daemon.ask("/v1/stats"))["records"] == 3
        with log.open("a") as lines:
            lines.write("three\n")
        assert daemon.process.stderr is not None
        said = (await daemon.process.stderr.read()).decode()
        assert await daemon.process.wait() == 1
        assert f"more than skip_limit=1 allows; one of them: {log}, byte 8: ValueError: " in said
