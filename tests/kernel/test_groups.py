"""Groups on their way to an async reducer."""

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import decode_pairs, pair_blocks
from asyncmr.kernel.formats import SlicedPairs
from asyncmr.kernel.groups import grouped


@given(
    st.lists(st.one_of(st.integers(), st.text(max_size=3), st.just("x" * 50_000)), min_size=1, max_size=200)
)
def test_all_values_come_in_order_in_pieces_of_bounded_size(values):
    pieces = list(grouped("key", iter(values)))
    assert [value for _, (_, some) in pieces for value in some] == values
    assert [first for _, (first, _) in pieces] == [True] + [False] * (len(pieces) - 1)
    assert {key for key, _ in pieces} == {"key"}


def test_many_values_make_many_pieces():
    sizes = [len(some) for _, (_, some) in grouped("key", iter(range(5000)))]
    assert sum(sizes) == 5000
    assert max(sizes) == 1024


def test_few_large_values_make_many_pieces():
    assert len(list(grouped("key", iter(["x" * 10_000] * 640)))) == 10


@given(st.lists(st.tuples(st.text(max_size=3), st.integers()), max_size=200))
def test_sliced_pairs_are_the_same_pairs_in_small_blocks(pairs):
    data = SlicedPairs().encode([key for key, _ in pairs], [value for _, value in pairs])
    assert list(zip(*decode_pairs(data), strict=True)) == pairs
    assert all(count <= 64 for _, count in pair_blocks(data))
