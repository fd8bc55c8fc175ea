"""What is shipped to the workers for a job, pickled once.

A job is taken as it is when an engine first runs it: to pickle its functions again at every run would cost as much
as a small job itself. Globals of the user's script that change later are seen by a new `Job`.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Hashable, Mapping

from asyncmr.job import Job
from asyncmr.workers import Program


class Programs:
    """The programs of the jobs that an engine has run and that are still alive."""

    def __init__(self) -> None:
        self._of: dict[int, dict[Hashable, Program]] = {}
        self._alive: dict[int, weakref.ref[Job]] = {}

    def of(
        self,
        job: Job,
        variant: Hashable,
        make: Callable[[], object],
        *,
        parts: Mapping[int, bytes] | None = None,
        name: str = "",
    ) -> Program:
        """The program of one step of `job`; `variant` says which step, and from and to what. `name`: what a message
        calls it.

        Raises:
            UsageError: a function of the job cannot be pickled.
        """
        try:
            return self._of[id(job)][variant]
        except (
            KeyError,
            TypeError,
        ):  # TypeError: a decoder or encoder that cannot be hashed is pickled each time
            program = Program(make(), name=name or f"job {job.title!r}", parts=parts)
        with contextlib.suppress(TypeError):
            self._keep(job)[variant] = program
        return program

    def _keep(self, job: Job) -> dict[Hashable, Program]:
        number = id(job)
        if number not in self._of:
            self._of[number] = {}
            self._alive[number] = weakref.ref(job, lambda _: self._forget(number))
        return self._of[number]

    def _forget(self, number: int) -> None:
        self._of.pop(number, None)
        self._alive.pop(number, None)
