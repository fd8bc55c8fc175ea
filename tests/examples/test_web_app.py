"""The web application, served by a real server to real connections."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

import asyncmr
import asyncmr.engines.local  # here, since it takes long, and a test may not block its loop
from examples import web_app
from tests.engine.at_rest import is_at_rest
from tests.engine.gated import Gate
from tests.workers.talking import until

BOOKS = {"one.txt": "to be or not to be\n", "two.txt": "that is the question\n"}
WORDS = Counter("".join(BOOKS.values()).split())


class Answer(NamedTuple):
    """The status of a response, and a reader that is at its body."""

    status: int
    body: asyncio.StreamReader

    async def json(self):
        return json.loads(await self.body.read())

    async def events(self) -> AsyncIterator[tuple[str, dict]]:
        while event := await self.body.readline():
            data = await self.body.readline()
            assert await self.body.readline() == b"\n"
            yield event.decode().removeprefix("event: ").strip(), json.loads(data.removeprefix(b"data: "))


class Client:
    def __init__(self, port: int) -> None:
        self._port = port

    @asynccontextmanager
    async def asks(self, request: str) -> AsyncIterator[Answer]:
        """Sends a request; the connection is closed at the end of the block, read to its end or not."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"{request} HTTP/1.0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            yield Answer(int(head.split()[1]), reader)
        finally:
            writer.close()
            await writer.wait_closed()

    async def jobs(self) -> list[str]:
        async with self.asks("GET /jobs") as answer:
            return [job["name"] for job in await answer.json()]

    async def no_jobs(self) -> None:
        while await self.jobs():
            await asyncio.sleep(0.01)

    async def counted(self, folder: str) -> tuple[str, dict]:
        """The last event of a request to count."""
        async with self.asks(f"POST /count/{folder}") as answer:
            assert answer.status == 200
            return [event async for event in answer.events()][-1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("root/books", "root/empty", "secret"):
        (tmp_path / folder).mkdir(parents=True)
    for name, text in BOOKS.items():
        (tmp_path / "root/books" / name).write_text(text)
    (tmp_path / "secret/key.txt").write_text("a secret\n")
    return tmp_path / "root"


@pytest.fixture
async def client(root: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setenv("WEB_APP_FOLDER", str(root))
    monkeypatch.setenv("WEB_CONCURRENCY", str(max(1, (os.cpu_count() or 1) // 2)))  # two workers
    config = uvicorn.Config(web_app.application(), host="127.0.0.1", port=0, log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started or serving.done())
    yield Client(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """What holds up the application's job in a worker, until it is opened."""
    gate = Gate(tmp_path / "gate")

    def words(_key, line):
        gate.wait()
        return web_app.words(None, line)

    held = asyncmr.Job(mapper=words, fold=lambda some, others: some + others)
    best = asyncmr.Job(mapper=web_app.candidate, fold=web_app.best, name="held")
    monkeypatch.setattr(web_app, "top_words", held.then(best))
    return gate


async def test_a_request_gets_progress_and_then_the_most_frequent_words(client):
    async with client.asks("POST /count/books") as answer:
        events = [event async for event in answer.events()]
    *before, (last, result) = events
    assert {name for name, _ in before} == {"progress"}
    assert before[-1][1]["state"] == "done"
    assert last == "result"
    assert dict(result["words"]) == WORDS
    assert result["words"][:2] == [["to", 2], ["be", 2]]
    assert result["report"]["stages"]["1.map"]["records_in"] == 2


async def test_other_requests_are_answered_while_a_job_runs(client, gate):
    async with client.asks("POST /count/books") as answer:
        await gate.reached()
        assert await client.jobs() == ["held"]
        async with client.asks("GET /folders") as folders:
            assert await folders.json() == ["books", "empty"]
        gate.open()
        assert [name async for name, _ in answer.events()][-1] == "result"


async def test_two_requests_at_once_get_their_own_results(client, gate):
    both = [asyncio.create_task(client.counted("books")) for _ in range(2)]
    while await client.jobs() != ["held", "held"]:
        await asyncio.sleep(0.01)
    gate.open()
    for name, result in await asyncio.gather(*both):
        assert (name, dict(result["words"])) == ("result", WORDS)


async def test_the_job_of_a_client_that_goes_away_is_gone(client, gate):
    async with client.asks("POST /count/books") as answer:
        await anext(answer.events())
        await gate.reached()
        assert await client.jobs() == ["held"]
    async with asyncio.timeout(5):
        await client.no_jobs()
    gate.open()
    assert (await client.counted("books"))[0] == "result"


async def test_an_error_of_the_job_is_told_and_harms_nobody_else(client, monkeypatch):
    assert (await client.counted("empty"))[0] == "error"
    bad = asyncmr.Job(mapper=lambda _, line: [(None, int(line))], fold=max)
    with monkeypatch.context() as patch:
        patch.setattr(web_app, "top_words", bad)
        name, error = await client.counted("books")
    assert name == "error"
    assert "one.txt, line 1" in error["message"]
    assert (await client.counted("books"))[0] == "result"


@pytest.mark.parametrize(
    "name", ["..", "../secret", "..%2Fsecret", "%2e%2e", "secret", "/", ".", "books%2Fone.txt"]
)
async def test_nothing_but_the_names_of_its_folders_can_be_counted(client, name):
    async with client.asks(f"POST /count/{name}") as answer:
        assert answer.status == 404
        assert b"secret" not in (await answer.body.read()).replace(name.encode(), b"")


async def test_the_page_is_whole_by_itself(client):
    async with client.asks("GET /") as answer:
        text = (await answer.body.read()).decode()
    assert (answer.status, text.count("<script>")) == (200, 1)
    assert "http" not in text.replace("HTTP", "")  # nothing comes from elsewhere


async def test_a_job_ends_also_while_its_stream_waits_for_a_client_that_does_not_read(root, gate):
    reached = asyncio.Event()

    async def receive():
        await reached.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body":
            await gate.reached()
            assert [job.name for job in engine.jobs] == ["held"]
            reached.set()
            await asyncio.Event().wait()

    async with asyncmr.Engine(workers=2) as engine:
        response = web_app.EventStream(web_app.events(engine, root / "books"))
        await response({"type": "http"}, receive, send)
        assert engine.jobs == ()
        await is_at_rest(engine)


def test_the_samples_are_folders_of_text(tmp_path, monkeypatch):
    monkeypatch.setattr(web_app, "SAMPLES", {"few": 4_000, "none": 0})
    web_app.write_samples(tmp_path)
    assert list(web_app.folders_of(tmp_path)) == ["few", "none"]
    assert sum(len(path.read_text().splitlines()) for path in (tmp_path / "few").iterdir()) == 4_000
