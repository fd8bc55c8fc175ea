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


JOB = """
import asyncmr

def letters(_key, line):
    return [(letter, 1) for letter in line.split()[1:]]

job = asyncmr.Job(mapper=letters, aggregator=asyncmr.Sum(), partitions=5)
"""


async def test_a_state_goes_through_a_file_into_a_new_folder(tmp_path):
    await run(tmp_path / "counts", ["- a b\n", "- a\n"], "1m")
    (tmp_path / "letters.py").write_text(JOB)
    written = await state(tmp_path, "export", "counts", "-o", "file")
    assert (written.status, written.out) == (0, "")
    assert written.err.startswith("asyncmr: exported 2 keys as of epoch ")
    piped = await state(tmp_path, "export", "counts")
    assert piped.out == (tmp_path / "file").read_text()
    done = await state(
        tmp_path, "import", "file", "--state", "new", "--window", "1m", ASYNCMR_JOB="letters.py:job"
    )
    assert done.status == 0
    assert done.err.startswith("asyncmr: imported 2 keys as of epoch ")
    assert "asyncmr: other than before: partitions was 3 and is 5 now" in done.err
    again = await state(tmp_path, "export", "new")
    assert again.out.splitlines()[1:-1] == piped.out.splitlines()[1:-1]


async def test_what_cannot_be_imported_is_refused(tmp_path):
    await run(tmp_path / "counts", ["- a b\n"])
    out = (await state(tmp_path, "export", "counts")).out
    (tmp_path / "short").write_text(out[:-20])
    short = await state(tmp_path, "import", "short", "--state", "new")
    assert short.status == 1
    assert "short, line 5: " in short.err
    other = await state(tmp_path, "import", "short", "--state", "new", "--window", "1m")
    assert other.status == 2
    assert "the windows was none and is 1m now" in other.err
    there = await state(tmp_path, "import", "short", "--state", "counts")
    assert there.status == 2
    assert sorted(os.listdir(tmp_path)) == ["counts", "short"]


async def test_a_reader_that_goes_away_ends_an_export_as_a_broken_pipe_does(tmp_path):
    await run(
        tmp_path / "counts", [f"- {' '.join(map(str, range(n, n + 5000)))}\n" for n in range(0, 50_000, 5000)]
    )
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m asyncmr state export counts | head -1; exit ${{PIPESTATUS[0]}}",
        executable="/bin/bash",
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert out.startswith(b'{"asyncmr-state": 1')
    assert (process.returncode, err) == (141, b"")
