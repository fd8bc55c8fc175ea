"""Preparing: a job's setup, run once in a worker before the first task that needs what it makes.

The setup is a part of the program that travels by itself, once to each worker, and whose hash names what it made: the
steps and jobs of a worker that have the same setup share that, and it goes with the last program that holds it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from asyncmr.contexts import Context
from asyncmr.kernel.failures import UserFailure

Shared = MutableMapping[int, Context]
"""What the setups of a worker have made, by their `id`."""

Parts = Mapping[int, bytes]
"""Setups, pickled, by their `id`."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A function without arguments. `name`: what a message calls it. `following`: the stage of a next step that it
    belongs to, if it is not of this one."""

    id: int
    name: str
    following: str | None = None

    def made(self, shared: Shared, parts: Parts) -> Context | None:
        """What it made in this worker, now or before; None if that takes a part that is missing."""
        context = shared.get(self.id)
        if context is None and self.id in parts:
            try:
                context = Context(pickle.loads(parts[self.id])())
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
        self._step = step
        self._following = following
        self.step: Context | None = None
        self.following: Context | None = None

    def make(self, shared: Shared, parts: Parts) -> bool:
        """Runs what has not run in this worker yet; False if a part is missing for that."""
        if self._step is not None:
            self.step = self._step.made(shared, parts)
            if self.step is None:
                return False
        if self._following is not None:
            self.following = self._following.made(shared, parts)
        return self._following is None or self.following is not None
