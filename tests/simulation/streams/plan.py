"""What a seed decides about a stream before anything runs: its job, its input, and the processes that run it."""

from __future__ import annotations

import operator
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import asyncmr
from asyncmr import Job
from asyncmr.pipeline.limits import Limits
from asyncmr.streaming import Windowing
from tests.family import Mean, letters, many_letters, offset, sizes, sums, tuples
from tests.simulation.faults import Weather
from tests.simulation.jobs import ALPHABET, CountsRecords
from tests.simulation.plan import engine_sizes, limits

RETRIES = 3
# The time of the first line, in milliseconds, and of the clock when the first process starts.
EPOCH = 1_700_000_000_000
TIMESTAMP = r"^(\d{13}) "

Ending = Literal["ends", "stops", "raises", "cancelled", "crashes"]


def offset_sizes(_key: object, record: str) -> list[tuple[int, int]]:
    return [(len(record) + asyncmr.context(), 1)]


JOBS = {
    "fold": Job(mapper=letters, fold=operator.add),
    "fold of another function": Job(mapper=letters, fold=max),
    "sum": Job(mapper=letters, aggregator=asyncmr.Sum()),
    "count": Job(mapper=tuples, aggregator=asyncmr.Count()),
    "mean": Job(mapper=letters, aggregator=Mean()),
    "setup": Job(mapper=offset_sizes, fold=operator.add, setup=offset),
    "columns": Job(mapper=many_letters, fold=operator.add),
    "partials": Job(mapper=sums, aggregator=asyncmr.Sum()),
}
ORDERED = {"fold that does not commute": Job(mapper=sizes, fold=operator.add)}
# Those whose results of some stretches of time add up to those of all of it.
ADDED = ("fold", "sum", "count", "setup", "columns", "partials")


@dataclass(frozen=True)
class Source:
    """The input of a feed: lines by partition, in an order that is kept, with positions; or batches by token."""

    name: str
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tokens: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Life:
    """A process that runs the stream, and how it ends: when its feeds do; or after so many seconds, or (moment, steps),
    as `Faults.at_moment` takes them, or (step of a commit, how often it is reached). `room`: what each keeper has
    for its tables; the rest of the keys are cold."""

    seed: str
    disorder: float
    grain: float
    sizes: Mapping[str, int]
    limits: Limits
    weather: Weather
    workers: int
    keepers: int
    room: int | None
    retries: int
    task_timeout: float | None
    interval: float
    durable: bool
    pace: float
    askers: int
    readers: int
    ending: Ending
    when: float | tuple[int, int] | tuple[str, int]


@dataclass(frozen=True)
class StreamPlan:
    """A stream. The last of its lives is in fair weather, and ends with its input. `kept`: its state outlives it.
    `sinks`: its changes are written to a file, too. `poison`: a line at which its mapper raises, which is left out."""

    seed: int
    name: str
    key_groups: int
    window: str
    sources: tuple[Source, ...]
    lives: tuple[Life, ...]
    kept: bool
    sinks: bool
    poison: str | None

    @cached_property
    def plain(self) -> Job:
        """The job as a user would write it."""
        return (JOBS | ORDERED)[self.name].replace(partitions=self.key_groups)

    @cached_property
    def job(self) -> Job:
        if self.poison is None:
            return self.plain
        return self.plain.replace(mapper=CountsRecords(self.plain.mapper, self.poison))

    @cached_property
    def windowing(self) -> Windowing:
        return Windowing.of(self.window)

    @property
    def by_lines(self) -> bool:
        """Whether lines say their time themselves, so that it is known what must come of which window."""
        return self.windowing.rule is not None

    @classmethod
    def of(cls, seed: int) -> StreamPlan:
        draw = random.Random(f"{seed} stream")
        name = draw.choice([*JOBS, *ORDERED])
        window = _window(draw, ordered=name in ORDERED)
        kept = draw.random() < 0.9
        sources = _sources(draw, ordered=name in ORDERED, timed=" event " in window)
        count = draw.choice([1, 1, 2, 2, 3, 4]) if kept else 0
        lives = tuple(
            _life(draw, f"{seed}/{number}", fair=number == count, kept=kept) for number in range(count + 1)
        )
        groups, sinks = draw.choice([1, 2, 5, 16]), kept and draw.random() < 0.4
        columns = name in ("columns", "partials")
        poison = None if columns else _poison(draw, sources)
        if poison is not None:
            lives = tuple(map(_survived, lives))
        return cls(seed, name, groups, window, sources, lives, kept, sinks, poison)


def _survived(life: Life) -> Life:
    """One of which every task is done at last: of one that is not, some line would be left out, and nobody could tell
    which."""
    weather = replace(life.weather, hangs=0.0, most_deaths=RETRIES)
    return replace(life, weather=weather, retries=RETRIES, task_timeout=None)


def _window(draw: random.Random, *, ordered: bool) -> str:
    kind = draw.choice(["none", "none", "processing", "event", "event"])
    if kind == "none" or (ordered and kind == "event"):
        return "none"
    if kind == "processing":
        return draw.choice(["100ms", "1s", "1s"] + ([] if ordered else ["1s/500ms", "4s/1s"])) + " retain all"
    size = draw.choice(["100ms", "1s", "3s/1s", "500ms/200ms"])
    late = draw.choice(["", " late 300ms", " late 5s"])
    idle = draw.choice(["", " idle 200ms"])
    retain = draw.choice([" retain all", " retain all", " retain 0s", " retain 1s", ""])
    final = draw.choice(["", "", " final"])
    return f"{size}{late}{idle}{retain}{final} event {TIMESTAMP}"


