"""Jobs for the tests of faults: how they run, and what they must give."""

from __future__ import annotations

from typing import Any

import asyncmr
from asyncmr import Engine
from asyncmr.pipeline.limits import Limits
from tests.engine.at_rest import is_at_rest

# Every stage with tasks of its own.
STAGED = Limits(fused=0)


async def collected(job, records, *, per_task=10, **engine):
    """Runs a job on an engine of its own, of which it must leave nothing in use, however it ends."""
    options: dict[str, Any] = {"workers": 2, "limits": STAGED} | engine
    async with Engine(**options) as opened:
        try:
            return await opened.collect(job, asyncmr.records(records, records_per_task=per_task))
        finally:
            await is_at_rest(opened)


def remainders(divisor, records):
    """The pairs of a job that lists the records by what is left when they are divided."""
    return [(rest, list(records)[rest::divisor]) for rest in range(divisor)]


def retries(report):
    """How many attempts of a job's tasks were in vain."""
    return sum(stage.retries for stage in report.stages.values())
