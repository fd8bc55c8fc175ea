"""What a job tells of itself: counters, figures, progress, and what it spilled."""

from __future__ import annotations

import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.pipeline.limits import Limits
from tests.engine.word_count import COUNT, STAGED, TEXT, WORDS, source, swapped, words
from tests.family import JOBS, letters, listed
from tests.oracle import mapped


async def test_counters_of_all_stages_and_steps_add_up(engine):
    def mapper(_key, line):
        asyncmr.counter("lines", "seen").increment()
        asyncmr.counter("words", "seen").increment(len(line.split()))
        yield from words(None, line)

    def reducer(key, values):
        asyncmr.counter("keys", "reduced").increment()
        yield key, len(list(values))

    first = Job(mapper=mapper, reducer=reducer)
    result = await engine.collect(first.then(Job(mapper=swapped, reducer=reducer)), source())
    assert result.report.counters == {
        "lines": {"seen": len(TEXT)},
        "words": {"seen": WORDS.total()},
        "keys": {"reduced": len(WORDS) + len(set(WORDS.values()))},
    }


@pytest.mark.parametrize("name", JOBS)
async def test_the_figures_of_a_report_add_up(name, engine):
    job, records = JOBS[name], TEXT * 5
    result = await engine.collect(job, asyncmr.records(records, records_per_task=3))
    stages = result.report.stages
    assert stages["map"].records_in == len(records)
    tasks = [records[start : start + 3] for start in range(0, len(records), 3)]
    assert stages["map"].pairs_out == sum(len(mapped(job, task)) for task in tasks)
    assert all(stage.attempts >= stage.tasks > 0 and not stage.retries for stage in stages.values())
    if not job.steps[-1].shuffles:
        assert stages["map"].pairs_out == len(result)
        return
    combined = stages.get("combine")
    saved = combined.pairs_in - combined.pairs_out if combined else 0
    assert stages["reduce"].pairs_in == stages["map"].pairs_out - saved
    assert stages["reduce"].pairs_out == len(result)


async def test_bytes_that_leave_the_map_stage_reach_the_reduce_stage():
    async with Engine(workers=2, limits=STAGED) as engine:
        result = await engine.collect(Job(mapper=letters, reducer=listed), source())
    stages = result.report.stages
    assert stages["reduce"].bytes_in == stages["map"].bytes_out > 0


async def test_what_does_not_fit_in_memory_waits_on_disk_and_changes_nothing(tmp_path):
    job = Job(mapper=lambda _, n: [(n % 50, f"{n:2000}")], reducer=listed)
    results = []
    for shuffle in (1, 256 << 20):
        limits = Limits(fused=0, shuffle=shuffle)
        async with Engine(workers=2, limits=limits, spill_dir=tmp_path) as engine:
            results.append(await engine.collect(job, asyncmr.records(range(3000), records_per_task=200)))
    tight, roomy = results
    assert tight.report.bytes_spilled > 2_000_000
    assert roomy.report.bytes_spilled == 0
    assert list(tight) == list(roomy)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("compression", "package"), [("lz4", "lz4"), ("zstd", "zstandard")])
async def test_what_is_compressed_takes_less_of_the_disk_and_changes_nothing(tmp_path, compression, package):
    pytest.importorskip(package)
    job = Job(mapper=lambda _, n: [(n % 50, f"{n:2000}")], reducer=listed)
    results = []
    for name in ("none", compression):
        limits = Limits(fused=0, shuffle=1)
        async with Engine(workers=2, limits=limits, spill_dir=tmp_path, spill_compression=name) as engine:
            results.append(await engine.collect(job, asyncmr.records(range(3000), records_per_task=200)))
    plain, compressed = results
    assert 0 < compressed.report.bytes_spilled < plain.report.bytes_spilled // 10
    assert list(compressed) == list(plain)


async def test_progress_is_told_while_the_job_runs_and_at_its_end(trail):
    seen: list[asyncmr.Progress] = []
    async with Engine(workers=2, limits=STAGED) as engine:
        await engine.collect(COUNT, source(), progress=seen.append)
    assert {stage.name for stage in seen[-1].stages} >= {"map", "reduce"}
    reduced = next(stage for stage in seen[-1].stages if stage.name == "reduce")
    assert (seen[-1].job, reduced.done, reduced.unit) == ("count", reduced.total, "partitions")
