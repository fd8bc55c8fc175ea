"""The system refuses, cuts short or delays the file I/O of a job: the output is exact, or one error says why."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asyncmr import Engine, Job
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import AsyncMRError, CorruptRunError, InputError, OutputError, StorageError
from asyncmr.pipeline.limits import Limits
from asyncmr.storage import extents, spill
from asyncmr.storage.runs import BlockStore
from tests.engine.at_rest import is_at_rest
from tests.family import listed
from tests.storage.faulty_io import ERRORS, Call, FaultyIO, error, faulty_io
from tests.workers.talking import until

SPLIT = 10_000
LINES = [f"{number:099}" for number in range(1200)]
EXPECTED = [(rest, [line for line in LINES if int(line) % 7 == rest]) for rest in range(7)]
# Hardly anything waits in memory.
SPILLING = Limits(fused=0, shuffle=1)


def by_rest(_key, line):
    yield int(line) % 7, line


JOB = Job(mapper=by_rest, reducer=listed, partitions=2, name="failing")
# What the first step makes waits for the second, which shuffles again.
CHAIN = JOB.then(
    Job(mapper=lambda rest, lines: [(rest, line) for line in lines], reducer=listed, partitions=2)
)


@pytest.fixture
def small_files(monkeypatch) -> None:
    """What is spilled goes to several files, in a few writes each."""
    for name, size in {"WRITE_BYTES": 4000, "BATCH_BYTES": 16_000, "FILE_BYTES": 64_000}.items():
        monkeypatch.setattr(spill, name, size)


@pytest.fixture
def faulty(tmp_path, small_files) -> Iterator[FaultyIO]:
    (tmp_path / "in").mkdir()
    (tmp_path / "spill").mkdir()
    (tmp_path / "in" / "a").write_text("".join(f"{line}\n" for line in LINES[:200]))
    (tmp_path / "in" / "b").write_text("".join(f"{line}\n" for line in LINES[200:]))
    with faulty_io(tmp_path) as faulty:
        yield faulty


@pytest.fixture
async def engine(faulty, tmp_path) -> AsyncIterator[Engine]:
    # In threads, since a failure costs a process executor its workers: these tests make some hundred.
    async with Engine(workers=2, executor="thread", limits=SPILLING, spill_dir=tmp_path / "spill") as opened:
        yield opened
    assert os.listdir(tmp_path / "spill") == []


def source(tmp_path: Path) -> TextFiles:
    return TextFiles(tmp_path / "in", split_bytes=SPLIT)


async def writes(engine: Engine, tmp_path: Path) -> list[str]:
    """Runs the job to files, and returns their lines."""
    out = tmp_path / "out"
    await engine.run(JOB, source(tmp_path), out)
    assert os.path.exists(out / "_SUCCESS")
    return [line for path in sorted(out.glob("part-*")) for line in path.read_text().splitlines()]


def is_exact(lines: list[str]) -> bool:
    return sorted(lines) == sorted(f"{rest}\t{some}" for rest, some in EXPECTED)


async def outcome(engine: Engine, faulty: FaultyIO, tmp_path: Path) -> AsyncMRError | None:
    """Runs the job, then heals the disk: the job's error, or None if its output was exact."""
    try:
        async with asyncio.timeout(10):
            assert is_exact(await writes(engine, tmp_path))
    except AsyncMRError as failure:
        return failure
    finally:
        faulty.heal()
        await is_at_rest(engine)
    shutil.rmtree(tmp_path / "out")
    return None


def hinders_removal(call: Call) -> bool:
    """Whether something may be left because of this failure, till its folder is swept."""
    return call.kind == "remove" or (call.kind == "open" and os.path.isdir(call.path))


def tells(failure: AsyncMRError, call: Call, tmp_path: Path) -> bool:
    """Whether an error is of the right family, and says where and why this call failed."""
    place = Path(call.path).relative_to(tmp_path).parts[0]
    says = str(tmp_path / place) in str(failure) and os.strerror(ERRORS[call.kind]) in str(failure)
    return says and isinstance(failure, FAMILIES[place])


FAMILIES = {"in": InputError, "spill": StorageError, "out": OutputError}


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
async def test_whichever_call_fails_the_output_is_exact_or_one_error_says_why(
    engine, faulty, tmp_path, for_ever
):
    """Every call of the job fails in its turn, alone or with all that come after it."""
    number = failures = 0
    assert await outcome(engine, faulty, tmp_path) is None
    while True:
        faulty.fail(number, for_ever=for_ever)
        failure = await outcome(engine, faulty, tmp_path)
        if not faulty.failed:
            break
        first = faulty.failed[0]
        if failure is not None:  # of several calls that failed side by side it may be any
            assert any(tells(failure, call, tmp_path) for call in faulty.failed), (failure, first)
        if any(map(hinders_removal, faulty.failed)):
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            for file in (tmp_path / "spill").glob("*/*.spill"):
                file.unlink()
        else:
            assert not (tmp_path / "out").exists(), first
            assert list((tmp_path / "spill").glob("*/*.spill")) == [], first
        failures += failure is not None
        number += 1
    assert failures > 30
    assert failures > 0.8 * number  # the others hurt nobody: to close an input that was read, say


