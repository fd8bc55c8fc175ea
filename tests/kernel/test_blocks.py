from itertools import repeat

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel import blocks
from asyncmr.kernel.blocks import Slice, cut_blocks, decode_block, decode_pairs, encode_block, encode_pairs

SCALARS = st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.binary())


@st.composite
def runs(draw):
    keys = draw(st.lists(SCALARS, max_size=30))
    counts = (
        None
        if not keys
        else draw(st.none() | st.lists(st.integers(1, 4), min_size=len(keys), max_size=len(keys)))
    )
    total = len(keys) if counts is None else sum(counts)
    values = draw(st.lists(SCALARS, min_size=total, max_size=total))
    places = sorted(draw(st.lists(st.floats(0, 2.0**64), min_size=len(keys), max_size=len(keys))))
    return Slice(places, keys, values, counts)


def same(a, b):
    return (list(a.places), *a[1:]) == (list(b.places), *b[1:])


@given(runs())
def test_a_block_is_read_back_as_it_was(run):
    assert same(decode_block(memoryview(encode_block(run, placed=True))), run)


@given(runs())
def test_a_sorted_block_has_its_keys_for_places(run):
    assert decode_block(memoryview(encode_block(run, placed=False))).places == run.keys


@given(runs(), st.integers(0, 30))
def test_both_halves_of_a_cut_make_the_whole(run, at):
    head, tail = run.cut(at)
    assert head.keys + tail.keys == run.keys
    assert head.values + tail.values == run.values
    assert len(head.keys) == min(at, len(run.keys))


@given(runs(), st.integers(1, 5))
def test_the_blocks_of_a_run_hold_all_of_it_in_order(run, first):
    pairs = blocks.BLOCK_PAIRS
    blocks.BLOCK_PAIRS = first
    try:
        decoded = [decode_block(memoryview(block)) for block in cut_blocks(run, placed=True)]
    finally:
        blocks.BLOCK_PAIRS = pairs
    assert [key for block in decoded for key in block.keys] == run.keys
    assert [value for block in decoded for value in block.values] == run.values


def test_a_long_run_is_cut_into_many_small_blocks():
    keys = [f"{number:0100}" for number in range(100_000)]
    run = Slice([float(number) for number in range(100_000)], keys, list(repeat(1, 100_000)), None)
    sizes = [len(block) for block in cut_blocks(run, placed=True)]
    assert max(sizes) < 2 * blocks.BLOCK_BYTES
    assert len(sizes) < 3 * sum(sizes) / blocks.BLOCK_BYTES


@given(st.lists(st.lists(st.tuples(SCALARS, SCALARS), max_size=10), max_size=5))
def test_blocks_of_pairs_may_be_put_one_behind_the_other(chunks):
    data = b"".join(encode_pairs([k for k, _ in chunk], [v for _, v in chunk]) for chunk in chunks)
    keys, values = decode_pairs(data)
    assert list(zip(keys, values, strict=True)) == [pair for chunk in chunks for pair in chunk]
