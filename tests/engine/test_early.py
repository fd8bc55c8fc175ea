"""The forkserver starts when an engine is made on a loop, and not before one is to be used."""

from __future__ import annotations

import pytest

from tests.workers.talking import run_script

SCRIPT = """
import asyncio
from multiprocessing.forkserver import _forkserver as forkserver
from asyncmr import Engine

def running():
    return forkserver._forkserver_pid is not None

async def main():
    Engine(workers=1, executor={executor!r})
    print(running())

Engine(workers=1)
print(running())
if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize(("executor", "starts"), [("process", "True"), ("thread", "False")])
async def test_an_engine_that_is_made_on_a_loop_starts_the_forkserver(tmp_path, executor, starts):
    script = await run_script(tmp_path / "script.py", SCRIPT.format(executor=executor))
    out, err = await script.communicate()
    assert (out.decode().split(), err) == (["False", starts], b"")
