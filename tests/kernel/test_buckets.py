"""Runs in buckets: whatever their sizes, a reducer gets every key once, whole, in the order of the hash."""

import math
import operator
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.kernel.blocks import decode_pairs
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from tests.kernel.feeds import Rounds, RunFeed, ShareFeed, driven, pieces_of

HASHER = KeyHasher()
KEYS = st.one_of(st.sampled_from("abcdef"), st.integers(0, 5), st.just(float("nan")))
RUNS = st.lists(
    st.lists(st.tuples(KEYS, st.integers(0, 99)), min_size=1, max_size=20), min_size=1, max_size=5
)


def listed(key, values):
    yield key, list(values)


def program(reduction, *, buckets=1, bucket_bytes=1 << 20, partitions=1, partitioner=None):
    partitioning = Partitioning(partitions, partitioner=partitioner, hasher=HASHER)
    return StepProgram(
        mapper=lambda _key, line: eval(line),
        decoder=TextLines(),
        encoder=PairFormat(),
        reduction=reduction,
        layout=BucketLayout(partitioning, buckets, bucket_bytes=bucket_bytes),
    )


def mapped(step, pairs):
    """The pieces of the run that a map task makes of these pairs."""
    text = repr(pairs).replace("nan", "float('nan')").encode()
    items, _ = driven(step.map((0, True, False, b""), Rounds([text])))
    return pieces_of(items)


def reduced(step, fed, *, refined=False):
    items, facts = driven(step.reduce((0, refined), fed))
    return decode_pairs(b"".join(data for _, data in items)), facts


@pytest.mark.parametrize("refined", [False, True])
@given(runs=RUNS, buckets=st.integers(1, 9), bucket_bytes=st.sampled_from([1, 150, 1 << 20]))
def test_a_reducer_gets_each_key_once_with_its_values_in_input_order(refined, runs, buckets, bucket_bytes):
    step = program(GroupReduction(None, listed), buckets=buckets, bucket_bytes=bucket_bytes)
    pieces = [piece for pairs in runs for piece in mapped(step, pairs)]
    fed: ShareFeed | RunFeed = ShareFeed(pieces)
    if refined:
        middle = len(pieces) // 2
        groups = [group for group in (pieces[:middle], pieces[middle:]) if group]
        fed = RunFeed([pieces_of(driven(step.refine((0,), ShareFeed(group)))[0]) for group in groups])
    (keys, values), facts = reduced(step, fed, refined=refined)
    want = defaultdict(list)
    for pairs in runs:
        for key, value in pairs:
            want[repr(key)].append(value)
    assert dict(zip(map(repr, keys), values, strict=True)) == want
    assert len(keys) == len(want)
    assert HASHER.places(keys) == sorted(HASHER.places(keys))
    assert facts["pairs"] == sum(map(len, runs))


@given(runs=RUNS, buckets=st.integers(1, 9), bucket_bytes=st.sampled_from([1, 1 << 20]))
def test_combining_neighbours_first_changes_nothing(runs, buckets, bucket_bytes):
    step = program(FoldReduction(max), buckets=buckets, bucket_bytes=bucket_bytes)
    pieces = [piece for pairs in runs for piece in mapped(step, pairs)]
    items, facts = driven(step.combine((0, False), ShareFeed(pieces)))
    merged = pieces_of(items)
    assert len(merged) == 1
    once, _ = reduced(step, ShareFeed(pieces))
    later, again = reduced(step, ShareFeed(merged))
    assert repr(once) == repr(later)
    assert facts["pairs_out"] == again["pairs"] == len(once[0])


@given(
    pairs=st.lists(st.tuples(st.text(max_size=3), st.integers()), min_size=1), partitions=st.integers(1, 9)
)
def test_the_order_of_the_output_does_not_depend_on_partitions_or_buckets(pairs, partitions):
    def order(step):
        with pytest.MonkeyPatch.context() as patch:
            # Reduced at once, also on a machine that stops for a while; otherwise these would be runs.
            patch.setattr("asyncmr.kernel.program._FUSED_SECONDS", math.inf)
            items, _ = driven(step.map((0, True, True, b""), Rounds([repr(pairs).encode()])))
        return [key for _, data in items for key in decode_pairs(data)[0]]

    plain = order(program(FoldReduction(operator.add)))
    assert order(program(FoldReduction(operator.add), partitions=partitions, buckets=3)) == plain


def test_a_key_with_endless_values_streams_through_its_reducer():
    """The bucket that holds it is sorted first; its neighbours in the bucket come out in order all the same."""
    seen = []

    def watching(key, values):
        seen.append((key, sum(1 for _ in values)))
        yield key, seen[-1][1]

    step = program(GroupReduction(None, watching), bucket_bytes=1000)
    pieces = [piece for _ in range(30) for piece in mapped(step, [("hot", 1)] * 500 + [("cold", 1)])]
    (keys, values), _ = reduced(step, ShareFeed(pieces))
    assert dict(zip(keys, values, strict=True)) == dict(seen) == {"hot": 15_000, "cold": 30}


def test_a_key_that_is_none_is_refused_though_there_is_but_one_bucket():
    step = program(FoldReduction(operator.add))
    with pytest.raises(Exception, match="cannot be a key") as caught:
        driven(step.map((0, True, False, b""), Rounds([b"[(object(), 1)]"])))
    assert not isinstance(caught.value, UserFailure)
