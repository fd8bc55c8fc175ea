"""Where a simulated stream has its lines from: what is there outlives its processes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

from asyncmr.streaming.feed import Batch, Surroundings
from tests.simulation.faults import Faults
from tests.simulation.streams.plan import Life, Source
from tests.simulation.streams.witness import BELIEVED, Witness, time_of


class Given:
    """What the stream has taken of all feeds: what is to be committed when it is left in peace. `heard`: the batches
    whose clients were told that they are durable."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, str], int] = {}
        self.tokens: set[tuple[str, str]] = set()
        self.heard: set[tuple[str, str]] = set()


class SimulatedFeed:
    """A source, as one process reads it: cut into other batches each time, with pauses, and errors that pass."""

    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(
        self, source: Source, life: Life, witness: Witness, given: Given, faults: Faults, broken: list[str]
    ) -> None:
        self.name = source.name
        self._source = source
        self._life = life
        self._witness = witness
        self._given = given
        self._broken = broken
        self._faults = faults
        self._draw = random.Random(f"{life.seed} {source.name}")
        self._failures = 1 if self._draw.random() < 0.1 and life.ending != "ends" else 0

    async def batches(
        self, positions: Mapping[str, Any], around: Surroundings
    ) -> AsyncGenerator[Batch, None]:
        draw = self._draw
        of = self._lines(positions, around) if self._source.partitions else self._tokens(around)
        async for batch in of:
            if self._failures and draw.random() < 0.2:
                self._failures -= 1
                self._faults.counts["feed error"] += 1
                raise ConnectionError("the broker has gone for a moment")
            for line in batch.data.decode().split("\n"):
                time = time_of(line)
                if time is not None and time < BELIEVED:
                    self._witness.latest = max(self._witness.latest, time)
            yield batch
            if batch.position is not None:
                self._given.positions[self.name, batch.partition] = batch.position
            if batch.token is not None:
                self._given.tokens.add((self.name, batch.token))
            if self._life.pace and draw.random() < 0.5:
                await around.clock.sleep(draw.uniform(0, self._life.pace))
        if self._life.ending in ("stops", "raises"):
            await asyncio.Event().wait()

    async def _lines(self, positions: Mapping[str, int], around: Surroundings) -> AsyncGenerator[Batch, None]:
        draw, at = self._draw, dict(positions)
        while left := [
            name for name, lines in self._source.partitions.items() if at.get(name, 0) < len(lines)
        ]:
            name = draw.choice(left)
            before = at.get(name, 0)
            some = self._source.partitions[name][before : before + draw.choice([0, 1, 1, 2, 5, 20])]
            at[name] = before + len(some)
            durable = asyncio.Event()
            yield Batch(
                _data(some, draw),
                name,
                at[name],
                around.clock.time(),
                committed=self._tells(name, at[name], durable),
            )
            if draw.random() < 0.2:
                await durable.wait()

    async def _tokens(self, around: Surroundings) -> AsyncGenerator[Batch, None]:
        """What no client knows to be durable, and now and then what one does."""
        draw = self._draw
        sent = [
            token
            for token in self._source.tokens
            if (self.name, token) not in self._given.heard or draw.random() < 0.3
        ]
        sent += draw.sample(sent, len(sent) // 3)
        draw.shuffle(sent)
        for token in sent:
            durable = asyncio.Event()
            yield Batch(
                _data(self._source.tokens[token], draw),
                draw.choice(["", "client"]),
                None,
                around.clock.time(),
                token=token,
                committed=self._tells(token, None, durable),
            )
            if draw.random() < 0.1:
                await durable.wait()

    def _tells(self, name: str, position: int | None, durable: asyncio.Event) -> Any:
        """What is called when a batch is said to be durable, and looks whether it is."""

        def tell() -> None:
            known, place = self._witness.last, (self.name, name)
            if position is None:
                self._given.heard.add(place)
            if place not in known.tokens if position is None else known.positions.get(place, 0) < position:
                self._broken.append(
                    f"{place} was said to be durable up to {position}, and committed is {known}"
                )
            durable.set()

        return tell


def _data(lines: tuple[str, ...], draw: random.Random) -> bytes:
    data = "".join(f"{line}\n" for line in lines).encode()
    # The last line may come without its end.
    return data[:-1] if len(data) > 1 and lines[-1] and draw.random() < 0.1 else data
