"""The life of one actor, inside a crew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from asyncmr.actors import Actor, ActorStats, Crew, Receiver, open_channel
from asyncmr.errors import UsageError
from tests.actors.until import turns, until

pytestmark = pytest.mark.both_loops


class Source(Actor[object, str]):
    def __init__(self, words: Iterable[str]) -> None:
        super().__init__("source")
        self.words = words

    async def produce(self) -> None:
        for word in self.words:
            await self.emit(word, 1)


class Diary(Actor[str, str]):
    """Writes down what happens to it, and passes everything on."""

    def __init__(self) -> None:
        super().__init__("diary")
        self.pages: list[str] = []

    async def start(self) -> None:
        self.pages.append("start")

    async def handle(self, item: str) -> None:
        self.pages.append(item)
        await self.emit(item.upper(), 1)

    async def finish(self) -> None:
        self.pages.append("finish")
        await self.emit("the end", 7)

    async def abort(self) -> None:
        self.pages.append("abort")


class Gate(Actor[str, str]):
    """Handles three at once; each waits until its own item is let through."""

    concurrency = 3

    def __init__(self) -> None:
        super().__init__("gate")
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.let_through: set[str] = set()

    async def handle(self, item: str) -> None:
        self.begun.append(item)
        await until(lambda: item in self.let_through)
        self.ended.append(item)


async def run(*actors: Actor[Any, Any]) -> None:
    async with Crew() as crew:
        for actor in actors:
            crew.add(actor)


async def all_of(receiver: Receiver[str]) -> list[str]:
    return [item async for item in receiver]


async def test_an_actor_starts_handles_in_order_finishes_and_ends_its_stream():
    sender, inbox = open_channel("in", 10, str)
    outbox, receiver = open_channel("out", 10, str)
    diary = Diary()
    async with Crew() as crew:
        crew.add(Source(["a", "b"]).connect(outbox=sender))
        crew.add(diary.connect(inbox=inbox, outbox=outbox))
        assert await all_of(receiver) == ["A", "B", "the end"]
    receiver.close()
    assert diary.pages == ["start", "a", "b", "finish"]


async def test_several_items_start_in_order_never_more_than_concurrency_and_end_in_any_order():
    sender, inbox = open_channel("in", 10, str)
    gate = Gate()
    async with Crew() as crew:
        crew.add(Source("abcd").connect(outbox=sender))
        crew.add(gate.connect(inbox=inbox))
        await until(lambda: len(gate.begun) == 3)
        await turns(20)
        assert gate.begun == ["a", "b", "c"]
        assert inbox.stats().items == 1  # the fourth stays outside: that is the backpressure
        for word in "cbda":
            gate.let_through.add(word)
            await until(lambda: len(gate.ended) == len(gate.let_through))
    assert gate.ended == ["c", "b", "d", "a"]


class GateWithALook(Gate):
    """Remembers what had ended when it was told to finish."""

    ended_at_finish: list[str] | None = None

    async def finish(self) -> None:
        self.ended_at_finish = list(self.ended)


async def test_finish_comes_after_the_last_handle():
    sender, inbox = open_channel("in", 10, str)
    gate = GateWithALook()
    async with Crew() as crew:
        crew.add(Source("ab").connect(outbox=sender))
        crew.add(gate.connect(inbox=inbox))
        await until(lambda: sender.stats().closed and len(gate.begun) == 2)
        await turns(20)
        assert gate.ended_at_finish is None
        gate.let_through.update("ab")
    assert gate.ended_at_finish in (["a", "b"], ["b", "a"])


async def test_stats_follow_the_life_of_an_actor():
    sender, inbox = open_channel("in", 10, str)
    outbox, receiver = open_channel("out", 1, str)
    diary = Diary()
    assert diary.stats() == ActorStats("diary", "new", 0, 0, None, 0, 0)
    async with Crew() as crew:
        crew.add(diary.connect(inbox=inbox, outbox=outbox))
        await until(lambda: diary.stats() == ActorStats("diary", "running", 0, 0, "receive", 0, 0))
        await sender.send("a", 1)
        await sender.send("b", 1)
        await until(lambda: diary.stats() == ActorStats("diary", "running", 1, 1, "emit", 1, 1))
        sender.close()
        assert await anext(receiver) == "A"
        await until(lambda: diary.stats() == ActorStats("diary", "finishing", 2, 0, "emit", 2, 2))
        assert await all_of(receiver) == ["B", "the end"]
    receiver.close()
    assert diary.stats() == ActorStats("diary", "done", 2, 0, None, 3, 9)


async def test_a_sink_that_emits_is_told_so():
    sender, inbox = open_channel("in", 10, str)
    with pytest.raises(UsageError, match="'diary' has no outbox"):
        await run(Source("a").connect(outbox=sender), Diary().connect(inbox=inbox))


@pytest.mark.parametrize(("has_inbox", "missing"), [(True, "handle"), (False, "produce")])
async def test_a_missing_method_is_named(has_inbox: bool, missing: str):
    sender, inbox = open_channel("in", 10, str)
    with inbox:
        with sender:
            await sender.send("a", 1)
        bare: Actor[str, str] = Actor("bare")
        with pytest.raises(NotImplementedError, match=rf"must define {missing}\(\)"):
            await run(bare.connect(inbox=inbox if has_inbox else None))


async def test_an_actor_runs_once():
    source = Source("")
    await run(source)
    with pytest.raises(UsageError, match="'source' has run already"):
        await run(source)


async def test_a_concurrency_below_one_is_refused():
    sender, inbox = open_channel("in", 10, str)
    sender.close()
    gate = Gate()
    gate.concurrency = 0
    with pytest.raises(UsageError, match="concurrency is 0"):
        await run(gate.connect(inbox=inbox))


class Clumsy(Diary):
    """Fails in one of its hooks."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        self.hook = hook

    def stumble(self, hook: str) -> None:
        self.pages.append(hook)
        if hook == self.hook:
            raise ValueError(hook)

    async def start(self) -> None:
        self.stumble("start")

    async def handle(self, item: str) -> None:
        self.stumble("handle")

    async def finish(self) -> None:
        self.stumble("finish")


@pytest.mark.parametrize(
    ("hook", "pages"),
    [
        ("start", ["start", "abort"]),
        ("handle", ["start", "handle", "abort"]),
        ("finish", ["start", "handle", "finish", "abort"]),
    ],
)
async def test_abort_comes_in_place_of_the_rest_when_a_hook_fails(hook: str, pages: list[str]):
    sender, inbox = open_channel("in", 10, str)
    clumsy = Clumsy(hook)
    with pytest.raises(ValueError, match=hook):
        await run(Source("a").connect(outbox=sender), clumsy.connect(inbox=inbox))
    assert clumsy.pages == pages
    assert clumsy.stats().state == "failed"
