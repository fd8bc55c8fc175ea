"""Jobs with few open files, no room for output, or hardly any shared memory: exact, or an error that says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import asyncmr
from asyncmr import Engine, Job, OutputError
from asyncmr.pipeline.limits import Limits
from tests.engine.at_rest import is_at_rest
from tests.engine.word_count import COUNT, WORDS, source
from tests.storage.small_disk import mounted
from tests.workers.talking import ROOT

SCRIPT = """
import asyncio, os, resource, sys
import asyncmr
from asyncmr.connectors.text import TextFiles
from asyncmr.pipeline.limits import Limits

LIMITS = {"files": resource.RLIMIT_NOFILE, "size": resource.RLIMIT_FSIZE, "nothing": None}

def mapper(_key, line):
    yield int(line) % 97, line * 20

def listed(key, values):
    yield key, ",".join(values)

async def main(limited, limit, workers, folder):
    if LIMITS[limited] is not None:
        resource.setrlimit(LIMITS[limited], (limit, limit))
    job = asyncmr.Job(mapper=mapper, reducer=listed, partitions=70, name="frugal")
    limits = Limits(fused=0, shuffle=1)
    async with asyncmr.Engine(workers=workers, limits=limits, spill_dir=folder) as engine:
        await engine.run(job, TextFiles(f"{folder}/in", split_bytes=5000), f"{folder}/out")

if __name__ == "__main__":
    limited, limit, workers, folder = sys.argv[1:]
    try:
        asyncio.run(main(limited, int(limit), int(workers), folder))
    except asyncmr.AsyncMRError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""
NUMBERS = range(10_000, 16_000)


def limited_job(folder: Path, what: str, limit: int = 0, workers: int = 2, command: tuple[str, ...] = ()):
    """Runs the job in a process of its own with a limit; its exit status and standard error."""
    (folder / "in").write_text("".join(f"{number}\n" for number in NUMBERS))
    (folder / "script.py").write_text(SCRIPT)
    arguments = [sys.executable, str(folder / "script.py"), what, str(limit), str(workers), str(folder)]
    ran = subprocess.run(
        [*command, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert list(folder.glob("asyncmr-*")) == []
    return ran.returncode, ran.stderr


def is_exact(out: Path) -> bool:
    lines = [line for path in out.glob("part-*") for line in path.read_text().splitlines()]
    expected = [f"{rest}\t" + ",".join(f"{n}" * 20 for n in NUMBERS if n % 97 == rest) for rest in range(97)]
    return sorted(lines) == sorted(expected) and (out / "_SUCCESS").exists()


def test_sixty_four_open_files_are_enough_for_many_partitions_and_ten_workers(tmp_path):
    """Where there are none left for a shared buffer, its bytes go through the worker's socket."""
    assert limited_job(tmp_path, "files", 64, workers=10) == (0, "")
    assert is_exact(tmp_path / "out")


def test_more_workers_than_there_can_be_open_files_for_are_refused(tmp_path):
    status, complaint = limited_job(tmp_path, "files", 64, workers=30)
    assert status == 1
    assert complaint.startswith("UsageError: workers=30 need 106 open files, and this process may have 64")
    assert "ulimit -n" in complaint
    assert not (tmp_path / "out").exists()


def test_output_beyond_the_largest_file_allowed_is_an_error_and_nothing_is_there(tmp_path):
    status, complaint = limited_job(tmp_path, "size", 5000)
    assert status == 1
    assert complaint.startswith("OutputError: could not write ")
    assert f"'{tmp_path}/out/" in complaint
    assert "ulimit -f" in complaint
    assert not (tmp_path / "out").exists()


def test_a_tiny_dev_shm_is_not_needed(tmp_path):
    """1 MiB, in a mount namespace; the shared buffers of this job alone take 24."""
    shell = 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a mount namespace needs root")
    trial = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", "true"], capture_output=True, check=False
    )
    if trial.returncode:
        pytest.skip(f"no mount namespace can be made here: {trial.stderr.decode().strip()}")
    assert limited_job(tmp_path, "nothing", command=("unshare", "-m", "sh", "-c", shell, "sh")) == (0, "")
    assert is_exact(tmp_path / "out")


LARGE = Job(mapper=lambda _, n: [(n, "x" * 60_000)], partitions=2, reducer=lambda k, v: [(k, x) for x in v])


async def fails_and_works_again(folder: Path, out: Path, job: Job, records: range) -> OutputError:
    """Runs a job that finds no room for its output; then the engine must be as good as new."""
    async with Engine(workers=2, limits=Limits(fused=0), spill_dir=folder) as engine:
        with pytest.raises(OutputError) as caught:
            await engine.run(job, asyncmr.records(records, records_per_task=10), out)
        await is_at_rest(engine)
        assert dict(await engine.collect(COUNT, source())) == WORDS
    return caught.value


async def test_a_disk_that_is_full_of_output_shows_none_of_it(tmp_path):
    with mounted(tmp_path / "small", "size=4m") as disk:
        error = await fails_and_works_again(tmp_path, disk / "out", LARGE, range(100))
        assert list(disk.iterdir()) == []
    assert "disk is full" in str(error)
    assert str(disk / "out") in str(error)


async def test_a_disk_that_is_full_at_the_commit_shows_none_of_the_output(tmp_path):
    """The parts are there; the last name, that of _SUCCESS, finds no room."""
    root, out, staging, lock, parts = 1, 1, 1, 1, 2
    enough = root + out + staging + lock + parts
    with mounted(tmp_path / "small", f"size=4m,nr_inodes={enough}") as disk:
        error = await fails_and_works_again(tmp_path, disk / "out", LARGE, range(20))
        assert list(disk.iterdir()) == []
    assert f"could not commit the output to '{disk}/out/_SUCCESS': the disk is full" in str(error)
