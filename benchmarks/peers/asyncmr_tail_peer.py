"""asyncmr's stream over files, its ready-made job."""

from __future__ import annotations

from asyncmr import jobs
from asyncmr.streaming.feeds import TailFeed
from benchmarks.peers.streamed import count
from benchmarks.peers.task import Peer, Task


def run(task: Task) -> None:
    count(task, jobs.wordcount, [TailFeed(path) for path in task.inputs])


PEER = Peer("**asyncmr** stream of files, durable", {"W8": run}, modules=("uvloop",))
