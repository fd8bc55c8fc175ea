"""A reduction that verifies does what the other does, and finds counterexamples among the values that it meets."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Job
from asyncmr.counters import counting
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.likeness import alike
from asyncmr.kernel.passing import passed
from asyncmr.kernel.reductions import reduction_of
from asyncmr.kernel.verifying import VerifyingFolds, VerifyingGroups
from asyncmr.kernel.watching import CANDIDATES, WINDOW
from tests.family import listed, total
from tests.operators import INCREASING, RIGHT, WRONG

FOLDING = [name for name, (job, _) in WRONG.items() if job.reducer is None]
GROUPING = [name for name, (job, _) in WRONG.items() if job.reducer is not None]
COMBINING = [name for name in GROUPING if WRONG[name][0].combiner is not None]


def verifying(job, share=1.0):
    reduction = reduction_of(job.steps[-1], share)
    assert isinstance(reduction, VerifyingFolds | VerifyingGroups)
    return reduction


def column(key, values):
    return Slice((), [key] * len(values), list(values), None)


def plain(job):
    reduction = reduction_of(job.steps[-1])
    assert reduction is not None
    return reduction


def reduced(reduction, batches, cut):
    """What batches become that are absorbed in two tasks, cut in two there, and then gathered."""
    merged = reduction.table()
    for task in (batches[:cut], batches[cut:]):
        table = reduction.table()
        for batch in task:
            reduction.absorb(table, batch)
        reduction.gather(merged, Slice((), *reduction.partials(table)))
    return list(reduction.results(list(merged), merged))


@pytest.mark.parametrize("name", RIGHT)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_right_operators_give_what_they_give_without(name, data):
    job, values = RIGHT[name]
    pairs = st.tuples(st.integers(0, 2), values)
    batches = data.draw(st.lists(st.lists(pairs, max_size=6), max_size=5))
    cut = data.draw(st.integers(0, 5))
    before = pickle.dumps(batches)
    got = reduced(verifying(job), batches, cut)
    assert alike(got, reduced(plain(job), pickle.loads(before), cut), scale=0.0, tolerance=0.0)


def in_batches(reduction, values, size):
    table = reduction.table()
    for start in range(0, len(values), size):
        reduction.absorb(table, [("key", value) for value in values[start : start + size]])


def runs_of(reduction, values):
    """What tasks with one value each make."""
    for value in values:
        table = reduction.table()
        reduction.absorb(table, [("key", value)])
        yield Slice((), *reduction.partials(table))


def in_one_table(reduction, runs):
    table = reduction.table()
    for run in runs:
        reduction.gather(table, run)


@pytest.mark.parametrize("name", FOLDING)
@given(values=INCREASING, size=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_a_wrong_fold_is_found_among_the_values_of_a_task(name, values, size):
    job, laws = WRONG[name]
    with pytest.raises(UserFailure) as caught:
        in_batches(verifying(job), values, size)
    assert caught.value.facts["role"] == "operator"
    assert caught.value.facts["attributes"]["law"] in laws
    assert caught.value.facts["attributes"]["key"] == "'key'"


@pytest.mark.parametrize("name", FOLDING)
@given(values=INCREASING)
@settings(max_examples=25, deadline=None)
def test_a_wrong_fold_is_found_in_columns(name, values):
    reduction = verifying(WRONG[name][0])
    with pytest.raises(UserFailure):
        reduction.absorb_columns(reduction.table(), column("key", values))


# Of an aggregator partials show less than values do: to merge in the wrong order is associative by itself.
@pytest.mark.parametrize("name", ["difference", "mean of two", "lopsided", "first", "last"])
@given(values=INCREASING, streamed=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_wrong_fold_is_found_among_the_partials_of_tasks_with_one_value_each(name, values, streamed):
    reduction = verifying(WRONG[name][0])
    runs = list(runs_of(reduction, values))
    with pytest.raises(UserFailure):
        list(reduction.stream(iter(runs))) if streamed else in_one_table(reduction, runs)


@pytest.mark.parametrize("way", ["partials", "condense"])
@pytest.mark.parametrize("name", COMBINING)
def test_a_wrong_combiner_is_found_before_it_runs(name, way):
    reduction = verifying(WRONG[name][0])
    table = reduction.table()
    reduction.absorb(table, [("key", value) for value in (10, 20, 60)])
    with pytest.raises(UserFailure) as caught:
        getattr(reduction, way)(table)
    assert caught.value.facts["attributes"]["law"] == "associative"


@pytest.mark.parametrize("way", ["results", "stream"])
@pytest.mark.parametrize("name", GROUPING)
def test_a_wrong_reducer_is_found_among_the_values_that_reach_it(name, way):
    job, laws = WRONG[name]
    reduction = verifying(job)
    run = column("key", [10, 20, 60])
    table = reduction.table()
    reduction.gather(table, run)
    with pytest.raises(UserFailure) as caught:
        list(reduction.results(["key"], table) if way == "results" else reduction.stream(iter([run])))
    assert caught.value.facts["attributes"]["law"] in laws


def test_the_same_keys_are_chosen_wherever_they_are():
    def examined(keys, share):
        """The keys whose fold is found to be wrong, one table for each."""
        chosen = set()
        reduction = verifying(WRONG["difference"][0], share)
        for key in keys:
            try:
                reduction.absorb(reduction.table(), [(key, 1), (key, 2), (key, 4)])
            except UserFailure:
                chosen.add(key)
        return chosen

    keys = range(2000)
    some, more = examined(keys, 0.1), examined(keys, 0.2)
    assert 100 < len(some) < 300 < len(more) < 500
    assert some < more
    assert examined([float(key) for key in reversed(keys)], 0.1) == some


def test_a_fold_may_change_what_it_is_given():
    """Nobody else holds the values that a mapper yields; the values put aside are copies."""

    def fold(a, b):
        a += b
        return a

    job = Job(mapper=passed, fold=fold)
    reduction = verifying(job)
    table = reduction.table()
    reduction.absorb(table, [("key", [number]) for number in range(20)])
    assert list(reduction.results(["key"], table)) == [("key", list(range(20)))]


def test_what_runs_again_raises_no_counters():
    def fold(a, b):
        asyncmr.counter("fold", "calls").increment()
        return a + b

    reduction = verifying(Job(mapper=passed, fold=fold))
    counts: dict[tuple[str, str], int] = {}
    with counting(counts):
        reduction.absorb(reduction.table(), [("key", number) for number in range(20)])
    assert counts == {("fold", "calls"): 19}


def test_a_key_that_was_chosen_early_is_still_watched_when_no_more_are_chosen():
    reduction = verifying(WRONG["difference"][0])
    table = reduction.table()
    others = [(number, 0) for number in range(CANDIDATES)]
    reduction.absorb(table, [("early", 1), *others])
    with pytest.raises(UserFailure, match="'early'"):
        reduction.absorb(table, [("late", 1), ("early", 2), ("late", 2), ("early", 4), ("late", 4)])


def test_only_the_first_pairs_of_a_task_are_looked_at():
    reduction = verifying(WRONG["difference"][0])
    table = reduction.table()
    reduction.absorb(table, [(number, 0) for number in range(WINDOW)])
    reduction.absorb(table, [("late", 1), ("late", 2), ("late", 4)])
    assert table["late"] == -5


def test_values_that_cannot_be_pickled_are_left_to_what_moves_them():
    reduction = verifying(Job(mapper=passed, fold=lambda a, b: a))
    table = reduction.table()
    value = lambda: None  # noqa: E731
    reduction.absorb(table, [("key", value), ("key", value)])
    assert table["key"] is value


@pytest.mark.parametrize("pairs", [[5], ["abc"], [(1, 2, 3)], [([1], 2)]])
@pytest.mark.parametrize("job", [RIGHT["sum"][0], RIGHT["top two"][0]], ids=["fold", "combiner"])
def test_what_is_no_pair_is_told_as_without(job, pairs):
    told = []
    for reduction in (plain(job), verifying(job)):
        with pytest.raises(UserFailure) as caught:
            reduction.absorb(reduction.table(), pairs)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_a_combiner_that_yields_another_key_is_told_as_without():
    job = Job(mapper=passed, combiner=lambda key, values: [("other", sum(values))], reducer=total)
    reduction = verifying(job)
    table = reduction.table()
    reduction.absorb(table, [("key", 1), ("key", 2)])
    with pytest.raises(UserFailure, match="must yield the key") as caught:
        reduction.partials(table)
    assert caught.value.facts["role"] == "combiner"


def test_what_raises_on_the_values_at_once_is_left_to_the_job():
    def reducer(key, values):
        raise LookupError(f"no {key} in {list(values)}")

    reduction = verifying(Job(mapper=passed, reducer=reducer))
    table = reduction.table()
    reduction.absorb(table, [("key", 1), ("key", 2)])
    with pytest.raises(UserFailure, match="LookupError") as caught:
        list(reduction.results(["key"], table))
    assert caught.value.facts["role"] == "reducer"


@pytest.mark.parametrize(
    "job",
    [
        Job(mapper=passed, aggregator=asyncmr.Count()),
        Job(mapper=passed, partitions=2),
        Job(mapper=passed),
    ],
    ids=["count", "passing", "only maps"],
)
def test_what_cannot_go_wrong_is_not_verified(job):
    assert type(reduction_of(job.steps[-1], 1.0)) is type(reduction_of(job.steps[-1]))


def test_nothing_is_verified_unless_asked_for():
    for job in (Job(mapper=passed, fold=max), Job(mapper=passed, reducer=listed)):
        assert not isinstance(reduction_of(job.steps[-1], 0.0), VerifyingFolds | VerifyingGroups)
