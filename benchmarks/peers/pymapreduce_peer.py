"""pymapreduce-core: remote tasks on a local head node. It has no shuffle, so the map and reduce tasks are by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.peers.handmade import Plan, counted, halves, run_map, run_reduce, summed
from benchmarks.peers.task import Peer, Task, every


async def _connected(workers: int) -> Any:
    import pymapreduce

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    head = await pymapreduce.init(address)
    return head, await pymapreduce.connect_worker(address, cpus=workers)


def _remote(function: Callable[..., Any]) -> Any:
    import pymapreduce

    return pymapreduce.remote(function)


async def _all(submissions: Iterable[Any]) -> list[Any]:
    """The results of remote calls. A submission returns when its task is done, so they are awaited together."""
    references = await asyncio.gather(*submissions)
    return await asyncio.gather(*(reference.get() for reference in references))


def run(task: Task) -> None:
    async def work() -> None:
        plan = Plan.of(task)
        _, worker = await _connected(task.workers)
        map_task, reduce_task = _remote(run_map), _remote(run_reduce)
        await _all(map_task.remote(plan, index) for index in range(len(plan.stretches)))
        await _all(reduce_task.remote(plan, partition) for partition in range(plan.partitions))
        await worker.disconnect(graceful=True)

    asyncio.run(work())
    task.notes["leave"] = True


def small(task: Task) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_connected(task.workers))
    count = _remote(counted)

    async def call(lines: list[str]) -> dict[str, int]:
        return summed(await _all(count.remote(half) for half in halves(lines, task.workers)))

    task.repeat(lambda lines: loop.run_until_complete(call(lines)))
    task.notes["leave"] = True


PEER = Peer(
    "pymapreduce-core",
    {**every(run, ("W1", "W2", "W3", "W4", "W5")), "W6": small},
    modules=("pymapreduce",),
)
