"""Runs of any shape, fed in any portions, give the values of every key whole and in input order."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import Slice, decode_pairs, encode_block
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from asyncmr.kernel.sorted_runs import SortedLayout
from tests.kernel.feeds import RunFeed, driven, pieces_of

PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 99)), max_size=20)


class Colliding(KeyHasher):
    """Gives several keys one place."""

    def places(self, keys, kinds=None):
        return [float(ord(key) % 3) for key in keys]


def listed(key, values):
    yield key, list(values)


def first_only(key, values):
    yield key, next(values)


def program(reduction, *, sorts, hasher):
    partitioning = Partitioning(1, partitioner=None, hasher=hasher)
    return StepProgram(
        mapper=first_only,
        decoder=TextLines(),
        encoder=PairFormat(),
        reduction=reduction,
        layout=SortedLayout(partitioning, by_key=sorts),
    )


def blocks_of(pairs, sizes, *, sorts, hasher):
    """A sorted run of these pairs as blocks of the given sizes; a key may span several."""
    keys = [key for key, _ in pairs]
    places = keys if sorts else hasher.places(keys)
    order = sorted(range(len(pairs)), key=lambda index: places[index])
    run = Slice([places[i] for i in order], [keys[i] for i in order], [pairs[i][1] for i in order], None)
    blocks = []
    for size in [*sizes, len(pairs)]:
        head, run = run.cut(size)
        if head.keys:
            blocks.append(encode_block(head, placed=not sorts))
    return blocks


@pytest.mark.parametrize("sorts", [False, True])
@pytest.mark.parametrize("hasher", [KeyHasher(), Colliding()], ids=["hashed", "colliding"])
@given(runs=st.lists(PAIRS, max_size=5), sizes=st.lists(st.integers(1, 5), max_size=6))
def test_a_reducer_gets_each_key_once_with_its_values_in_input_order(sorts, hasher, runs, sizes):
    fed = [blocks for pairs in runs if (blocks := blocks_of(pairs, sizes, sorts=sorts, hasher=hasher))]
    want = defaultdict(list)
    for pairs in runs:
        for key, value in pairs:
            want[key].append(value)
    reduce = program(GroupReduction(None, listed), sorts=sorts, hasher=hasher).reduce
    items, facts = driven(reduce((0, True), RunFeed(fed))) if fed else ([], {"pairs": 0})
    keys, values = decode_pairs(b"".join(data for _, data in items))
    assert dict(zip(keys, values, strict=True)) == want
    assert len(keys) == len(want)
    assert keys == sorted(keys) if sorts else hasher.places(keys) == sorted(hasher.places(keys))
    assert facts["pairs"] == sum(map(len, runs))


def one_key(blocks, each):
    return [encode_block(Slice([1.0] * each, ["k"] * each, list(range(each)), None), placed=True)] * blocks


def test_a_key_larger_than_a_round_streams_through_its_reducer():
    """The reducer takes a value and stops: what was fed until then is all that was ever held."""
    feed = RunFeed([one_key(50, 10), one_key(50, 10)])
    seen: list[tuple[int, int]] = []

    def watching(key, values):
        seen.extend((feed.rounds, value) for value in values)
        yield key, len(seen)

    reduce = program(GroupReduction(None, watching), sorts=False, hasher=KeyHasher()).reduce
    items, _ = driven(reduce((0, True), feed))
    assert decode_pairs(items[0][1]) == (["k"], [1000])
    assert seen[0][0] < seen[-1][0] - 50, "the first value came only after most blocks were fed"


def test_values_that_a_reducer_leaves_are_passed_over():
    feed = RunFeed([one_key(3, 2), one_key(2, 2)])
    reduce = program(GroupReduction(None, first_only), sorts=False, hasher=KeyHasher()).reduce
    items, _ = driven(reduce((0, True), feed))
    assert decode_pairs(items[0][1]) == (["k"], [0])


def test_merging_neighbours_and_reducing_later_gives_what_reducing_at_once_gives():
    hasher = KeyHasher()
    runs = [[(key, number) for key in "abc"] for number in range(6)]
    fed = [blocks_of(pairs, [2], sorts=False, hasher=hasher) for pairs in runs]
    step = program(FoldReduction(max), sorts=False, hasher=hasher)
    at_once, _ = driven(step.reduce((0, True), RunFeed(fed)))
    merged = [pieces_of(driven(step.combine((0, True), RunFeed(fed[at : at + 3])))[0]) for at in (0, 3)]
    later, _ = driven(step.reduce((0, True), RunFeed(merged)))
    assert at_once == later
