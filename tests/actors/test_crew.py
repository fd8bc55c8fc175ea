"""A crew starts, watches, cancels and closes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncmr.actors import Actor, ChannelClosed, Crew, StrayCancellation, open_channel
from asyncmr.actors import crew as crew_module
from asyncmr.errors import ClosedError
from tests.actors.until import nothing, turns, until

pytestmark = pytest.mark.both_loops


class Source(Actor[object, int]):
    """Emits numbers up to `limit`; fails at `fail_at`."""

    def __init__(self, limit: int, fail_at: int = -1) -> None:
        super().__init__("source")
        self.limit = limit
        self.fail_at = fail_at

    async def produce(self) -> None:
        for number in range(self.limit):
            if number == self.fail_at:
                raise ValueError(f"no number {number}")
            await self.emit(number, 1)


class Relay(Actor[int, int]):
    """Passes on what it gets, and keeps a note of how it ended."""

    def __init__(self, name: str = "relay", concurrency: int = 1) -> None:
        super().__init__(name)
        self.concurrency = concurrency
        self.ends: list[str] = []

    async def handle(self, item: int) -> None:
        await self.emit(item, 1)

    async def finish(self) -> None:
        self.ends.append("finish")

    async def abort(self) -> None:
        await asyncio.sleep(0)  # an abort may await, also in an actor that is being cancelled
        self.ends.append("abort")


class Sink(Relay):
    def __init__(self) -> None:
        super().__init__("sink")
        self.items: list[int] = []

    async def handle(self, item: int) -> None:
        self.items.append(item)


class Line:
    """source -> relay (three lanes) -> sink, over channels that hold two items."""

    def __init__(self, source: Source, sink: Sink | None = None) -> None:
        first_in, first_out = open_channel("first", 2, int)
        second_in, second_out = open_channel("second", 2, int)
        self.source = source.connect(outbox=first_in)
        self.relay = Relay(concurrency=3).connect(inbox=first_out, outbox=second_in)
        self.sink = (sink or Sink()).connect(inbox=second_out)
        self.crew = Crew()

    async def run(self, block: Callable[[], Awaitable[None]] = nothing) -> None:
        async with self.crew as crew:
            crew.add(self.source)
            crew.add(self.relay)
            crew.add(self.sink)
            await block()

    def is_closed(self) -> bool:
        channels = self.crew.stats().channels
        return len(channels) == 2 and all(
            c.closed and not c.items and not c.waiting_senders for c in channels
        )


async def test_a_line_of_actors_carries_everything_to_its_end():
    line = Line(Source(100))
    await line.run()
    assert sorted(line.sink.items) == list(range(100))
    assert line.relay.ends == line.sink.ends == ["finish"]
    assert line.is_closed()


async def test_a_failure_stops_the_others_and_is_raised_as_it_is():
    line = Line(Source(100, fail_at=50))
    with pytest.raises(ValueError, match="no number 50") as caught:
        await line.run()
    assert not hasattr(caught.value, "__notes__")
    assert [actor.state for actor in line.crew.stats().actors] == ["failed", "cancelled", "cancelled"]
    assert line.relay.ends == line.sink.ends == ["abort"]
    assert line.is_closed()


@pytest.mark.parametrize("fail_at", range(12))
async def test_nobody_takes_a_neighbours_failure_for_the_end_of_the_data(fail_at: int):
    """However far the others are, they abort; one that saw the stream end would finish, and commit a part."""
    line = Line(Source(100, fail_at=fail_at))
    with pytest.raises(ValueError, match="no number"):
        await line.run()
    assert line.relay.ends == line.sink.ends == ["abort"]


class HastySource(Source):
    """Ends its stream when it fails, as actors must not, and takes some time to clean up."""

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            assert self.outbox is not None
            self.outbox.close()
            await turns(20)


async def test_that_test_catches_an_actor_that_ends_its_stream_when_it_fails():
    """The control of the test above."""
    ends: list[str] = []
    for fail_at in range(12):
        line = Line(HastySource(100, fail_at=fail_at))
        with pytest.raises(ValueError, match="no number"):
            await line.run()
        ends += line.relay.ends + line.sink.ends
    assert "finish" in ends


class PatientSource(Source):
    """Its abort lasts until `others` have ended theirs."""

    others: tuple[Relay, ...] = ()

    async def abort(self) -> None:
        await until(lambda: all(other.ends for other in self.others))


async def test_the_others_are_cancelled_before_the_one_that_failed_has_aborted():
    source = PatientSource(100, fail_at=50)
    line = Line(source)
    source.others = (line.relay, line.sink)
    with pytest.raises(ValueError, match="no number 50"):
        await line.run()
    assert line.relay.ends == line.sink.ends == ["abort"]


async def test_who_reads_the_last_channel_outside_the_crew_gets_the_failure():
    outbox, receiver = open_channel("out", 2, int)

    async def run() -> None:
        async with Crew() as crew:
            crew.add(Source(100, fail_at=5).connect(outbox=outbox))

    running = asyncio.ensure_future(run())
    with receiver, pytest.raises(ValueError, match="no number 5"):
        async for _ in receiver:
            pass
    with pytest.raises(ValueError, match="no number 5"):
        await running


class SinkWithABadAbort(Sink):
    async def abort(self) -> None:
        raise OSError("disk full")


async def test_an_abort_that_fails_is_noted_on_what_failed_first():
    line = Line(Source(100, fail_at=50), SinkWithABadAbort())
    with pytest.raises(ValueError, match="no number 50") as caught:
        await line.run()
    assert caught.value.__notes__ == ["'sink.abort' failed as well: OSError: disk full"]


class SinkThatHangs(Sink):
    async def abort(self) -> None:
        await asyncio.Event().wait()


async def test_an_abort_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crew_module, "ABORT_SECONDS", 0.01)
    line = Line(Source(100, fail_at=50), SinkThatHangs())
    with pytest.raises(ValueError, match="no number 50") as caught:
        await line.run()
    assert "sink.abort() took longer than 0.01 s" in caught.value.__notes__[0]


async def test_an_error_of_the_block_stops_the_actors():
    line = Line(Source(1_000_000))

    async def block() -> None:
        await until(lambda: line.sink.items)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await line.run(block)
    assert line.sink.ends == ["abort"]
    assert line.is_closed()


async def test_a_crew_that_is_cancelled_by_its_owner_leaves_quietly():
    outbox, receiver = open_channel("out", 2, int)
    async with Crew() as crew:
        source = crew.add(Source(1_000_000).connect(outbox=outbox))
        assert await anext(receiver) == 0
        crew.cancel()
    assert source.stats().state == "cancelled"
    with receiver, pytest.raises(ChannelClosed, match="the crew was cancelled before the stream ended"):
        await anext(receiver)


class SinkThatLosesItsFuture(Sink):
    async def handle(self, item: int) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future


async def test_an_actor_whose_awaited_future_is_cancelled_has_failed():
    """Its await raises CancelledError, but nobody cancelled the crew: half the data must not look whole."""
    line = Line(Source(100), SinkThatLosesItsFuture())
    with pytest.raises(StrayCancellation, match="was cancelled, but not by its owner"):
        await line.run()
    assert line.sink.stats().state == "failed"
    assert line.sink.ends == ["abort"]


async def test_actors_may_share_an_inbox():
    sender, receiver = open_channel("shared", 2, int)
    sinks = [Sink(), Sink()]
    async with Crew() as crew:
        crew.add(Source(50).connect(outbox=sender))
        for sink in sinks:
            crew.add(sink.connect(inbox=receiver))
    assert sorted(sinks[0].items + sinks[1].items) == list(range(50))
    assert [sink.ends for sink in sinks] == [["finish"], ["finish"]]


async def test_actors_may_share_an_outbox():
    sender, receiver = open_channel("shared", 2, int)
    sink = Sink()
    async with Crew() as crew:
        crew.add(Source(50).connect(outbox=sender.clone()))
        crew.add(Source(50).connect(outbox=sender))
        crew.add(sink.connect(inbox=receiver))
    assert sorted(sink.items) == sorted([*range(50), *range(50)])


async def test_stats_list_actors_in_order_and_each_channel_once():
    line = Line(Source(3))
    await line.run()
    stats = line.crew.stats()
    assert [actor.name for actor in stats.actors] == ["source", "relay", "sink"]
    assert [(channel.name, channel.total_items) for channel in stats.channels] == [
        ("first", 3),
        ("second", 3),
    ]


async def test_a_crew_that_is_not_open_takes_nobody():
    with pytest.raises(ClosedError, match="'source' cannot start"):
        Crew().add(Source(1))


@pytest.mark.parametrize("turn", range(1, 40))
async def test_a_crew_can_be_cancelled_at_any_turn(turn: int):
    """It stays a cancellation; every actor aborts; every channel is closed."""
    line = Line(Source(1_000_000))
    running = asyncio.ensure_future(line.run())
    await turns(turn)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert line.is_closed()
    assert {actor.state for actor in line.crew.stats().actors} == {"cancelled"}
    assert line.relay.ends == line.sink.ends == ["abort"]


@pytest.mark.parametrize("turn", range(6))
async def test_a_second_cancellation_does_not_cut_the_aborts_short(turn: int):
    line = Line(Source(1_000_000))
    running = asyncio.ensure_future(line.run())
    await until(lambda: line.sink.items)
    running.cancel()
    await turns(turn)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert line.relay.ends == line.sink.ends == ["abort"]
