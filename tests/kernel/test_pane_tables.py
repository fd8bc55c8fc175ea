"""What a window comes to, from its panes."""

import operator

import pytest

from asyncmr.aggregators import Count, Distinct, Max, Mean, Sum, TopK
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.pane_tables import merged

PANES = [[("a", 3), ("b", 1), ("a", 2)], [("a", 3), ("c", 9)], [], [("c", 1), ("a", 7)]]
REDUCTIONS: list = [FoldReduction(operator.add), FoldReduction(max), FoldReduction(lambda left, right: right)]
REDUCTIONS += [AggregateReduction(one) for one in (Count(), Sum(), Max(), Mean(), TopK(2), Distinct())]


def table_of(reduction, pairs):
    table = reduction.table()
    reduction.absorb(table, pairs)
    return table


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_window_is_what_its_records_give_in_one_table_and_leaves_the_panes_alone(reduction):
    tables = [table_of(reduction, pairs) for pairs in PANES]
    whole = table_of(reduction, [pair for pairs in PANES for pair in pairs])
    for _ in range(2):
        window = merged(reduction, tables)
        assert list(reduction.results(list(window), window)) == list(reduction.results(list(whole), whole))
    some = merged(reduction, tables, ["c", "none", "a"])
    assert some == {key: whole[key] for key in ("a", "c")}


class Range:
    """Hands one of its arguments on as it is, and changes the left one in place."""

    def zero(self):
        return []

    def add(self, acc, value):
        return self.merge(acc, [value, value])

    def merge(self, left, right):
        if not left:
            return right
        left[:] = min(left[0], right[0]), max(left[1], right[1])
        return left

    def finish(self, acc):
        return acc[1] - acc[0]


def test_an_accumulator_that_is_handed_on_is_never_changed():
    reduction = AggregateReduction(Range())
    tables = [table_of(reduction, pairs) for pairs in PANES]
    merged(reduction, tables)
    assert tables == [table_of(reduction, pairs) for pairs in PANES]
