"""A server comes up inside a loop, and leaves it as it was."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from asyncmr.errors import UsageError
from asyncmr.streaming.http import Address, Limits, application, read_token, serving
from tests.streaming.http.client import Client, request
from tests.streaming.http.memory_view import MemoryView


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("stats.example:1", ("stats.example", 1)),
    ],
)
def test_an_address_is_read(text, address):
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["80", "localhost", "::1:80", "a:b", "a:65536", "a:-1", ""])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match="HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "stats.example"])
async def test_the_network_is_served_with_a_token_only(host):
    async with application(MemoryView()) as app:
        with pytest.raises(UsageError, match="--token-file"):
            async with serving(app, Address(host, 0)):
                pass


async def test_with_a_token_the_network_is_served():
    async with (
        application(MemoryView(), token=b"0123456789abcdef") as app,
        serving(app, Address("0.0.0.0", 0)) as (_, port),
    ):
        assert (await Client(Address("127.0.0.1", port)).get("/v1/top")).status == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_is_what_only_this_machine_gets_to(host):
    assert Address(host, 80).is_loopback


async def test_a_port_that_is_taken_is_an_error_that_says_so():
    async with application(MemoryView()) as app, serving(app, Address("127.0.0.1", 0)) as address:
        with pytest.raises(UsageError, match=f"could not listen on {address}.*--listen"):
            async with serving(app, address):
                pass


@pytest.mark.both_loops
async def test_a_request_under_way_is_finished_and_others_are_not_begun(serve):
    async with serve(commits=False) as service:
        server = serving(service.app, Address("127.0.0.1", 0), grace=5)
        client = Client(await server.__aenter__())
        posting = asyncio.create_task(client.post(b"last\n"))
        batch = await service.reader.take()
        leaving = asyncio.create_task(server.__aexit__(None, None, None))
        await asyncio.sleep(0)
        with pytest.raises(OSError, match=r"refused|Connect"):
            await client.get("/healthz")
        service.reader.commit(batch)
        assert (await posting).status == 202
        await leaving


async def test_the_end_does_not_wait_for_those_who_never_end(serve):
    async with serve() as service:
        reader, writer = await asyncio.open_connection(*service.address)
        writer.write(request("POST", "/v1/ingest", {"Content-Length": "9"}))
        _, idle = await asyncio.open_connection(*service.address)
        while not service.app.lobby.waiting:
            await asyncio.sleep(0)
    for end in (writer, idle):
        end.close()
    with suppress(ConnectionResetError):
        assert await reader.read() == b""


async def test_subscribers_are_let_go_at_the_end(serve):
    async with serve() as service:
        reader, writer = await asyncio.open_connection(*service.address)
        writer.write(request("GET", "/v1/subscribe?k=1", {}))
        await reader.readuntil(b"event: top")
    assert b"0\r\n\r\n" in await reader.read()  # the answer ended as it should
    writer.close()


async def test_no_signal_handler_is_touched(service):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_DFL
    assert (await service.get("/healthz")).status == 200


async def test_without_a_feed_there_is_no_ingest():
    async with application(MemoryView()) as app, serving(app, Address("127.0.0.1", 0)) as address:
        assert (await Client(address).post(b"to be\n")).status == 404


async def test_an_answer_that_takes_too_long_is_given_up(serve, monkeypatch):
    async with serve(limits=Limits(answer_seconds=0.01)) as service:
        monkeypatch.setattr(service.view, "windows", asyncio.Event().wait)
        assert (await service.get("/v1/windows")).status == 503


def token(folder: Path, text: bytes = b"0123456789abcdef\n", mode: int = 0o600) -> str:
    path = folder / "token"
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


def test_a_token_is_read_from_its_file(tmp_path):
    assert read_token(token(tmp_path)) == b"0123456789abcdef"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_may_read_is_none(tmp_path, mode):
    with pytest.raises(UsageError, match="chmod 600"):
        read_token(token(tmp_path, mode=mode))


def test_a_token_that_systemd_keeps_for_the_service_is_read_whatever_its_mode_says(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_token(token(tmp_path, mode=0o440)) == b"0123456789abcdef"


@pytest.mark.parametrize(
    "text", [b"", b"short", b"x" * 5000, b"0123456789 abcdef", b"\xff" * 20, b"a" * 20 + b"\nb"]
)
def test_what_cannot_be_a_token_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="token"):
        read_token(token(tmp_path, text))


def test_a_token_file_that_is_none_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "missing", tmp_path / "pipe"):
        with pytest.raises(UsageError, match="token file"):
            read_token(str(path))
