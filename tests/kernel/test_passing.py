"""Pairs pass through a shuffle, as they are and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import Slice, decode_pairs
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.ordering import in_order_of_keys
from asyncmr.kernel.outlets import CHUNK_PAIRS, ChunkOutlet, ColumnBatch, Item
from asyncmr.kernel.passing import PassingReduction, joined

RUNS = st.lists(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers())), max_size=6)


@given(runs=RUNS)
def test_joined_slices_are_in_order_of_keys_and_equal_ones_as_they_came(runs):
    slices = [Slice((), [key for key, _ in run], [value for _, value in run], None) for run in runs]
    got = in_order_of_keys(joined(slices))
    want = sorted((pair for run in runs for pair in run), key=lambda pair: pair[0])
    assert list(zip(got.keys, got.values, strict=True)) == want


def test_the_first_pair_that_is_none_is_named():
    reduction = PassingReduction()
    with pytest.raises(UserFailure, match=r"gave \(1, 2, 3\), which is not a \(key, value\) pair"):
        reduction.absorb(reduction.table(), [(1, 2), (1, 2, 3)])  # type: ignore[list-item]


def test_what_was_taken_from_a_table_outlives_its_clearing():
    reduction = PassingReduction()
    table = reduction.table()
    reduction.absorb(table, [(1, "a"), (1, "b")])
    keys, values, _ = reduction.partials(table)
    table.clear()
    assert (len(table), keys, values) == (0, [1, 1], ["a", "b"])


@given(sizes=st.lists(st.integers(0, 3000), max_size=12))
def test_chunks_end_at_the_same_pairs_in_whatever_portions_these_come(sizes):
    outlet, total = ChunkOutlet(PairFormat(), 0, role="reducer"), 0
    data: list[Item] = []
    for size in sizes:
        data += outlet.add_columns(ColumnBatch(list(range(total, total + size)), [None] * size))
        total += size
    data += outlet.finish()
    chunks = [decode_pairs(chunk)[0] for _, chunk in data]
    assert [key for chunk in chunks for key in chunk] == list(range(total))
    assert all(len(chunk) == CHUNK_PAIRS for chunk in chunks[:-1])
