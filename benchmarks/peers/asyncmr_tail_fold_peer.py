"""asyncmr's stream over files, through a user function record by record."""

from __future__ import annotations

import operator
from collections.abc import Iterator

from asyncmr import Job
from asyncmr.streaming.feeds import TailFeed
from benchmarks.functions import words
from benchmarks.peers.streamed import count
from benchmarks.peers.task import Peer, Task


def mapper(_key: object, line: str) -> Iterator[tuple[str, int]]:
    return words(line)


def run(task: Task) -> None:
    count(task, Job(mapper=mapper, fold=operator.add), [TailFeed(path) for path in task.inputs])


PEER = Peer("**asyncmr** the same, with `fold`", {"W8": run}, modules=("uvloop",))
