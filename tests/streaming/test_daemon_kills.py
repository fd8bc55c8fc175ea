"""The daemon is killed at each step of a commit, and its workers too: files and posts with a key count exactly once."""

from __future__ import annotations

import asyncio
import signal
import sys
import urllib.request
from collections import Counter
from contextlib import asynccontextmanager, suppress
from itertools import count, cycle
from pathlib import Path

import psutil
import pytest

from tests.cli.test_serve import Daemon
from tests.workers.talking import ROOT

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

STEPS = ("begin", "deltas", "positions", "tokens", "commit", "committed")


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.streaming.fatal_daemon", str(folder), *arguments),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


@asynccontextmanager
async def serving(folder: Path, keepers: int, step: str = "never"):
    process = await start(folder, str(keepers), step, "2")
    try:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        yield Daemon(process, line.split()[-1].rstrip("/"))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Senders:
    """Who writes the log, puts files and posts, and what all of them wrote. A post is repeated until it is answered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "files").mkdir()
        self.words = Counter[str]()
        self.latest: list[str] = []
        self._numbers = count(1)
        self._post: tuple[str, bytes] | None = None

    def write(self) -> None:
        """A line to the log, and a file, each with a word of its own."""
        self.latest = []
        with (self._folder / "log").open("ab") as log:
            log.write(self._line("log"))
        hidden = self._folder / "files" / ".new"
        hidden.write_bytes(self._line("file"))
        hidden.rename(hidden.with_name(f"{next(self._numbers):03}.txt"))

    async def post(self, daemon: Daemon) -> bool:
        """Whether it was answered; else the next daemon gets it again."""
        key, data = self._post = self._post or (f'"{next(self._numbers)}"', self._line("post"))

        def posted() -> bool:
            request = urllib.request.Request(f"{daemon.url}/v1/ingest", data, {"Idempotency-Key": key})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status == 202
            except OSError:
                return False

        if answered := await asyncio.to_thread(posted):
            self._post = None
        return answered

    def _line(self, kind: str) -> bytes:
        words = [f"{kind}-{next(self._numbers)}", kind, "all"]
        self.words.update(words)
        self.latest.append(words[0])
        return (" ".join(words) + "\n").encode()


async def counted(folder: Path, senders: Senders) -> dict[object, object]:
    """What a daemon that is left alone has counted, when it has come to the end of both the log and the files."""
    senders.write()
    async with serving(folder, 2) as daemon:
        while not await senders.post(daemon):
            pass
        for word in senders.latest:
            await daemon.reaches(word, senders.words[word])
        top = (await daemon.ask("/v1/top?k=1000"))["top"]
        assert isinstance(top, list)
        return {entry["key"]: entry["value"] for entry in top}


async def test_killed_at_each_step_the_daemon_counts_everything_once(tmp_path):
    senders = Senders(tmp_path)
    for step, keepers in zip(STEPS, cycle((1, 3)), strict=False):
        senders.write()
        async with serving(tmp_path, keepers, step) as daemon:
            while await senders.post(daemon):
                senders.write()
            assert await daemon.process.wait() == -signal.SIGKILL
    assert await counted(tmp_path, senders) == senders.words


async def test_positions_that_are_committed_apart_are_found_out(tmp_path):
    senders = Senders(tmp_path)
    senders.write()
    process = await start(tmp_path, "1", "committed", "1", "two-transactions")
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert await counted(tmp_path, senders) != senders.words


async def test_workers_that_are_killed_lose_and_double_nothing(tmp_path):
    senders = Senders(tmp_path)
    senders.write()
    async with serving(tmp_path, 2) as daemon:
        for _ in range(3):
            assert await senders.post(daemon)
            senders.write()
            for server in psutil.Process(daemon.process.pid).children():
                for worker in server.children():
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
        assert await senders.post(daemon)
        status, said = await daemon.ended(signal.SIGTERM)
        assert status == 0, said
    assert await counted(tmp_path, senders) == senders.words
