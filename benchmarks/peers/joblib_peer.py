"""joblib on loky, its process pool. Shuffling is left to its user."""

from __future__ import annotations

from benchmarks.peers.handmade import Plan, counted, halves, run_map, run_reduce, summed
from benchmarks.peers.task import Peer, Task, every


def run(task: Task) -> None:
    from joblib import Parallel, delayed

    plan = Plan.of(task)
    with Parallel(n_jobs=task.workers) as parallel:
        parallel(delayed(run_map)(plan, index) for index in range(len(plan.stretches)))
        parallel(delayed(run_reduce)(plan, partition) for partition in range(plan.partitions))


def small(task: Task) -> None:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=task.workers) as parallel:
        task.repeat(
            lambda lines: summed(parallel(delayed(counted)(half) for half in halves(lines, task.workers)))
        )


PEER = Peer("joblib (loky)", {**every(run, ("W1", "W2", "W3", "W4", "W5")), "W6": small}, modules=("joblib",))
