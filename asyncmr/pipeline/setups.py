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
from asyncmr.workers import Program


def preparation(job: Job, leg: Leg, following: Leg | None) -> Preparation | None:
    """What the functions of a leg are to find ready, and those of a next one that follows at once, if they say so.

    Raises:
        UsageError: a setup cannot be pickled.
    """
    own = _setup(job, leg.step)
    others = None if following is None else _setup(job, following.step, f"{following.prefix}map")
    return None if own is None and others is None else Preparation(own, others)


def _setup(job: Job, step: Step, following: str | None = None) -> Setup | None:
    if step.setup is None or not _calls_users(step):
        return None
    shipped = Program(step.setup, name=f"the setup of job {job.title!r}")
    return Setup(shipped.id, shipped.data, name_of(step.setup), following)


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
