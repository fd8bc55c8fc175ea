"""Jobs that wait at a gate in their worker until the test opens it, so that the test can look at them meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import asyncmr
from asyncmr import Job
from tests.family import total
from tests.workers.talking import until


class Gate:
    """A folder that functions of a job can wait at, from whichever process they run in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = str(folder)

    def wait(self) -> None:
        """In a worker: says that it is here, and waits until the gate is open."""
        Path(self._folder, f"waits-{os.getpid()}").touch()
        while not Path(self._folder, "open").exists():
            time.sleep(0.002)

    def open(self) -> None:
        Path(self._folder, "open").touch()

    async def reached(self, workers: int = 1) -> None:
        """Waits until so many workers have come to the gate."""
        await until(lambda: len(list(Path(self._folder).glob("waits-*"))) >= workers, 30)

    def job(self, behind: int = 2) -> Job:
        """Counts rests of numbers by 4; records from `behind` on are held up at the gate."""

        def mapper(_key, number):
            if number >= behind:
                self.wait()
            yield number % 4, 1

        return Job(mapper=mapper, reducer=total, name="gated")


def numbers(records: int = 8) -> asyncmr.Source:
    """The records, two in each task."""
    return asyncmr.records(range(records), records_per_task=2)
