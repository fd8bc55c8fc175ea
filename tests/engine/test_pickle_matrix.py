"""Keys, values, results and functions that crash, exit or raise while they are pickled, unpickled or at work.

All of it happens in workers. What a caller asks to have as objects, or hands over, is unpickled or pickled in his own
process: there it may raise.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

import asyncmr
from asyncmr import Engine, Job, UsageError, UserCodeError, WorkerDied
from tests.engine.at_rest import is_at_rest
from tests.engine.word_count import COUNT, STAGED, WORDS, source

ACTIONS = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(3),
    "raise": lambda: {"": 1}["on purpose"],
}
OUTCOMES: dict[str, tuple[Any, str]] = {
    "crash": (WorkerDied, "SIGSEGV"),
    "exit": (WorkerDied, r"os\._exit\(3\)"),
    "raise": (UserCodeError, "on purpose"),
}


class Trap(str):
    """A string, good as a key as well, that acts when it is pickled or when it is unpickled."""

    action: str
    place: str

    def __new__(cls, action, place):
        trap = super().__new__(cls, f"{action} when {place}")
        trap.action, trap.place = action, place
        return trap

    def __reduce__(self):
        if self.place == "pickling":
            ACTIONS[self.action]()
        return spring, (self.action, self.place)


def spring(action, place):
    ACTIONS[action]()


def with_key(action, place):
    return Job(mapper=lambda _, n: [(Trap(action, place), n)], reducer=lambda key, values: [(1, 1)])


def with_value(action, place):
    return Job(
        mapper=lambda _, n: [(1, Trap(action, place))], reducer=lambda key, values: [(1, len(list(values)))]
    )


def with_result(action, place):
    return Job(mapper=lambda _, n: [(n, 1)], reducer=lambda key, values: [(1, Trap(action, place))])


def with_mapper(action, place):
    return Job(mapper=Mapper(action, place))


def at_work(action, place):
    def act(*_arguments):
        ACTIONS[action]()

    return Job(mapper=act) if place == "mapping" else Job(mapper=lambda _, n: [(n, 1)], reducer=act)


class Mapper:
    def __init__(self, action, place):
        self.trap = Trap(action, place)

    def __call__(self, key, record):
        yield record, 1


CASES = [
    (with_key, "pickling", "map"),
    (with_key, "unpickling", "reduce"),
    (with_value, "pickling", "map"),
    (with_value, "unpickling", "reduce"),
    (with_result, "pickling", "reduce"),
    (with_mapper, "unpickling", "map"),
    (at_work, "mapping", "map"),
    (at_work, "reducing", "reduce"),
]


@pytest.mark.parametrize(("job_of", "place", "stage"), CASES)
async def test_it_costs_the_job_and_nothing_else(job_of, place, stage):
    await costs_its_job(job_of, place, stage, STAGED)


@pytest.mark.parametrize(("job_of", "place", "_stage"), CASES[4:])
async def test_so_in_a_small_job_where_no_key_or_value_is_pickled_in_between(job_of, place, _stage):
    await costs_its_job(job_of, place, "map", None)  # its one task


async def costs_its_job(job_of, place, stage, limits):
    async with Engine(workers=2, retries=0, limits=limits) as engine:
        for action, (kind, text) in OUTCOMES.items():
            job = job_of(action, place).replace(name="matrix")
            async with asyncio.timeout(20):
                with pytest.raises(kind, match=f"(?s)job 'matrix'.*{text}") as caught:
                    await engine.collect(job, asyncmr.records([1, 2], records_per_task=1 if limits else None))
            if limits or kind is WorkerDied:
                assert caught.value.stage == stage
            await is_at_rest(engine)
        assert dict(await engine.collect(COUNT, source())) == WORDS


async def test_a_function_that_cannot_be_pickled_is_refused_before_anything_runs():
    async with Engine(workers=1) as engine:
        with pytest.raises(UsageError, match=r"cannot be pickled: KeyError: 'on purpose'"):
            await engine.collect(with_mapper("raise", "pickling"), source())
        assert dict(await engine.collect(COUNT, source())) == WORDS


async def test_a_result_that_cannot_be_unpickled_is_an_error_of_whoever_wants_it_as_an_object(tmp_path):
    async with Engine(workers=1) as engine:
        job = with_result("raise", "unpickling")
        with pytest.raises(KeyError, match="on purpose"):
            await engine.collect(job, source([1]))
        await engine.run(job, source([1]), tmp_path / "out")
        assert (tmp_path / "out" / "part-00000").read_text() == "1\traise when unpickling\n"
        assert dict(await engine.collect(COUNT, source())) == WORDS
