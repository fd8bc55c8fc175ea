"""A race leaves one result, whoever is first, and whatever happens on the way."""

import asyncio

import pytest

from asyncmr.pipeline.racing import first_of


class Race:
    """Two runners, each of which gives its name when told to."""

    def __init__(self) -> None:
        self.go = {"first": asyncio.Event(), "rival": asyncio.Event()}
        self.discarded: list[str] = []
        self.cancelled: list[str] = []

    async def _run(self, name: str) -> str:
        try:
            await self.go[name].wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return name

    async def _discard(self, result: str) -> None:
        await asyncio.sleep(0)
        self.discarded.append(result)

    def start(self, rival=None) -> asyncio.Task[str]:
        runner = first_of(
            lambda: self._run("first"), rival or (lambda: self._run("rival")), self._discard, name="race"
        )
        return asyncio.ensure_future(runner)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("winner", "loser"), [("first", "rival"), ("rival", "first")])
async def test_the_loser_is_cancelled(winner, loser):
    race = Race()
    running = race.start()
    await turns()
    race.go[winner].set()
    assert await running == winner
    assert (race.cancelled, race.discarded) == ([loser], [])


async def test_when_both_succeed_in_the_same_turn_one_is_discarded():
    race = Race()
    running = race.start()
    await turns()
    race.go["first"].set()
    race.go["rival"].set()
    result = await running
    assert [result, *race.discarded] == ["first", "rival"]


async def test_a_result_that_comes_with_a_cancellation_is_discarded():
    race = Race()
    running = race.start()
    await turns()
    race.go["first"].set()
    await turns(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert race.discarded == ["first"]


async def test_a_rival_that_gives_up_leaves_the_first_alone():
    async def gives_up() -> None:
        return None

    race = Race()
    running = race.start(gives_up)
    await turns()
    race.go["first"].set()
    assert await running == "first"


async def test_whoever_fails_ends_the_race():
    async def fails() -> None:
        raise ValueError("no")

    race = Race()
    with pytest.raises(ValueError, match="no"):
        await race.start(fails)
    assert race.cancelled == ["first"]
