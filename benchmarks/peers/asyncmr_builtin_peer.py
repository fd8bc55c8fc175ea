"""asyncmr's ready-made jobs."""

from __future__ import annotations

from asyncmr import jobs
from benchmarks.peers.asyncmr_classic_peer import runner
from benchmarks.peers.task import Peer

PEER = Peer(
    "**asyncmr**, ready-made job",
    {"W1": runner(lambda _work: jobs.wordcount), "W4": runner(lambda _work: jobs.sort)},
)
