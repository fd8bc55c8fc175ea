"""Functions that want more memory than there is: an error that says so, and an engine that goes on."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import asyncmr
from asyncmr import Engine, Job, MapperError, ReducerError
from tests.engine.faulty import STAGED
from tests.engine.memory_cgroup import memory_cgroup

MIB = 1 << 20


def limited(record):
    """Takes a lot where this worker's address space may hardly grow any more."""
    import resource

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + 64 * MIB, before[1]))
    try:
        return [bytes(16 * MIB) for _ in range(record)]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("executor_limits", [STAGED, None], ids=["staged", "small"])
@pytest.mark.parametrize("stage", ["map", "reduce"])
async def test_a_function_that_gets_no_memory_fails_its_job_alone(executor_limits, stage):
    job = Job(
        mapper=lambda _, n: [(n, len(limited(n) if stage == "map" else ""))],
        reducer=lambda key, values: [(key, len(limited(key) if stage == "reduce" else ""))],
        name="greedy",
    )
    async with Engine(workers=1, limits=executor_limits) as engine:
        with pytest.raises((MapperError, ReducerError), match=rf"greedy.*{stage}.*MemoryError") as caught:
            await engine.collect(job, asyncmr.records([1, 200]))
        assert "ulimit -v" in str(caught.value)
        assert caught.value.excerpt == "200"
        assert len(await engine.collect(job, asyncmr.records([1, 2]))) == 2
        assert engine._backend._pool.stats().replaced == 0


SCRIPT = textwrap.dedent(
    """
    import asyncio, os, sys
    with open(sys.argv[1], "w") as file:
        file.write(str(os.getpid()))
    import asyncmr
    from asyncmr.pipeline.limits import Limits

    def hungry(_key, record):
        kept = []
        while record == 5:
            kept.append(os.urandom(1 << 20))
        yield record, 1

    def total(key, values):
        yield key, sum(values)

    async def main():
        job = asyncmr.Job(mapper=hungry, reducer=total, name="hungry")
        async with asyncmr.Engine(workers=2, retries=1, limits=Limits(fused=0)) as engine:
            try:
                await engine.collect(job, asyncmr.records(range(10), records_per_task=1))
            except asyncmr.WorkerDied as error:
                print(error.exitcode, error.attempts, error)
            print(len(await engine.collect(job, asyncmr.records(range(5), records_per_task=1))))

    if __name__ == "__main__":
        asyncio.run(main())
    """
)


def test_a_worker_that_the_kernel_kills_for_its_memory_is_said_to_be(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    with memory_cgroup(200 * MIB) as entrance:
        command = [sys.executable, str(tmp_path / "script.py"), str(entrance)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    error, left = ran.stdout.splitlines()
    assert error.startswith(
        "-9 2 job 'hungry', stage 'map', split 5: the worker died in 2 attempts, killed by"
    )
    assert "the machine was out of memory" in error
    assert left == "5"
