"""docs/errors.md tells of every error, and shows the messages as they are."""

from __future__ import annotations

import ctypes
import re
import time
from pathlib import Path

import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.errors import AsyncMRError
from asyncmr.streaming.http import PushFeed

PAGE = (Path(__file__).parents[1] / "docs/errors.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^### (\w+)\n\n```text\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL))
FAMILIES = {"AsyncMRError", "UserCodeError", "WorkerError"}
ERRORS = {
    name
    for name in asyncmr.__all__
    if isinstance(getattr(asyncmr, name), type) and issubclass(getattr(asyncmr, name), AsyncMRError)
}


class Person:
    __module__ = "jobs"

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"Person(name={self.name!r})"


def parse(_key, _line):
    yield 1


def words(_key, _line):
    yield "a", 1


def people(_key, _line):
    yield Person("a"), 1


def numbers(_key, line):
    yield "all", int(line)


def crash(_key, _line):
    ctypes.string_at(0)
    yield 1, 1


def hang(_key, _line):
    time.sleep(60)
    yield 1, 1


def shrink(_key, counts):
    yield "other", sum(counts)


def mean(key, counts):
    yield key, sum(counts) / 0


def total(key, counts):
    yield key, sum(counts)


def place(_key, _partitions):
    return 99


def minus(a, b):
    return a - b


def test_every_error_has_a_section_with_its_message_and_a_row() -> None:
    assert ERRORS - FAMILIES - set(SHOWN) == set()
    rows = "".join(line for line in PAGE.splitlines() if line.startswith("| "))
    assert [name for name in ERRORS - {"AsyncMRError"} if f"`{name}`" not in rows] == []


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    Path("logs/web.txt").write_text("GET /\nGET /\n")
    Path("numbers.txt").write_text("1\n2\nthree\n4\n")


@pytest.mark.parametrize(
    ("error", "engine", "job"),
    [
        ("MapperError", {}, Job(mapper=parse)),
        ("CombinerError", {}, Job(mapper=words, combiner=shrink, reducer=total)),
        ("ReducerError", {}, Job(mapper=words, reducer=mean)),
        ("PartitionerError", {}, Job(mapper=words, reducer=total, partitioner=place, partitions=4)),
        ("KeyTypeError", {}, Job(mapper=people, reducer=total)),
        ("SkipLimitError", {"on_error": "skip", "skip_limit": 0}, Job(mapper=numbers, fold=max)),
        ("WorkerDied", {"executor": "process", "retries": 1}, Job(mapper=crash)),
        ("TaskTimeout", {"executor": "process", "retries": 1, "task_timeout": 0.1}, Job(mapper=hang)),
    ],
)
async def test_a_job_that_fails_says_what_the_page_shows(error, engine, job) -> None:
    async with Engine(**{"workers": 1, "executor": "inline", **engine}) as opened:
        with pytest.raises(getattr(asyncmr, error)) as caught:
            await opened.collect(job, "numbers.txt")
    assert str(caught.value) == SHOWN[error]


async def test_an_operator_that_is_found_out_says_what_the_page_shows() -> None:
    async with Engine(workers=1, executor="inline", verify=1.0) as engine:
        with pytest.raises(asyncmr.OperatorError) as caught:
            await engine.collect(Job(mapper=numbers, fold=minus), asyncmr.records(["5", "3", "2"]))
    assert str(caught.value) == SHOWN["OperatorError"]


async def test_what_cannot_be_done_is_said_as_the_page_shows(tmp_path: Path) -> None:
    job, engine = Job(mapper=words), Engine(workers=1, executor="inline")
    said = {}

    async def provoke(error, call):
        with pytest.raises(getattr(asyncmr, error)) as caught:
            await call()
        said[error] = str(caught.value).replace(str(tmp_path), "/data")

    await provoke("ClosedError", lambda: engine.collect(job, "logs/"))
    async with engine:
        await provoke("InputError", lambda: engine.collect(job, "log/*.txt"))
        await provoke("OutputError", lambda: engine.run(job, "logs/", "logs"))
        await engine.run(job, "logs/", "out", resume="journal")
        await provoke(
            "ResumeError", lambda: engine.run(job.replace(partitions=3), "logs/", "out", resume="journal")
        )
    with pytest.raises(asyncmr.UsageError) as caught:
        Job(mapper=words, combiner=total)  # type: ignore[call-overload]  # that is what is refused
    said["UsageError"] = str(caught.value)
    with pytest.raises(asyncmr.MemoryBudgetError) as too_little:
        Engine(workers=2, memory="10 MiB")
    said["MemoryBudgetError"] = str(too_little.value)
    assert said == {error: SHOWN[error] for error in said}


async def test_what_cannot_be_pushed_is_said_as_the_page_shows() -> None:
    lines = PushFeed(capacity=10)
    lines.push(b"to be o", token="request 1")
    with pytest.raises(asyncmr.PushFull) as full:
        lines.push(b"not to be\n\n")
    assert str(full.value) == SHOWN["PushFull"]
    with pytest.raises(asyncmr.TokenReused) as reused:
        lines.push(b"not to be", token="request 1")
    assert str(reused.value) == SHOWN["TokenReused"]
