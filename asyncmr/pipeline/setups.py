"""The setups of a leg: made ready to be sent to the workers, or, for an async function, run on the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asyncmr.contexts import Context, using
from asyncmr.errors import SetupError
from asyncmr.excerpt import type_name
from asyncmr.job import Job, Step
from asyncmr.kernel.failures import name_of
from asyncmr.kernel.groups import grouped
from asyncmr.kernel.passing import passed
from asyncmr.kernel.preparing import Preparation, Setup
from asyncmr.pipeline.legs import Leg
from asyncmr.pipeline.programs import Programs
from asyncmr.workers import Program


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
    if step.setup is None or not _calls_users(step):
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


@contextmanager
def prepared(job: Job, step: Step, stage: str) -> Iterator[None]:
    """Inside, and in tasks that begin there, `asyncmr.context()` gives what the setup of a step makes here and now.

    Raises:
        SetupError: it raised.
    """
    if step.setup is None:
        with using(None):
            yield
        return
    try:
        context = Context(step.setup())
    except Exception as error:
        kind = type_name(error)
        raise SetupError(
            f"job {job.title!r}, stage {stage!r}: the setup {name_of(step.setup)} raised {kind}\n  {kind}: {error}",
            job=job.title,
            stage=stage,
            exception=kind,
        ) from error
    with using(context):
        yield
