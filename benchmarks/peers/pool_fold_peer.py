"""The process pool by hand with the fold in its loop and the cyclic collector off: as fast as its like gets."""

from __future__ import annotations

import gc

from benchmarks.peers.handmade import run_fold_map, run_fold_reduce
from benchmarks.peers.pool_classic_peer import run_on_pool
from benchmarks.peers.task import Peer, Task, every


def run(task: Task) -> None:
    run_on_pool(task, run_fold_map, run_fold_reduce, gc.disable)


PEER = Peer("process pool by hand, fold in the loop", every(run, ("W1", "W3", "W5")))
