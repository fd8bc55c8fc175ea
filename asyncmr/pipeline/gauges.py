"""Reads off a running job how it is. Made at the first look, and read at each: the job itself notes nothing for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from time import perf_counter

from asyncmr.actors import CrewStats
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.pace import Pace
from asyncmr.pipeline.resources import Resources
from asyncmr.progress import JobState, Progress, QueueProgress, StageProgress
from asyncmr.storage.epochs import EpochLog
from asyncmr.workers import Account


class Tally:
    """The figures of a stage's committed tasks. Each epoch is added once, however often somebody looks."""

    def __init__(self, log: EpochLog) -> None:
        self._log = log
        self._begin()

    def _begin(self) -> None:
        self._forgotten = self._log.forgotten
        self._added: dict[str, int] = {}
        self._totals: dict[str, dict[str, int]] = {}

    def of(self, stage: str) -> dict[str, int]:
        return self._totals.get(stage, {})

    def update(self) -> None:
        """Adds what was committed since the last time."""
        if self._forgotten != self._log.forgotten:
            self._begin()
        for stage, epochs in self._log.by_stage().items():
            for epoch in islice(epochs, self._added.get(stage, 0), None):
                for name, facts in ((stage, epoch.facts), *epoch.beside.items()):
                    totals = self._totals.setdefault(name, {})
                    for fact, amount in facts.items():
                        totals[fact] = totals.get(fact, 0) + amount
            self._added[stage] = len(epochs)


class Gauges:
    """Those of one job."""

    def __init__(self, ledger: Ledger, log: EpochLog, resources: Resources, account: Account) -> None:
        self._ledger = ledger
        self._log = log
        self._resources = resources
        self._account = account
        self._tally = Tally(log)
        self._paces: dict[str, Pace] = {}

    def read(
        self,
        state: JobState,
        seconds: float,
        under_way: Iterable[tuple[str, bool, int]],
        crew: CrewStats | None,
    ) -> Progress:
        """The job now.

        `under_way`: of each task that is not finished its stage, whether it has a worker, and how often it was tried
        again. `crew`: the actors and channels of the step that runs, if it has any.
        """
        self._tally.update()
        pool, store = self._resources.pool.stats(), self._resources.store.stats()
        budget = self._resources.memory.stats()
        return Progress(
            job=self._ledger.job,
            state=state,
            seconds=seconds,
            stages=tuple(self._stages(list(under_way))),
            queues=() if crew is None else tuple(_queues(crew)),
            workers=pool.workers,
            workers_busy=pool.busy,
            workers_used=self._account.running,
            memory=self._resources.memory.held,
            memory_held=budget.held,
            memory_total=budget.total,
            disk=store.disk_bytes,
            bytes_spilled=store.spilled_bytes_total,
        )

    def _stages(self, under_way: list[tuple[str, bool, int]]) -> Iterator[StageProgress]:
        now = perf_counter()
        begun = dict.fromkeys([*self._ledger.stages, *(stage for stage, _, _ in under_way)])
        for name in begun:
            tasks = [(has_worker, retries) for stage, has_worker, retries in under_way if stage == name]
            how_far = self._ledger.how_far(name)
            if how_far is None:
                if not tasks and (self._ledger.begun(name) is None or not self._log.committed(name)):
                    continue  # other stages' tasks did it, or an earlier run of the job, and its turn is still to come
                how_far = (self._log.committed(name), None, "tasks")
            done, total, unit = how_far
            pace = self._paces.get(name)
            if pace is None:
                pace = self._paces[name] = Pace(self._ledger.begun(name) or now)
            rate = pace.rate(now, done)
            facts = self._tally.of(name)
            yield StageProgress(
                name,
                done,
                total,
                unit,
                rate=None if done == total else rate,
                bytes=facts.get("bytes_in", 0),
                tasks=facts.get("tasks", 0),
                running=sum(has_worker for has_worker, _ in tasks),
                waiting=sum(not has_worker for has_worker, _ in tasks),
                retries=facts.get("retries", 0) + sum(retries for _, retries in tasks),
                skipped=facts.get("skipped", 0),
            )


def _queues(crew: CrewStats) -> Iterator[QueueProgress]:
    for channel in crew.channels:
        yield QueueProgress(channel.name, channel.items, channel.capacity, channel.waiting_senders)
