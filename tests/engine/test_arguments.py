"""Arguments that cannot work are refused, with words that help."""

from __future__ import annotations

import pytest

import asyncmr
from asyncmr import ClosedError, Engine, UsageError
from tests.engine.word_count import COUNT, WORDS, source, words


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ({"workers": 0}, "workers=0"),
        ({"workers": -2}, "workers=-2"),
        ({"executor": "fiber"}, "executor='fiber'"),
        ({"retries": -1}, "retries=-1"),
        ({"task_timeout": 0}, "task_timeout=0"),
        ({"verify": 1.5}, "verify=1.5"),
        ({"verify": -0.1}, "verify=-0.1"),
        ({"spill_compression": "gzip"}, "spill_compression='gzip'"),
        ({"memory": "much"}, "much"),
        ({"memory": -1}, "-1"),
    ],
)
def test_arguments_that_cannot_work_are_refused(argument, complaint):
    with pytest.raises(UsageError, match=complaint):
        Engine(**argument)


def test_too_little_memory_is_refused_with_what_it_takes():
    with pytest.raises(asyncmr.MemoryBudgetError, match="MiB"):
        Engine(workers=4, memory="100 MiB")


async def test_an_engine_works_only_inside_its_block():
    engine = Engine(workers=1, executor="inline")
    with pytest.raises(ClosedError, match="async with"):
        await engine.collect(COUNT, source())
    async with engine:
        with pytest.raises(ClosedError):
            await engine.__aenter__()
        assert dict(await engine.collect(COUNT, source())) == WORDS
    with pytest.raises(ClosedError, match="async with"):
        await engine.collect(COUNT, source())


@pytest.mark.parametrize("wrong", [5, [1, 2], None])
async def test_what_is_no_source_is_refused(wrong):
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(UsageError, match="records"):
            await engine.collect(COUNT, wrong)


async def test_what_is_no_job_is_refused():
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(UsageError, match="function is no job"):
            await engine.collect(words, source())  # type: ignore[arg-type]


async def test_a_format_that_is_not_known_is_refused(tmp_path):
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(UsageError, match="xml"):
            await engine.run(COUNT, source(), tmp_path / "out", format="xml")
