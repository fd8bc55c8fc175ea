"""Mapping in batches, handing a slow split back, and going on with it elsewhere."""

import operator
import re
from itertools import pairwise

import pytest

from asyncmr.aggregators import Count, Sum
from asyncmr.kernel import mapping
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.decoding import PairBlocks, TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.mapping import BATCH, Mapping
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.program import StepProgram
from tests.kernel.feeds import Rounds, driven

TEXT = b"".join(b"w%d x y\n" % (number % 7) for number in range(900))


def words(_key, line):
    for word in line.split():
        yield word, 1


def total(key, values):
    yield key, sum(values)


def step(mapper, reduction=None, decoder=None, **sizes):
    partitioning = Partitioning(3, partitioner=None, hasher=KeyHasher())
    return StepProgram(
        mapper=mapper,
        decoder=decoder or TextLines(),
        encoder=PairFormat(),
        reduction=reduction,
        layout=BucketLayout(partitioning, 2) if reduction else None,
        **sizes,
    )


def test_all_batches_but_the_last_are_full():
    work = Mapping(words, TextLines(), memoryview(TEXT), 0, len(TEXT))
    sizes = [len(batch) for batch in work.batches()]
    assert set(sizes[:-1]) == {BATCH}
    assert sum(sizes) == work.pairs == 2700
    assert work.records == 900


REDUCTIONS = {
    "none": None,
    "fold": FoldReduction(operator.add),
    "count": AggregateReduction(Count()),
    "sum": AggregateReduction(Sum()),
    "combiner": GroupReduction(total, total),
    "group": GroupReduction(None, total),
}


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS)
def test_a_split_handed_back_and_finished_in_shares_gives_the_same_bytes(reduction, monkeypatch):
    whole, facts = driven(step(words, reduction).map((5, True, False, b""), Rounds([TEXT])))
    monkeypatch.setattr(mapping, "_PATIENCE", 0.0)
    monkeypatch.setattr(mapping, "_SLOW_RECORD", 0.0)
    monkeypatch.setattr(mapping, "_SHARE", 0.0)
    monkeypatch.setattr(mapping, "_MOST_SHARES", 20)
    begun, left = driven(step(words, reduction).map((5, False, False, b""), Rounds([TEXT])))
    shares = [driven(step(words, reduction).share(cut, Rounds([TEXT]))) for cut in pairwise(left["left"])]
    fed = [data for _, data in begun] + [data for items, _ in shares for _, data in items]
    ended, end_facts = driven(step(words, reduction).resume((5, left["state"], b""), Rounds(fed)))
    assert ended == whole
    assert end_facts["pairs_out"] == facts["pairs_out"]
    assert left["records"] + sum(share["records"] for _, share in shares) == facts["records"]
    assert len(shares) > 1


def failing(_key, line):
    yield line, 1
    if line == "w3 x y":
        raise ValueError("three")


def test_a_failing_record_is_named_by_its_position():
    with pytest.raises(UserFailure) as caught:
        driven(step(failing).map((0, True, False, b""), Rounds([TEXT])))
    assert caught.value.facts["position"] == 3 * len("w3 x y\n")
    assert caught.value.facts["excerpt"] == "'w3 x y'"
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("mapper", "said"),
    [
        (lambda k, v: None, "must yield pairs"),
        (lambda k, v: 7, "must yield pairs"),
        (lambda k, v: ["ab"], "not a (key, value) pair"),
        (lambda k, v: [(1, 2, 3)], "not a (key, value) pair"),
        (lambda k, v: [([1], 2)], "cannot be hashed"),
    ],
)
def test_what_is_no_pair_is_said_to_be_none(mapper, said):
    with pytest.raises(UserFailure, match=re.escape(said)):
        driven(step(mapper, FoldReduction(max)).map((0, True, False, b""), Rounds([TEXT])))


def test_records_reach_the_mapper_with_their_keys_where_they_have_some():
    from asyncmr.kernel.blocks import decode_pairs, encode_pairs

    def swapped(key, value):
        return [(value, key)]

    items, _ = driven(
        step(swapped, decoder=PairBlocks()).map(
            (0, True, False, b""), Rounds([encode_pairs([1, 2], ["a", "b"])])
        )
    )
    assert decode_pairs(items[0][1]) == (["a", "b"], [1, 2])
