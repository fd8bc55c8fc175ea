"""A ProcessPoolExecutor by hand, through the user functions as they are: the fair goal for an engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from benchmarks.peers.handmade import Plan, counted, halves, run_map, run_reduce, summed
from benchmarks.peers.task import Peer, Task, every


def run(task: Task) -> None:
    run_on_pool(task, run_map, run_reduce)


def run_on_pool(
    task: Task,
    map_task: Callable[[Plan, int], None],
    reduce_task: Callable[[Plan, int], None],
    initializer: Callable[[], None] | None = None,
) -> None:
    plan = Plan.of(task)
    task.begins()
    with ProcessPoolExecutor(task.workers, initializer=initializer) as pool:
        for function, number in ((map_task, len(plan.stretches)), (reduce_task, plan.partitions)):
            for done in [pool.submit(function, plan, index) for index in range(number)]:
                done.result()


def small(task: Task) -> None:
    with ProcessPoolExecutor(task.workers) as pool:
        task.repeat(lambda lines: summed(pool.map(counted, halves(lines, task.workers))))


PEER = Peer("process pool by hand", {**every(run, ("W1", "W2", "W3", "W4", "W5")), "W6": small})
