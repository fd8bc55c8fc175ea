"""`asyncmr state`, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from tests.streaming.test_inspecting import run
from tests.workers.talking import ROOT


class Done(NamedTuple):
    status: int | None
    out: str
    err: str


async def state(folder: Path, *arguments: str, **environment: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncmr", "state", *arguments),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Done(process.returncode, out.decode(), err.decode())


async def test_inspect_shows_of_what_a_state_is_and_how_far_it_has_come(tmp_path):
    await run(tmp_path / "counts", ["- a b\n", "- a\n"], "1m")
    found = await state(tmp_path, "inspect", "counts")
    assert found.status == 0, found.err
    rows = [line.split(maxsplit=1) for line in found.out.splitlines() if line]
    assert ["keys", "2"] in rows
    assert ["read", "2 records, 10 B"] in rows
    assert ["listed"] in rows
    assert ["1970-01-01", "00:16:00 UTC   2"] in rows
    told = await state(tmp_path, "inspect", "--json", ASYNCMR_STATE="counts")
    assert json.loads(told.out)["positions"] == {"listed": {"": 2}}


async def test_a_state_that_is_not_there_is_wrong_usage(tmp_path):
    found = await state(tmp_path, "inspect", "none")
    assert found.status == 2
    assert found.err.startswith("asyncmr: there is no state of a stream in")
