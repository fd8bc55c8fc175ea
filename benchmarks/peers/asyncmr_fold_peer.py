"""asyncmr with `fold`, an associative function of two values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asyncmr import Job
from benchmarks.peers.asyncmr_classic_peer import Mapper, runner
from benchmarks.peers.task import Peer, every
from benchmarks.workloads import WORKLOADS


class Show:
    """A mapper behind the fold: the folded value as the line of output shows it."""

    def __init__(self, work: str) -> None:
        self._show = WORKLOADS[work].show

    def __call__(self, key: str, folded: Any) -> Iterator[tuple[str, str]]:
        yield key, self._show(folded)


def folding(work: str) -> Job:
    job = Job(mapper=Mapper(work), fold=WORKLOADS[work].fold)
    return job if WORKLOADS[work].show is str else job.then(Job(mapper=Show(work)))


PEER = Peer("**asyncmr**, fold", every(runner(folding), ("W1", "W3", "W5")))
