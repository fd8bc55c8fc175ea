"""The commit path: what a task attempt did becomes visible whole, or not at all.

An epoch is all that one attempt of a task adds to the job: which attempt it was, what it counted, and its
facts (records in, pairs out, bytes). Attempts may run twice: after a crash, after a timeout, or because
a slow one was given a rival. The first to commit is the task; a later one is a duplicate, and whatever it
made is dropped by whoever asked. Nothing else decides whether work counts.

This log lives in memory, for work that need not outlive its process. `commit` runs in one step between
awaits, so no reader sees half an epoch. `DurableLog` is the same with a journal, to which `save` brings an epoch first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Counts = dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one attempt of one task did.

    `stage`, `task`: which task of the job. `attempt`: which try at it, for the record. `counts`: the user's
    counters, by (group, name). `facts`: the engine's own numbers, which add up over a stage; `beside`: those of other
    stages, some of whose work this task did. `answer`: what the job needs to know of the task to go on.
    """

    stage: str
    task: int
    attempt: int
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    facts: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)


class EpochLog:
    """The epochs of a job that were committed. Belongs to one event loop."""

    def __init__(self) -> None:
        self._stages: dict[str, dict[int, Epoch]] = {}
        self.forgotten = 0

    async def save(self, epoch: Epoch, made: Any = None) -> bool:
        """Before `commit`: makes sure that the epoch outlives the process, where that is asked for.

        made: where that lies which the attempt made, as plain JSON data.

        Returns False for a duplicate, which must not be committed.
        """
        return True

    def commit(self, epoch: Epoch) -> bool:
        """Makes `epoch` visible, if it is the first of its task.

        Returns False for a duplicate: the task is done already, nothing was changed, and the caller must drop
        the blocks of this attempt. The mappings of a committed epoch must not be changed any more.
        """
        tasks = self._stages.setdefault(epoch.stage, {})
        if epoch.task in tasks:
            return False
        tasks[epoch.task] = epoch
        return True

    def committed(self, stage: str) -> int:
        """How many tasks of the stage are done."""
        return len(self._stages.get(stage, ()))

    def epochs(self, stage: str) -> Iterator[Epoch]:
        """The stage's committed epochs, in the order of their tasks."""
        tasks = self._stages.get(stage, {})
        return (tasks[task] for task in sorted(tasks))

    def by_stage(self) -> dict[str, Collection[Epoch]]:
        """All committed epochs, each stage's in the order of their commits.

        Since the last time new ones came at the end, and none went, unless `forgotten` has grown.
        """
        return {stage: tasks.values() for stage, tasks in self._stages.items()}

    def counters(self) -> Counts:
        """The user's counters, summed over every committed epoch of every stage."""
        totals: Counts = {}
        for tasks in self._stages.values():
            for epoch in tasks.values():
                for counter, amount in epoch.counts.items():
                    totals[counter] = totals.get(counter, 0) + amount
        return totals

    def facts(self, stage: str) -> dict[str, int]:
        """The engine's numbers, summed over the stage's committed epochs."""
        return self.totals().get(stage, {})

    def totals(self) -> dict[str, dict[str, int]]:
        """The engine's numbers of each stage, summed over all committed epochs that tell of it."""
        totals: dict[str, dict[str, int]] = {}
        for stage, tasks in self._stages.items():
            for epoch in tasks.values():
                _add(totals, stage, epoch.facts)
                for other, facts in epoch.beside.items():
                    _add(totals, other, facts)
        return totals

    def stages(self) -> list[str]:
        """The stages that committed epochs tell of, each before those beside it."""
        names: dict[str, None] = {}
        for stage, tasks in self._stages.items():
            names[stage] = None
            for epoch in tasks.values():
                names |= dict.fromkeys(epoch.beside)
        return list(names)

    def forget(self, stage: str, task: int) -> None:
        """Takes a committed epoch back."""
        self._stages.get(stage, {}).pop(task, None)
        self.forgotten += 1


def _add(totals: dict[str, dict[str, int]], stage: str, facts: Mapping[str, int]) -> None:
    total = totals.get(stage)
    if total is None:
        totals[stage] = dict(facts)
        return
    for fact, amount in facts.items():
        total[fact] = total.get(fact, 0) + amount
