from __future__ import annotations

import asyncio
import os
import resource
import socket
import stat
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from asyncmr.errors import InputError, UsageError
from asyncmr.streaming.feed import SystemClock
from asyncmr.streaming.feeds.listening import TCPFeed, UnixFeed
from tests.streaming.sources.surroundings import Pulled, SetClock

pytestmark = pytest.mark.both_loops


@asynccontextmanager
async def pulling(feed, disk, clock=None, **limits):
    """A feed that listens, and is pulled all the time; its lines so far are in `lines`, in the order they came."""
    async with Pulled(feed, disk, clock=clock or SystemClock(), **limits) as pulled:
        came = asyncio.Condition()

        async def pull():
            while True:
                await pulled.next()
                async with came:
                    came.notify_all()

        async def until(condition):
            async with came:
                await came.wait_for(condition)

        pulled.when = until
        task = asyncio.ensure_future(pull())
        try:
            listening = asyncio.ensure_future(feed.listening())
            await asyncio.wait([listening, task], return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            if task.done():
                await task
            yield pulled
        finally:
            task.cancel()
            await asyncio.wait([task])


class Client:
    """A client of a feed, for `async with`."""

    def __init__(self, address) -> None:
        self._address = address
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.setblocking(False)

    async def __aenter__(self):
        await asyncio.get_running_loop().sock_connect(self.socket, self._address)
        return self

    async def __aexit__(self, *error) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def closed(self) -> bool:
        """Waits until the feed has closed the connection."""
        try:
            return not await asyncio.get_running_loop().sock_recv(self.socket, 1)
        except ConnectionError:
            return True


def client(feed: TCPFeed) -> Client:
    return Client(("127.0.0.1", feed.port))


def local(**options) -> TCPFeed:
    return TCPFeed("127.0.0.1", 0, **options)


async def test_lines_of_several_clients_come_whole(disk):
    feed = local()
    async with pulling(feed, disk) as pulled, client(feed) as one, client(feed) as other:
        await one.send(b"one ")
        await other.send(b"other 1\noth")
        await pulled.when(lambda: pulled.lines == [b"other 1"])
        await one.send(b"1\n")
        await other.send(b"er 2\n")
        await pulled.when(lambda: len(pulled.lines) == 3)
    assert sorted(pulled.lines) == [b"one 1", b"other 1", b"other 2"]


async def test_a_last_line_counts_when_the_client_closes_its_side(disk):
    feed = local()
    async with pulling(feed, disk) as pulled, client(feed) as half_closed:
        await half_closed.send(b"1\n2")
        half_closed.socket.shutdown(socket.SHUT_WR)
        await pulled.when(lambda: pulled.lines == [b"1", b"2"])
        assert await half_closed.closed()
        assert feed.connections == 0


async def test_a_connection_that_breaks_within_a_line_leaves_no_half_line(disk):
    feed = local()
    async with pulling(feed, disk) as pulled, client(feed) as good:
        async with client(feed) as broken:
            await broken.send(b"1\n2")
            await pulled.when(lambda: pulled.lines == [b"1"])
            broken.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
            )  # close resets
        await good.send(b"3\n")
        await pulled.when(lambda: len(pulled.lines) == 2)
        assert pulled.lines == [b"1", b"3"]
        assert (feed.refused, feed.connections, feed.held) == (1, 1, 0)


async def test_while_it_is_not_pulled_clients_wait_and_nothing_is_held(disk):
    feed = local()
    async with AsyncExitStack() as stack:
        pulled = await stack.enter_async_context(Pulled(feed, disk, clock=SystemClock()))
        pull = asyncio.ensure_future(pulled.next())
        await feed.listening()
        sender = await stack.enter_async_context(client(feed))
        await sender.send(b"first\n")
        await pull
        stream = memoryview((b"x" * 1023 + b"\n") * 20_000)
        sent = 0
        with suppress(BlockingIOError):  # the buffers of the kernel are full
            while sent < len(stream):
                sent += sender.socket.send(stream[sent:])
        assert 1024 < sent < len(stream)
        assert feed.held == 0
        while len(pulled.lines) < 1 + sent // 1024:
            await pulled.next()
        assert sender.socket.send(stream[sent:])


async def test_an_endless_line_is_closed_and_a_good_client_is_served(disk, caplog):
    feed = local()
    async with pulling(feed, disk, line_limit=1000) as pulled, client(feed) as good, client(feed) as endless:
        await endless.send(b"first\n" + b"x" * 1001)
        assert await endless.closed()
        await good.send(b"good\n")
        await pulled.when(lambda: len(pulled.lines) == 2)
        assert sorted(pulled.lines) == [b"first", b"good"]
        assert feed.held == 0
    assert "closed a connection that sent a line of more than 1,000 bytes" in caplog.text


