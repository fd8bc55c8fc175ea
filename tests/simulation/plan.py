"""What a seed decides before anything runs: the engine, its sizes, its jobs, and the weather."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from asyncmr.pipeline.limits import Limits
from tests.simulation.faults import Weather
from tests.simulation.jobs import Case

# Codecs, or no codec where they are not installed: a seed is to mean the same on every machine.
_LZ4 = "lz4" if find_spec("lz4") else "none"
_ZSTD = "zstd" if find_spec("zstandard") else "none"

_RETRIES = 3

WAYS = ("collect", "run", "run", "stream")
SOURCES = ("records", "records", "iterator", "feed", "files", "files", "compressed")
FILES = ("files", "compressed")


@dataclass(frozen=True)
class Running:
    """One job of a run. `source`: where its records are, and `per_task` how many of them make a task, or how many bytes
    of files. `cancelled`: after so many seconds, or (moment, steps) as `Faults.at_moment` takes them. `pause`: how long
    a stream's reader takes now and then; `leaves`: after how many pairs it leaves. `resumes`: it keeps a journal."""

    case: Case
    way: str
    source: str
    per_task: int
    starts: float
    cancelled: float | tuple[int, int] | None
    pause: float
    leaves: int | None
    resumes: bool

    @classmethod
    def drawn(cls, draw: random.Random, *, large: bool, impatient: bool, killed: bool) -> Running:
        way, source = draw.choice(WAYS), draw.choice(SOURCES)
        if killed and draw.random() < 0.7:
            way, source = "run", draw.choice(FILES)
        if large or impatient:
            source = "records"
        per_task = draw.choice([30, 100, 400]) if source in FILES else draw.choice([1, 4, 10, 40])
        return cls(
            Case.drawn(draw, large=large),
            way,
            source,
            4 if large else 10_000 if impatient else per_task,
            draw.choice([0.0, 0.0, 0.005]),
            _cancelled(draw, soon=impatient) if draw.random() < (0.7 if impatient else 0.15) else None,
            draw.choice([0.0, 0.0, 0.01, 0.5]),
            draw.choice([0, 3]) if way == "stream" and draw.random() < 0.15 else None,
            way == "run" and source in FILES and draw.random() < (0.8 if killed else 0.4),
        )


@dataclass(frozen=True)
class Plan:
    """One run. `closes`: after so many seconds the engine's block is left, whatever runs.
    `crashes`: at this moment the whole process is killed, and the same jobs are run again by the next one."""

    seed: int
    disorder: float
    grain: float
    workers: int
    engine: Mapping[str, Any]
    limits: Limits
    sizes: Mapping[str, int]
    weather: Weather
    jobs: tuple[Running, ...]
    closes: float | None
    crashes: int | None

    @property
    def skips(self) -> bool:
        """Whether records that fail are left out."""
        return self.engine["on_error"] == "skip"

    def meant(self, case: Case) -> Case:
        """The job that the results must be those of."""
        return case.without_poison() if self.skips else case

    @classmethod
    def of(cls, seed: int) -> Plan:
        draw = random.Random(f"{seed} plan")
        weather = Weather.drawn(draw)
        # Slow tasks with rivals, which end at the same time; or small jobs that wait for one worker, and are cancelled.
        racing, crowded = draw.choices([(False, False), (True, False), (False, True)], [6, 2, 2])[0]
        if racing:
            weather = Weather(stragglers=0.3)
        skips = _skips(draw)
        if skips["on_error"] == "skip":
            # One death more, and what a task was at would be left out: then there is no telling what must come out.
            weather = replace(weather, hangs=0.0, most_deaths=_RETRIES)
        crashes = int(10 ** draw.uniform(0.5, 2.2)) if draw.random() < 0.15 else None
        timeout = draw.choice([1.0, 4.0]) if weather.hangs or draw.random() < 0.2 else None
        return cls(
            seed,
            disorder=0.0 if crowded else draw.choice([0.0, 0.3, 1.0]),
            grain=0.05 if racing else draw.choice([0.0, 0.0, 0.001, 0.05]),
            workers=3 if racing else 1 if crowded else draw.choice([1, 2, 2, 3]),
            engine={
                "retries": _RETRIES if weather.most_deaths else draw.choice([0, 1, _RETRIES, _RETRIES]),
                "task_timeout": None if weather.most_deaths else timeout,
                "setup_timeout": None if weather.most_deaths else timeout,
                "backup_tasks": racing or (not crowded and draw.random() < 0.4),
                **skips,
                "spill_compression": draw.choice(["none", "none", "none", _LZ4, _ZSTD]),
                "verify": draw.choice([0.0, 0.0, 0.0, 0.5]),
            },
            limits=limits(draw, small=crowded),
            sizes=engine_sizes(draw, crowded=crowded),
            weather=weather,
            jobs=tuple(
                Running.drawn(draw, large=racing, impatient=crowded, killed=crashes is not None)
                for _ in range(3 if crowded else draw.choice([1, 1, 1, 2, 3]))
            ),
            closes=10 ** draw.uniform(-3, 0) if draw.random() < 0.05 else None,
            crashes=crashes,
        )


