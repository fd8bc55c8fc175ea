"""asyncmr's ready-made jobs."""

from __future__ import annotations

from asyncmr import Job, jobs
from benchmarks.peers.asyncmr_classic_peer import runner
from benchmarks.peers.task import Peer, Unsupported

_NAMES = {"W1": "wordcount", "W4": "sort"}


def builtin(work: str) -> Job:
    job: Job | None = getattr(jobs, _NAMES[work], None)
    if job is None:
        raise Unsupported(f"this asyncmr has no asyncmr.jobs:{_NAMES[work]}")
    return job


run = runner(builtin)
PEER = Peer("**asyncmr**, ready-made job", {"W1": run, "W4": run})
