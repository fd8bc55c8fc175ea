"""Ray tasks: a map task gives one object for each reduce task; objects move through Ray's store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from benchmarks.peers.handmade import Plan, counted, grouped, halves, ranged, scattered, summed, write_reduced
from benchmarks.peers.task import Peer, Task, every

_STORE = 2_000_000_000


def _start(task: Task) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=task.workers,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        object_store_memory=_STORE,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
    )
    return ray


def map_task(plan: Plan, index: int) -> Any:
    lines = plan.stretches[index].lines()
    if plan.workload.ordered:
        parts: list[Any] = list(ranged(plan, lines))
    else:
        parts = list(scattered(grouped(plan.workload, lines), plan.partitions))
    return parts if plan.partitions > 1 else parts[0]


def reduce_task(plan: Plan, partition: int, *pieces: Any) -> None:
    write_reduced(plan, partition, pieces)


def sum_task(*tables: Any) -> dict[str, int]:
    return summed(tables)


def _remote(ray: Any, function: Callable[..., Any]) -> Any:
    return ray.remote(function)


def run(task: Task) -> None:
    plan = Plan.of(task)
    ray = _start(task)
    mapping = _remote(ray, map_task).options(num_returns=plan.partitions)
    made = [mapping.remote(plan, index) for index in range(len(plan.stretches))]
    columns = [[one] if plan.partitions == 1 else one for one in made]
    reducing = _remote(ray, reduce_task)
    ray.get(
        [
            reducing.remote(plan, partition, *(column[partition] for column in columns))
            for partition in range(plan.partitions)
        ]
    )
    ray.shutdown()


def small(task: Task) -> None:
    ray = _start(task)
    count, add = _remote(ray, counted), _remote(ray, sum_task)
    task.repeat(
        lambda lines: ray.get(add.remote(*(count.remote(half) for half in halves(lines, task.workers))))
    )
    ray.shutdown()


PEER = Peer("Ray tasks", {**every(run, ("W1", "W2", "W3", "W4", "W5")), "W6": small}, modules=("ray",))