def _skips(draw: random.Random) -> dict[str, Any]:
    if draw.random() < 0.6:
        return {"on_error": "fail"}
    return {"on_error": "skip", "skip_limit": draw.choice([None, None, 0, 0.5])}


def _cancelled(draw: random.Random, *, soon: bool) -> float | tuple[int, int]:
    if soon:
        return draw.randint(2, 6), 1
    if draw.random() < 0.5:
        return 10 ** draw.uniform(-4, 0.3)
    return int(10 ** draw.uniform(0, 1.5)), draw.choice([0, 1, 1, 2, 5])


def limits(draw: random.Random, *, small: bool) -> Limits:
    fused = 16 * 1024 if small else draw.choice([0, 0, 0, 16 * 1024])
    return Limits(
        split=max(fused, draw.choice([64, 300, 4096])),
        fused=fused,
        table=draw.choice([300, 3000, 40 << 20]),
        fan_in=draw.choice([2, 3, 16]),
        large_partial=draw.choice([0, 0, 512]),
        share=draw.choice([50, 400, 4 << 20]),
        whole=draw.choice([1, 300, 8 << 20]),
        bucket=draw.choice([1, 100, 2 << 20]),
        merged=draw.choice([2, 3, 64]),
        round=draw.choice([1, 200, 1 << 20]),
        shuffle=draw.choice([1, 500, 3000, 1 << 20]),
    )


def engine_sizes(draw: random.Random, *, crowded: bool = False) -> dict[str, int]:
    write = draw.choice([1, 100, 800])
    return {
        "storage.spill.WRITE_BYTES": write,
        "storage.spill.BATCH_BYTES": 4 * write,
        "storage.spill.FILE_BYTES": draw.choice([1, 400, 5000]),
        "storage.runs.READ_BYTES": draw.choice([20, 500]),
        "storage.runs.READ_PIECES": draw.choice([1, 4, 256]),
        "pipeline.feeding.PIPE_BYTES": draw.choice([0, 60, 64 * 1024]),
        "pipeline.flow._SPLITS": draw.choice([1, 2]),
        "pipeline.flow._RUNS": draw.choice([1, 3, 256]),
        "pipeline.flow._PARTS": draw.choice([1, 8]),
        "pipeline.portions.RECORDS": draw.choice([1, 3, 1024]),
        "pipeline.calls.WINDOW_BYTES": draw.choice([1, 20_000, 8 << 20]),
        "pipeline.groups.HELD_BYTES": draw.choice([0, 300, 4 << 20]),
        "pipeline.pair_writer._PAIRS": draw.choice([1, 512]),
        "workers.pool.REPLY_LIMIT": draw.choice([1, 300, 4 << 20]),
        "workers.worker.PROGRAM_LIMIT": draw.choice([1, 16]),
        "kernel.outlets.PACK_BYTES": draw.choice([1, 300, 1 << 20]),
        "kernel.outlets.CHUNK_PAIRS": draw.choice([1, 7, 8192]),
        "connectors.memory.SLICE_RECORDS": 1024 if crowded else draw.choice([7, 1024]),
        "connectors.record_slices.SLICE_RECORDS": draw.choice([1, 7, 1024]),
        "connectors.splitting.SLICE_BYTES": draw.choice([16, 100, 1 << 20]),
        "connectors.file_blocks.BLOCK_BYTES": draw.choice([1, 30, 1 << 20]),
        "connectors.mixed_files._AHEAD": draw.choice([1, 4]),
        "connectors.plain_files.SMALL_BYTES": draw.choice([0, 64 << 10]),
        "engines.local.MOST_JOBS": 64 if crowded else draw.choice([1, 2, 64]),
    }
