"""What a step's combiner and reducer, its fold, or its aggregator compile to, and a shuffle without any of them.

Each of the four is a `Reduction` (see `asyncmr.job`) in a file of its own, with one tight loop and no work per
record beside it.
"""

from __future__ import annotations

from asyncmr.job import Reduction, Step
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.passing import PassingReduction


def reduction_of(step: Step) -> Reduction | None:
    """The reduction of a step; None if the step only maps."""
    if step.fold is not None:
        return FoldReduction(step.fold)
    if step.aggregator is not None:
        return AggregateReduction(step.aggregator)
    if step.reducer is not None:
        return GroupReduction(step.combiner, step.reducer)
    return PassingReduction() if step.shuffles else None
