"""Preparing: a job's setup, run once in a worker before the first task that needs what it makes.

The setup travels as bytes of its own, whose hash names what it made: the steps and jobs of a worker that have the same
setup share that, and it goes with the last program that holds it.
"""

from __future__ import annotations

import pickle
from collections.abc import MutableMapping
from dataclasses import dataclass

from asyncmr.contexts import Context
from asyncmr.kernel.failures import UserFailure

Shared = MutableMapping[int, Context]
"""What the setups of a worker have made, by their `id`."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A function without arguments, pickled. `name`: what a message calls it. `following`: the stage of a next step
    that it belongs to, if it is not of this one."""

    id: int
    data: bytes
    name: str
    following: str | None = None

    def made(self, shared: Shared) -> Context:
        """What it made in this worker, now or before."""
        context = shared.get(self.id)
        if context is None:
            try:
                context = Context(pickle.loads(self.data)())
            except BaseException as error:
                where = {} if self.following is None else {"following": self.following}
                message = f"the setup {self.name} raised {type(error).__name__}"
                raise UserFailure("setup", message, **where) from error
            shared[self.id] = context
        return context


class Preparation:
    """What the functions of one program are to find ready: those of its `step`, and of a step that follows at once.

    Where only one of them has a setup, the functions of the other see nothing of it.
    """

    def __init__(self, step: Setup | None, following: Setup | None) -> None:
        self._setups: tuple[Setup | None, Setup | None] | None = (step, following)
        self.step: Context | None = None
        self.following: Context | None = None

    def make(self, shared: Shared) -> None:
        """Runs what has not run in this worker yet."""
        if self._setups is not None:
            step, following = self._setups
            self.step = None if step is None else step.made(shared)
            self.following = None if following is None else following.made(shared)
            self._setups = None  # a closure may hold much
