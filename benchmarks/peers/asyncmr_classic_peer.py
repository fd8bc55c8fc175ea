"""asyncmr through the user functions, with combiner and reducer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncmr
from asyncmr import Engine, Job
from benchmarks import limited
from benchmarks.peers.task import Peer, Refused, Task, every
from benchmarks.workloads import WORKLOADS


class Mapper:
    """A workload's `mapper(line)` as `mapper(key, value)`."""

    def __init__(self, work: str) -> None:
        self._function = WORKLOADS[work].mapper

    def __call__(self, _key: object, line: str) -> Any:
        return self._function(line)


class Combiner:
    """A workload's `combine(values)` in the form that yields pairs."""

    def __init__(self, work: str) -> None:
        self._function = WORKLOADS[work].combine

    def __call__(self, key: str, values: Iterator[Any]) -> Iterator[tuple[str, Any]]:
        assert self._function is not None
        yield key, self._function(values)


class Reducer:
    """A workload's `reduce(values)`, giving what the line of output shows."""

    def __init__(self, work: str) -> None:
        self._function, self._show = WORKLOADS[work].reduce, WORKLOADS[work].show

    def __call__(self, key: str, values: Iterator[Any]) -> Iterator[tuple[str, str]]:
        yield key, self._show(self._function(values))


def classic(work: str) -> Job:
    if work == "W4":
        return limited_job("sort")
    combiner = Combiner(work) if WORKLOADS[work].combine else None
    return Job(mapper=Mapper(work), combiner=combiner, reducer=Reducer(work))


def runner(make: Callable[[str], Job]) -> Callable[[Task], None]:
    """Runs the job that `make` gives for a piece of work, on an engine of its own."""

    async def run(task: Task) -> None:
        job = make(task.work)
        try:
            engine = Engine(workers=task.workers, memory=task.memory, spill_dir=task.scratch)
        except asyncmr.MemoryBudgetError as error:
            raise Refused(str(error)) from error
        task.begins()
        async with engine:
            report = await engine.run(job, task.inputs, task.output)
        task.notes["report"] = report.as_dict()

    return lambda task: asyncio.run(run(task))


def limited_job(name: str) -> Job:
    """A job of the memory study."""
    job: Job = getattr(limited, name)
    return job


def small(task: Task) -> None:
    job = Job(mapper=Mapper("W6"), combiner=Combiner("W6"), reducer=Combiner("W6"))
    with asyncio.Runner() as runner:
        engine = runner.run(_opened(task.workers))

        async def count(lines: list[str]) -> dict[str, int]:
            return dict(await engine.collect(job, asyncmr.records(lines)))

        try:
            task.repeat(lambda lines: runner.run(count(lines)))
        finally:
            runner.run(engine.__aexit__(None, None, None))


async def _opened(workers: int) -> Engine:
    return await Engine(workers=workers).__aenter__()


PEER = Peer(
    "**asyncmr**, combiner and reducer",
    {
        **every(runner(classic), ("W1", "W2", "W3", "W4", "W5")),
        "W6": small,
        **every(runner(limited_job), limited.CORPORA),
    },
)
