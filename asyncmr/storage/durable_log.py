"""The commit path of a job that can be resumed: epochs in a journal, and those of earlier runs of the job.

`save` brings an epoch to the journal, and only then `commit` makes it visible. What the epoch made was made safe
before: whoever saves says where it is, in plain JSON data. At the next start `load` counts what was committed, and
`saved` gives back epoch after epoch, as the job comes to their tasks.
"""

from __future__ import annotations

from typing import Any

from asyncmr.storage.disk import Disk
from asyncmr.storage.epochs import Epoch, EpochLog
from asyncmr.storage.journal import Journal


class DurableLog(EpochLog):
    """An epoch log that outlives its process."""

    def __init__(self, journal: Journal, disk: Disk) -> None:
        super().__init__()
        self._journal = journal
        self._disk = disk
        self._earlier: set[tuple[str, int]] = set()

    async def load(self) -> None:
        """Counts every epoch that the journal has, and deletes the files that none of them needs."""
        await self._disk.run(self._load)

    def _load(self) -> None:
        files: set[str] = set()
        for stage, task, record in self._journal.epochs():
            if record["facts"]:
                self.commit(_epoch(stage, task, record))
            self._earlier.add((stage, task))
            files.update(record["files"])
        self._journal.folder.keep_only(files)

    async def save(self, epoch: Epoch, made: Any = None) -> bool:
        record = {
            "attempt": epoch.attempt,
            "counts": [[*name, amount] for name, amount in epoch.counts.items()],
            "facts": dict(epoch.facts),
            "beside": {stage: dict(facts) for stage, facts in epoch.beside.items()},
            "answer": dict(epoch.answer),
            "files": sorted(_files(made)),
            "made": made,
        }
        return await self._disk.run(self._journal.insert, epoch.stage, epoch.task, record)

    async def saved(self, stage: str, task: int) -> tuple[Epoch, Any] | None:
        """The epoch that an earlier run of the job committed for this task, and where that lies which it made."""
        if (stage, task) not in self._earlier:
            return None
        record = await self._disk.run(self._journal.find, stage, task)
        if record is None:
            await self.drop(stage, task)
            return None
        return _epoch(stage, task, record), record["made"]

    async def drop(self, stage: str, task: int) -> None:
        """What the epoch made is damaged: it does not count, and its task can be committed again."""
        await self._disk.run(self._journal.delete, stage, task)
        self._earlier.discard((stage, task))
        self.forget(stage, task)


def _epoch(stage: str, task: int, record: dict[str, Any]) -> Epoch:
    return Epoch(
        stage,
        task,
        record["attempt"],
        counts={(group, name): amount for group, name, amount in record["counts"]},
        facts={**record["facts"], "resumed": record["facts"].get("tasks", 0)},
        beside={
            name: {**facts, "resumed": facts.get("tasks", 0)} for name, facts in record["beside"].items()
        },
        answer=record["answer"],
    )


def _files(made: Any) -> set[str]:
    """The files of blocks named anywhere in what says where things lie."""
    if isinstance(made, dict):
        found = {made["file"]} if "file" in made else set[str]()
        return found.union(*map(_files, made.values()))
    if isinstance(made, list):
        return set[str]().union(*map(_files, made))
    return set()
