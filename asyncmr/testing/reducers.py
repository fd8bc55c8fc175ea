"""`check_reducer`: does what reduces a job's values give the same result however the engine groups them?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

from asyncmr.asynchronous import is_async
from asyncmr.errors import CombinerError, MapperError, OperatorError, ReducerError, UsageError, UserCodeError
from asyncmr.functions import Combiner, Fold, Reducer
from asyncmr.job import Job, Step
from asyncmr.kernel.counterexamples import Counterexample, Kept
from asyncmr.kernel.examining import Examiner
from asyncmr.kernel.failures import UserFailure, excerpt
from asyncmr.kernel.likeness import TOLERANCE
from asyncmr.kernel.operators import Operator, operator_of
from asyncmr.kernel.passing import passed
from asyncmr.protocols import Aggregator
from asyncmr.testing.generated import MOST_VALUES, Group, generated, sublists
from asyncmr.testing.grouped import Contexts, grouped, result_of

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def check_reducer(
    job: Job | None = None,
    examples: Mapping[Any, Iterable[Any]] | Iterable[Any] = (),
    *,
    records: Iterable[Any] | Mapping[str, Iterable[Any]] = (),
    strategy: SearchStrategy[Any] | None = None,
    combiner: Combiner | None = None,
    reducer: Reducer | None = None,
    fold: Fold | None = None,
    aggregator: Aggregator | None = None,
    commutative: bool = False,
    key: Any = "key",
    groups: int = 200,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """Looks for values of which a job would make different results, depending on how its work is cut into tasks.

        def test_means_are_reduced_right():
            check_reducer(job, [1, 2, 6])
            check_reducer(fold=merge_intervals, examples={"a": [(0, 2), (1, 5)], "b": [(7, 9)]})
            check_reducer(job, records=["to be", "or not to be"])
            check_reducer(fold=operator.add, strategy=st.integers())

    Takes a job, or the functions that its last step would have. `examples`: values that a key may have, or a mapping
    of keys to values; values without a key are those of `key`. `records`: what the job's first mapper gets, as
    `(None, record)`, or for named mappers a mapping of their names to records; all steps are run on them, and each is
    checked on the values that it meets. `strategy`: a Hypothesis strategy for one value.

    Checked are the examples, their sublists, and as many as `groups` groups of values made of them, by repeating and
    joining sublists, the same ones for the same `seed`; of a strategy, as many groups of its values. A combiner runs
    not at all, once and many times on neighbouring values, a fold in any bracketing, an aggregator in any tree of add
    and merge; with `commutative=True`, or a job that says so, values change places as well. Nothing may change the
    values that it gets, nor give another result the next time. Numbers that are rounded may differ by `tolerance`,
    relative to the largest number in sight.

    Raises:
        OperatorError: a counterexample, with as few values as could be found; also an AssertionError.
        UserCodeError: a function yielded no pairs, or a mapper raised. What others raise for the examples themselves
            goes through, with a note.
        UsageError: there is nothing to check, or nothing to check it with.
    """
    if any(function is not None for function in (combiner, reducer, fold, aggregator)):
        if job is not None:
            raise UsageError("check_reducer takes a job or its functions, not both")
        job = Job(mapper=passed, name="checked").replace(
            combiner=combiner, reducer=reducer, fold=fold, aggregator=aggregator
        )
    if job is None:
        raise UsageError("check_reducer takes a job, or one of reducer=, fold= and aggregator=")
    steps = [step for step in job.steps if step.reduces]
    if not steps:
        raise UsageError(f"job {job.title!r} reduces nothing, so there is nothing to check")
    given = _as_groups(examples, key)
    if len(steps) > 1 and (given or strategy is not None):
        raise UsageError(
            f"job {job.title!r} has {len(steps)} steps that reduce, each with values of its own: pass records=, "
            "of which the steps make their values, or check the jobs one by one"
        )
    with_records = records if isinstance(records, Mapping) else list(records)
    for step in job.steps:
        if is_async(step.reducer) or (with_records and any(map(is_async, step.mappers))):
            raise UsageError(
                f"job {job.title!r} has async functions, and check_reducer calls functions without an event loop; "
                "check the job with plain functions in their place"
            )
    if not given and not with_records and strategy is None:
        raise UsageError("check_reducer needs something to try: examples, records= or strategy=")

    def check(step: Step, number: int | None = None) -> _Check:
        where = "" if number is None or len(job.steps) == 1 else f", step {number + 1}"
        return _Check(job, step, f"job {job.title!r}{where}", commutative, groups, seed, tolerance)

    contexts = Contexts()
    try:
        if given or strategy is not None:
            with contexts.of(steps[0]):
                if given:
                    check(steps[0]).on_examples(given)
                if strategy is not None:
                    check(steps[0]).on_strategy(strategy, key)
        if with_records:
            for number, step, made in grouped(job, with_records, contexts):
                with contexts.of(step):
                    check(step, number).on_examples(made)
    except UserFailure as failure:
        raise _blamed(job, failure) from failure.__cause__


def _as_groups(examples: Mapping[Any, Iterable[Any]] | Iterable[Any], key: Any) -> list[Group]:
    by_key = examples if isinstance(examples, Mapping) else {key: examples}
    groups = [
        Group(name, [Kept.even_if_unpicklable(value) for value in values]) for name, values in by_key.items()
    ]
    return [group for group in groups if group.values]


def _blamed(job: Job, failure: UserFailure) -> UserCodeError:
    kinds: dict[str, type[UserCodeError]] = {"mapper": MapperError, "combiner": CombinerError}
    kind = kinds.get(failure.facts["role"], ReducerError)
    return kind(f"job {job.title!r}: {failure}", job=job.title, excerpt=failure.facts.get("excerpt"))


class _Check:
    """One step under examination."""

    def __init__(
        self, job: Job, step: Step, where: str, commutative: bool, groups: int, seed: int, tolerance: float
    ) -> None:
        operator = operator_of(step, lone=True)
        assert operator is not None
        self._operator: Operator = operator
        self._where = where
        self._job = job
        self._count = groups
        self._seed = seed
        ordered = commutative or step.commutative
        self._quick = Examiner(operator, commutative=ordered, tolerance=tolerance)
        self._thorough = Examiner(operator, commutative=ordered, thorough=True, tolerance=tolerance)

    def on_examples(self, groups: list[Group]) -> None:
        for group in groups:
            self._result(group)
        # Small ones first, so that what is found is small.
        made = generated(groups, self._count, Random(self._seed))
        for group in chain(sublists(groups, self._count), made, groups):
            examiner = self._thorough if len(group.values) <= MOST_VALUES else self._quick
            self._raise_if(examiner.smallest(group.key, group.values))

    def on_strategy(self, strategy: SearchStrategy[Any], key: Any) -> None:
        try:
            from hypothesis import HealthCheck, find, settings
            from hypothesis import strategies as st
            from hypothesis.errors import NoSuchExample
        except ImportError:
            raise UsageError(
                "strategy= takes a Hypothesis strategy, and Hypothesis is not installed; "
                'pip install "asyncmr[test]", or pass examples'
            ) from None
        if not isinstance(strategy, st.SearchStrategy):
            raise UsageError(
                f"strategy={excerpt(strategy)} is no Hypothesis strategy; pass st.integers(), say, or "
                "values as examples"
            )

        def fails(values: list[Any]) -> bool:
            group = Group(key, [Kept.even_if_unpicklable(value) for value in values])
            return self._raises(group) or self._thorough.counterexample(key, group.values) is not None

        quiet = settings(
            max_examples=self._count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        lists = st.lists(strategy, min_size=1, max_size=MOST_VALUES)
        try:
            values = find(lists, fails, settings=quiet, random=Random(self._seed))
        except NoSuchExample:
            return
        group = Group(key, [Kept.even_if_unpicklable(value) for value in values])
        self._result(group)
        self._raise_if(self._thorough.smallest(key, group.values))

    def _raises(self, group: Group) -> bool:
        try:
            result_of(self._operator, group)
        except Exception:
            return True
        return False

    def _result(self, group: Group) -> None:
        """Reduces values that are said to be possible, as a job would; what that raises goes through."""
        try:
            result_of(self._operator, group)
        except UserFailure:
            raise
        except Exception as error:
            values = [value.copy() for value in group.values]
            error.add_note(
                f"raised by {self._operator.name} for the key {excerpt(group.key)} and the values {excerpt(values)}"
            )
            raise

    def _raise_if(self, found: Counterexample | None) -> None:
        if found is not None:
            raise OperatorError(
                f"{self._where}: {found}", job=self._job.title, excerpt=found.key, **found.facts()
            )
