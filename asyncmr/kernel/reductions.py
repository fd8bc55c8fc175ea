"""What a step's combiner and reducer, its fold, or its aggregator compile to, and a shuffle without any of them.

Each of the four is a `Reduction` (see `asyncmr.protocols`) in a file of its own, with one tight loop and no work per
record beside it. One that verifies goes around any of them.
"""

from __future__ import annotations

from asyncmr.aggregators import Count
from asyncmr.job import Step
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.groups import grouped
from asyncmr.kernel.passing import PassingReduction
from asyncmr.protocols import Reduction


def reduction_of(step: Step, verify: float = 0.0) -> Reduction | None:
    """The reduction of a step; None if the step only maps. `verify`: the share of the keys that it is checked on."""
    reduction = _plain_reduction_of(step)
    # Counting needs no check, and what is only grouped has its reducer elsewhere.
    if reduction is None or not verify or type(step.aggregator) is Count or step.reducer is grouped:
        return reduction
    # Imported by those who verify only.
    from asyncmr.kernel.operators import operator_of
    from asyncmr.kernel.verifying import VerifyingFolds, VerifyingGroups

    operator = operator_of(step)
    if operator is None:
        return reduction
    kind = VerifyingFolds if reduction.folds else VerifyingGroups
    return kind(reduction, operator, verify, commutative=step.commutative)


def _plain_reduction_of(step: Step) -> Reduction | None:
    if step.fold is not None:
        return FoldReduction(step.fold)
    if step.aggregator is not None:
        return AggregateReduction(step.aggregator)
    if step.reducer is not None:
        return GroupReduction(step.combiner, step.reducer)
    return PassingReduction() if step.shuffles else None