def _sources(draw: random.Random, *, ordered: bool, timed: bool) -> tuple[Source, ...]:
    found = []
    for number in range(1 if ordered else draw.choice([1, 1, 2, 3])):
        count = draw.choice([0, 1, 5, 20, 60])
        jitter = draw.choice([0, 200, 2000])
        lines = tuple(_line(draw, EPOCH + at * 50, jitter, timed=timed) for at in range(count))
        if ordered or draw.random() < 0.6:
            parts = 1 if ordered else draw.choice([1, 1, 2, 3])
            found.append(Source(f"feed {number}", {f"part {n}": lines[n::parts] for n in range(parts)}))
        else:
            each = draw.choice([1, 3, 7])
            tokens = {f"token {at}": lines[at : at + each] for at in range(0, count, each)}
            found.append(Source(f"feed {number}", tokens=tokens))
    return tuple(found)


def _poison(draw: random.Random, sources: tuple[Source, ...]) -> str | None:
    """A line at which the mapper raises."""
    lines = [
        line
        for source in sources
        for some in (*source.partitions.values(), *source.tokens.values())
        for line in some
    ]
    return draw.choice(lines) if lines and draw.random() < 0.2 else None


def _line(draw: random.Random, time: int, jitter: int, *, timed: bool) -> str:
    text = "".join(draw.choices(ALPHABET, k=draw.choice([0, 1, 3, 12, 30])))
    if not timed or draw.random() < 0.02:
        return text
    if draw.random() < 0.02:
        time += 10 * 86_400_000  # further ahead than is believed
    return f"{time + draw.randint(-jitter, jitter)} {text}"


def _life(draw: random.Random, seed: str, *, fair: bool, kept: bool) -> Life:
    weather = Weather() if fair and kept else Weather.drawn(draw)
    ending: Ending = (
        "ends"
        if fair
        else draw.choice(["ends", "stops", "stops", "raises", "cancelled", "crashes", "crashes"])
    )
    when: float | tuple[int, int] | tuple[str, int] = 10 ** draw.uniform(-3, 0.7)
    if ending in ("cancelled", "crashes") and draw.random() < 0.5:
        when = int(10 ** draw.uniform(0.3, 2.2)), draw.choice([0, 1, 1, 2, 5])
    if ending == "crashes" and draw.random() < 0.5:
        when = draw.choice(STEPS), draw.choice([1, 1, 2, 3, 5])
    timeout = draw.choice([1.0, 4.0]) if weather.hangs or draw.random() < 0.2 else None
    return Life(
        seed,
        disorder=draw.choice([0.0, 0.3, 1.0]),
        grain=draw.choice([0.0, 0.0, 0.001, 0.05]),
        sizes=engine_sizes(draw) | _sizes(draw),
        limits=limits(draw, small=False),
        weather=weather,
        workers=draw.choice([1, 2, 2, 3]),
        keepers=draw.choice([1, 1, 2, 3]),
        room=draw.choice([None, None, 300, 3000]),
        retries=draw.choice([0, 1, RETRIES, RETRIES]),
        task_timeout=timeout,
        interval=draw.choice([0.01, 0.2, 0.2, 1.0]),
        durable=draw.random() < 0.5,
        pace=draw.choice([0.0, 0.0, 0.05, 0.5]),
        askers=draw.choice([0, 1, 1, 3]),
        readers=draw.choice([0, 1, 1, 2]),
        ending=ending,
        when=when,
    )


STEPS = ("begin", "deltas", "positions", "tokens", "commit", "committed", "cold", "stays", "moved")


def _sizes(draw: random.Random) -> dict[str, int]:
    pipe = draw.choice([0, 60, 64 * 1024])
    return {
        "streaming.running._BATCHES": draw.choice([1, 100, 8 << 20]),
        "streaming.epochs.SPLIT_BYTES": draw.choice([1, 100, 1000, 4 << 20]),
        "streaming.epochs.EPOCH_BYTES": draw.choice([1, 300, 32 << 20]),
        "streaming.epochs.PIPE_BYTES": pipe,
        "streaming.keeper.PIPE_BYTES": pipe,
        "streaming.block_table._LEAST_DELTAS": draw.choice([0, 100, 1000, 64 << 10]),
        "streaming.block_table._SNAPSHOTS": draw.choice([1, 8]),
        "streaming.updates._WAITING": draw.choice([1, 100, 8 << 20]),
        "streaming.updates._CHANGES": draw.choice([1, 8192]),
        "streaming.sinks.json_lines_file._WRITE": draw.choice([1, 100, 1 << 20]),
        "streaming.cold_table._SWEPT": draw.choice([1, 5000]),
        "streaming.cold_rows.ROWS": draw.choice([1, 7, 4096]),
        "kernel.state._TIDIED": draw.choice([1, 10, 100_000]),
        "kernel.state._RESULTS": draw.choice([1, 3, 2048]),
    }
