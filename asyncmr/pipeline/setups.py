"""The setups of a leg: made ready to be sent to the workers, or, for an async function, run on the event loop."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from anyio import move_on_after

from asyncmr.asynchronous import is_async_setup
from asyncmr.contexts import Context, using
from asyncmr.errors import SetupError
from asyncmr.excerpt import message_of, type_name
from asyncmr.job import Job, Step
from asyncmr.kernel.failures import name_of
from asyncmr.kernel.groups import grouped
from asyncmr.kernel.passing import passed
from asyncmr.kernel.preparing import Preparation, Setup
from asyncmr.pipeline.async_function import END_SECONDS
from asyncmr.pipeline.legs import Leg
from asyncmr.pipeline.programs import Programs
from asyncmr.workers import Program

_log = logging.getLogger("asyncmr")


def preparation(
    programs: Programs, job: Job, leg: Leg, following: Leg | None
) -> tuple[Preparation | None, dict[int, bytes]]:
    """What the functions of a leg are to find ready, and those of a next one that follows at once, if they say so; and
    the parts that it is made of.

    Raises:
        UsageError: a setup cannot be pickled.
    """
    if leg.step.setup is None and (following is None or following.step.setup is None):
        return None, {}
    own = _shipped(programs, job, leg)
    others = None if following is None else _shipped(programs, job, following)
    parts = {setup.id: setup.data for setup in (own, others) if setup is not None}
    if not parts:
        return None, parts
    return Preparation(_setup(own, leg), _setup(others, following, stage="map")), parts


def _shipped(programs: Programs, job: Job, leg: Leg) -> Program | None:
    step = leg.step
    if step.setup is None or is_async_setup(step.setup) or not _calls_users(step):
        return None
    return programs.of(job, ("setup", leg.prefix), lambda: step.setup, name=f"the setup of job {job.title!r}")


def _setup(shipped: Program | None, leg: Leg | None, stage: str = "") -> Setup | None:
    if shipped is None or leg is None:
        return None
    return Setup(shipped.id, name_of(leg.step.setup), f"{leg.prefix}{stage}" if stage else None)


def _calls_users(step: Step) -> bool:
    """Whether there is a function of the user's in it: a leg beside an async function may have none."""
    functions = (*step.mappers, step.combiner, step.reducer, step.fold, step.aggregator, step.partitioner)
    return any(function not in (None, passed, grouped) for function in functions)


@asynccontextmanager
async def prepared(job: Job, step: Step, stage: str) -> AsyncIterator[None]:
    """Inside, and in tasks that begin there, `asyncmr.context()` gives what the setup of a step makes here and now.

    What is an async context manager is entered, and left at the end as if all had gone well: how the job ends is not
    for it to decide.

    Raises:
        SetupError: it raised, or what it made did when it was left.
    """
    if step.setup is None:
        with using(None):
            yield
        return
    raised = partial(_raised, job, name_of(step.setup), stage)
    value, manager = None, None
    try:
        value = step.setup()
        if inspect.isawaitable(value):
            value = await value
        if hasattr(value, "__aenter__"):
            manager, value = value, await value.__aenter__()
    except Exception as error:
        raise raised("raised", error) from error
    try:
        with using(Context(value)):
            yield
    except BaseException:
        if manager is not None:
            await _leave(manager, name_of(step.setup))
        raise
    if manager is not None:
        try:
            await manager.__aexit__(None, None, None)
        except Exception as error:
            raise raised("made what raised, when it was left,", error) from error


async def _leave(manager: Any, name: str) -> None:
    """Leaves what a setup made although the job failed or was cancelled: for a moment, and whatever comes of it."""
    try:
        with move_on_after(END_SECONDS, shield=True) as limit:
            await manager.__aexit__(None, None, None)
    except Exception as error:
        _log.warning("what the setup %s made raised when it was left", name, exc_info=error)
    if limit.cancelled_caught:
        _log.warning(
            "what the setup %s made took longer than %g s to be left; it was given up", name, END_SECONDS
        )


def _raised(job: Job, name: str, stage: str, did: str, error: Exception) -> SetupError:
    kind = type_name(error)
    return SetupError(
        f"job {job.title!r}, stage {stage!r}: the setup {name} {did} {kind}\n  {kind}: {message_of(error)}",
        job=job.title,
        stage=stage,
        exception=kind,
    )