async def test_what_a_dead_disk_kept_is_gone_when_the_engine_closes(engine, faulty, tmp_path):
    """The error is the one that came first, not that of the clean-up, which is noted on it."""

    def dies(call: Call) -> None:
        if call.kind in ("write", "remove") and "/out/" in call.path:
            raise error(errno.EIO, call)

    faulty.hook = dies
    with pytest.raises(OutputError, match=r"could not write .*/out/") as caught:
        await engine.run(JOB, source(tmp_path), tmp_path / "out")
    assert any("the output was not removed" in note for note in caught.value.__notes__)
    assert os.listdir(tmp_path / "out")[0].startswith(".asyncmr-")
    faulty.heal()
    await is_at_rest(engine)
    assert await outcome(engine, faulty, tmp_path) is None


@pytest.mark.parametrize("seed", range(3))
async def test_calls_that_move_less_than_was_asked_for_change_nothing(engine, faulty, tmp_path, seed):
    random_ = random.Random(seed)
    short = 0

    def shortens(call: Call) -> int | None:
        nonlocal short
        if call.size < 2 or random_.random() < 0.2:
            return None
        short += 1
        return random_.choice([1, call.size // 2, call.size - 1])

    faulty.hook = shortens
    assert await outcome(engine, faulty, tmp_path) is None
    assert {call.kind for call in faulty.calls} >= {"read", "write"}
    assert short > 15


async def test_a_disk_that_takes_its_time_holds_up_the_job_and_not_memory(
    engine, faulty, tmp_path, monkeypatch
):
    """No write returns before the job can do no more without it."""
    gate, waiting, most = threading.Event(), 0, 0
    put = BlockStore.put

    async def measured(store, data, ends=None):
        nonlocal waiting, most
        waiting += 1
        block = await put(store, data, ends)
        waiting -= 1
        most = max(most, store.stats().memory_bytes)
        return block

    def slow(call: Call) -> None:
        if call.kind == "write":
            gate.wait()

    monkeypatch.setattr(BlockStore, "put", measured)
    faulty.hook = slow
    reads: list[int] = []

    async def opens_late() -> None:
        try:
            # Two workers' tasks and the one that would come next wait for the disk.
            await until(lambda: waiting == 3)
            reads.extend(call.size for call in faulty.calls if call.kind == "read" and "/in/" in call.path)
        finally:
            gate.set()

    opener = asyncio.create_task(opens_late())
    assert await outcome(engine, faulty, tmp_path) is None
    await opener
    assert sum(reads) <= 6 * SPLIT
    assert most <= spill.WRITE_BYTES + 3 * (SPLIT + 1000)


def damages(faulty: FaultyIO, number: int, damage: str, where: float) -> list[Call]:
    """Damages what the spill read of this number is about to get, in the file itself; returns the read."""
    hit: list[Call] = []
    reads = 0

    def hook(call: Call) -> None:
        nonlocal reads
        if call.kind != "read" or not call.path.endswith(".spill"):
            return
        reads += 1
        if reads != number or hit:
            return
        hit.append(call)
        with open(call.path, "r+b") as file:
            at = call.offset + int(where * (call.size - 1))
            if damage == "truncate":
                file.truncate(at)
                return
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x10]))

    faulty.hook = hook
    return hit


@pytest.mark.parametrize(
    ("damage", "where"), [("flip", 0.0), ("flip", 0.5), ("flip", 1.0), ("truncate", 0.5)]
)
async def test_damage_to_anything_that_was_spilled_is_found_when_it_is_read(
    engine, faulty, damage, where, tmp_path
):
    """At every read of every stage: merges, reducers, and what waits between two steps."""
    found = 0
    while True:
        hit = damages(faulty, found + 1, damage, where)
        running = asyncio.create_task(engine.collect(CHAIN, source(tmp_path)))
        await asyncio.wait([running])
        await is_at_rest(engine)
        if not hit:
            break
        with pytest.raises(CorruptRunError) as caught:
            await running
        assert caught.value.path == hit[0].path
        assert hit[0].path in str(caught.value)
        found += 1
    assert sorted(await running) == EXPECTED
    assert found >= 8


async def test_without_the_checksums_such_damage_goes_unnoticed(engine, faulty, monkeypatch, tmp_path):
    """The negative control of the test above: a flipped bit of a line is another line."""
    monkeypatch.setattr(extents, "_check", lambda extent, data: None)
    hit = damages(faulty, 1, "flip", 0.5)
    assert sorted(await engine.collect(CHAIN, source(tmp_path))) != EXPECTED
    assert hit