@pytest.fixture
def many_descriptors():
    """Both ends of a thousand connections are ours here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
async def test_a_thousand_connections_most_of_them_bad_and_a_good_one_is_served(disk, caplog):
    """FAULTS.md, row 25: what all of them may hold together has a bound, too."""
    feed = local(connections=1001)
    async with AsyncExitStack() as stack:
        pulled = await stack.enter_async_context(pulling(feed, disk, line_limit=1000))
        good = await stack.enter_async_context(client(feed))
        others = [await stack.enter_async_context(client(feed)) for _ in range(1000)]
        for number, other in enumerate(others):
            if number % 4:
                await other.send(b"x" * 900)  # a line that never ends, as slow as can be
        for number in range(100):
            await good.send(b"good %d\n" % number)
            await pulled.when(lambda number=number: len(pulled.lines) > number)
        assert pulled.lines == [b"good %d" % number for number in range(100)]
        while feed.refused < 750 - 32_000 // 900:
            await asyncio.sleep(0)
        assert feed.held <= 32_000
        assert feed.connections >= 251
    assert caplog.text.count("sent the longest of too many lines that have no end yet") == 1


async def test_one_connection_too_many_is_closed_at_once(disk, caplog):
    feed = local(connections=1)
    async with pulling(feed, disk) as pulled, client(feed) as first:
        await first.send(b"1\n")
        await pulled.when(lambda: pulled.lines)
        async with client(feed) as second:
            assert await second.closed()
        await first.send(b"2\n")
        await pulled.when(lambda: len(pulled.lines) == 2)
    assert "closed a connection at once: 1 are open, the limit" in caplog.text


async def test_who_is_silent_for_too_long_is_closed_and_who_is_not_stays(disk):
    clock = SetClock()
    feed = local(idle=60)
    async with pulling(feed, disk, clock) as pulled, client(feed) as silent, client(feed) as good:
        for number in range(1, 4):
            await good.send(b"x\n")
            await pulled.when(lambda number=number: len(pulled.lines) == number)
            await clock.asleep.wait()
            clock.advance(29)
        assert await silent.closed()
        await good.send(b"x\n")
        await pulled.when(lambda: len(pulled.lines) == 4)
        assert feed.connections == 1


@pytest.mark.parametrize("first", [b"wrong\nx\n", b"a line that is longer than the token", b"\nsecret\n"])
async def test_who_does_not_begin_with_the_token_is_closed(disk, first, caplog):
    feed = local(token="secret")
    async with pulling(feed, disk) as pulled, client(feed) as bad, client(feed) as good:
        await bad.send(first)
        assert await bad.closed()
        await good.send(b"sec")
        await good.send(b"ret\r\nx\n")
        await good.send(b"y\n")
        await pulled.when(lambda: pulled.lines == [b"x", b"y"])
    assert "did not begin with the token" in caplog.text
    assert "secret" not in caplog.text


async def test_a_unix_socket_is_for_this_user_and_is_removed(tmp_path, disk):
    path = tmp_path / "s"
    feed = UnixFeed(path)
    async with pulling(feed, disk) as pulled, Client(str(path)) as sender:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        await sender.send(b"1\n")
        await pulled.when(lambda: pulled.lines == [b"1"])
    assert not path.exists()


async def test_a_unix_socket_of_a_dead_process_is_replaced(tmp_path, disk):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    feed = UnixFeed(path)
    async with pulling(feed, disk), Client(str(path)):
        pass


async def test_a_unix_socket_that_somebody_listens_to_is_left_alone(tmp_path, disk):
    path = tmp_path / "s"
    async with pulling(UnixFeed(path), disk) as pulled, Client(str(path)) as sender:
        with pytest.raises(
            InputError, match=r"could not listen on the UNIX socket .*: another process listens there"
        ):
            async with pulling(UnixFeed(path), disk):
                pass
        await sender.send(b"1\n")
        await pulled.when(lambda: pulled.lines == [b"1"])


async def test_a_file_is_never_replaced(tmp_path, disk):
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(InputError, match="a file that is no socket has that name"):
        async with pulling(UnixFeed(path), disk):
            pass
    assert path.read_text() == "mine"


async def test_a_port_that_is_taken_and_an_address_of_others_are_told(disk):
    async with pulling(feed := local(), disk):
        with pytest.raises(
            InputError, match=f"could not listen on tcp://127.0.0.1:{feed.port}: another process"
        ):
            async with pulling(TCPFeed("127.0.0.1", feed.port), disk):
                pass
    with pytest.raises(
        InputError, match=r"could not listen on tcp://192\.0\.2\.1:0: this machine does not have"
    ):
        async with pulling(TCPFeed("192.0.2.1", 0, token="x"), disk):
            pass


def test_no_connections_at_all_is_refused():
    with pytest.raises(UsageError, match="connections and idle must be positive, not 0 and 300"):
        local(connections=0)


async def test_without_a_descriptor_left_connections_wait(disk, caplog):
    clock = SetClock()
    feed = local()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with pulling(feed, disk, clock) as pulled:
        late = client(feed)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            async with late:
                await late.send(b"1\n")
                while (
                    "could not take a connection: Too many open files; the next ones wait" not in caplog.text
                ):
                    await asyncio.sleep(0)
                await clock.asleep.wait()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                clock.advance(1.0)
                await pulled.when(lambda: pulled.lines == [b"1"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
