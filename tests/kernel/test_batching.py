"""Batch functions at work on a split: what they get, where batches end, and what becomes of what they return."""

import operator
import re
from collections import Counter
from itertools import pairwise

import pytest

import asyncmr
from asyncmr import batch
from asyncmr.aggregators import Count, Sum
from asyncmr.errors import UsageError
from asyncmr.kernel import batching, outlets
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.batching import mapper_for
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.decoding import PairBlocks, TextLines
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.grouping import GroupReduction
from tests.kernel.feeds import Rounds, driven
from tests.kernel.test_mapping import TEXT, step, total

LINES = TEXT.decode().splitlines()


def seen(kind, data, decoder=None):
    """What a batch function of this kind gets, call by call."""
    calls = []

    @kind
    def mapper(keys, values):
        calls.append((keys, values))
        return {}

    _, facts = driven(step(mapper, decoder=decoder).map((0, True, False, b""), Rounds([data])))
    return calls, facts


def test_records_come_in_lists_of_about_the_size():
    calls, facts = seen(batch(size=100), TEXT)
    assert all(keys is None for keys, _ in calls)
    assert [line for _, lines in calls for line in lines] == LINES
    assert {len(lines) for _, lines in calls[:-1]} == {100 // len("w0 x y\n")}
    assert facts["records"] == len(LINES)


def test_blocks_come_as_the_whole_lines_they_are_in_the_file():
    data = b"a\r\n\xff b\nc"
    calls, facts = seen(batch("bytes", size=7), data)
    assert calls == [(None, b"a\r\n\xff b\n"), (None, b"c")]
    assert facts["records"] == 3


def test_keys_come_beside_the_values_where_there_are_some():
    blocks = encode_pairs([1, 2], ["a", "b"]) + encode_pairs([3], ["c"])
    assert seen(batch, blocks, PairBlocks())[0] == [([1, 2, 3], ["a", "b", "c"])]
    assert seen(batch, blocks, PairBlocks(keyed=False))[0] == [(None, ["a", "b", "c"])]


def test_arrow_tables_have_a_column_of_values_and_one_of_keys():
    pytest.importorskip("pyarrow")
    [(keys, table)], facts = seen(batch("arrow"), TEXT)
    assert (keys, table.to_pydict()) == (None, {"value": LINES})
    assert facts["records"] == len(LINES)
    [(keys, table)], _ = seen(batch("arrow"), encode_pairs([1, 2], ["a", "b"]), PairBlocks())
    assert (keys, table.to_pydict()) == (None, {"key": [1, 2], "value": ["a", "b"]})


@batch(size=500)
def counted(_keys, lines):
    return Counter(" ".join(lines).split())


@batch(size=500)
def ones(_keys, lines):
    words = " ".join(lines).split()
    return words, [1] * len(words)


@batch("bytes", size=500)
def alone(_keys, block):
    return block.decode().split(), None


@batch(size=200)
def now_this_now_that(_keys, lines):
    """Partials and values by turns, and sometimes nothing."""
    words = " ".join(lines).split()
    if "w0" not in words:
        return {}
    return Counter(words) if len(words) % 2 else (words, [1] * len(words))


def in_order(key, values):
    yield key, list(values)


WORDS = Counter(TEXT.decode().split())
CASES = {
    "fold of a mapping": (counted, FoldReduction(operator.add), WORDS),
    "fold of columns": (ones, FoldReduction(operator.add), WORDS),
    "count of partials": (counted, AggregateReduction(Count()), WORDS),
    "count of keys": (alone, AggregateReduction(Count()), WORDS),
    "sum of values": (ones, AggregateReduction(Sum()), WORDS),
    "combiner and reducer": (counted, GroupReduction(total, total), WORDS),
    "reducer of columns": (ones, GroupReduction(None, total), WORDS),
    "both forms": (now_this_now_that, AggregateReduction(Sum()), None),
    "only maps": (ones, None, None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_small_job_counts_the_same_words(case):
    mapper, reduction, expected = CASES[case]
    items, _ = driven(step(mapper, reduction).map((0, True, True, b""), Rounds([TEXT])))
    pairs = [pair for _, data in items for pair in zip(*decode_pairs(data), strict=True)]
    if expected is not None:
        assert dict(pairs) == expected
    elif reduction is None:
        assert pairs == [(word, 1) for word in TEXT.decode().split()]


@pytest.mark.parametrize("case", CASES)
def test_a_split_of_slow_batches_handed_back_and_finished_gives_the_same_bytes(case, monkeypatch):
    mapper, reduction, _ = CASES[case]
    monkeypatch.setattr(
        outlets, "TABLE_BYTES", 10_000
    )  # several flushes, none of them in the first two batches
    whole, facts = driven(step(mapper, reduction).map((5, True, False, b""), Rounds([TEXT])))
    monkeypatch.setattr(batching, "_PATIENCE", 0.0)
    monkeypatch.setattr(batching, "_SHARE", 0.0)
    begun, left = driven(step(mapper, reduction).map((5, False, False, b""), Rounds([TEXT])))
    shares = [driven(step(mapper, reduction).share(cut, Rounds([TEXT]))) for cut in pairwise(left["left"])]
    assert len(shares) > 5
    fed = [data for _, data in begun] + [data for items, _ in shares for _, data in items]
    ended, end_facts = driven(step(mapper, reduction).resume((5, left["state"], b""), Rounds(fed)))
    assert ended == whole
    assert end_facts["pairs_out"] == facts["pairs_out"]
    assert left["records"] + sum(share["records"] for _, share in shares) == facts["records"]


def test_a_long_column_is_written_in_chunks():
    @batch
    def many(_keys, lines):
        return range(50_000), None

    items, facts = driven(step(many).map((0, True, False, b""), Rounds([b"x\n"])))
    assert len(items) > 5
    assert [key for _, data in items for key in decode_pairs(data)[0]] == list(range(50_000))
    assert facts == {"records": 1, "pairs": 50_000, "pairs_out": 50_000}


def test_a_table_is_flushed_when_columns_fill_it():
    @batch(size=70)
    def many(_keys, lines):
        return [f"{lines} {number}" for number in range(100)], None

    items, _ = driven(
        step(many, AggregateReduction(Count()), table_bytes=100_000).map(
            (0, True, False, b""), Rounds([TEXT])
        )
    )
    assert len({flush for (_, flush, *_), _ in items}) > 5


def failure(mapper, reduction=None, data=TEXT, decoder=None):
    with pytest.raises(UserFailure) as caught:
        driven(step(mapper, reduction, decoder=decoder).map((0, True, False, b""), Rounds([data])))
    return caught.value


@pytest.mark.parametrize("raised", [ValueError, StopIteration, KeyboardInterrupt])
def test_a_failing_batch_is_named_by_its_first_and_last_byte(raised):
    @batch(size=70)
    def failing(_keys, lines):
        if lines == LINES[10:20]:
            raise raised
        return {}

    error = failure(failing)
    assert (error.facts["position"], error.facts["last"]) == (70, 139)
    assert f"failing raised {raised.__name__}" in str(error)
    assert isinstance(error.__cause__, raised)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "<lambda> returned None, of type NoneType; a batch function returns"),
        (([1], []), "1 keys and 0 values"),
        (([[1]], [2]), "the key [1] cannot be hashed"),
        (([[1], [1]], [2, 3]), "the key [1] cannot be hashed"),
    ],
)
@pytest.mark.parametrize(
    "reduction",
    [FoldReduction(max), AggregateReduction(Count()), AggregateReduction(Sum()), GroupReduction(None, total)],
    ids=["fold", "count", "sum", "group"],
)
def test_what_is_no_column_is_the_mappers_fault_and_told_with_the_batch(reduction, returned, said):
    error = failure(batch(size=70)(lambda keys, values: returned), reduction)
    assert re.search(re.escape(said), str(error))
    assert (error.facts["role"], error.facts["position"], error.facts["last"]) == ("mapper", 0, 69)


def test_a_fold_that_raises_is_the_folds_fault():
    error = failure(batch(lambda keys, values: (["k", "k"], [1, "one"])), FoldReduction(max))
    assert error.facts["role"] == "fold"


def test_records_that_are_no_arrow_column_are_said_not_to_be():
    pytest.importorskip("pyarrow")
    blocks = encode_pairs([None, None], [1, "one"])
    error = failure(batch("arrow")(lambda keys, table: {}), data=blocks, decoder=PairBlocks(keyed=False))
    assert "make no Arrow columns; ask for a list" in str(error)
    assert (error.facts["position"], error.facts["last"]) == (0, 1)


def test_blocks_are_had_of_text_only():
    assert mapper_for(alone, TextLines()) is alone
    with pytest.raises(UsageError, match="alone is a batch\\('bytes'\\) function, and only lines of text"):
        mapper_for(alone, PairBlocks())


def test_another_function_takes_over_where_a_form_cannot_be_had(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    second = batch("bytes", otherwise=counted)(lambda keys, block: {})
    first = batch("arrow", otherwise=second)(lambda keys, table: {})
    assert mapper_for(first, TextLines()) is second
    assert mapper_for(first, PairBlocks()) is counted


def test_arrow_is_asked_for_by_name_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=re.escape("asyncmr[arrow]")):
        mapper_for(batch("arrow")(lambda keys, table: {}), TextLines())


def test_what_takes_more_memory_than_there_is_gives_way():
    @batch
    def plain(_keys, lines):
        return lines, None

    @batch(otherwise=plain, memory="64 MiB")
    def heavy(_keys, lines):
        return lines, None

    assert mapper_for(heavy, TextLines(), 64 << 20) is heavy
    assert mapper_for(heavy, TextLines(), (64 << 20) - 1) is plain
    with pytest.raises(UsageError, match=r"takes 1,024 bytes in each worker.*leaves 0; raise memory="):
        mapper_for(batch(memory=1024)(lambda keys, lines: (lines, None)), TextLines(), 0)


def test_mappers_of_records_take_any_input():
    assert mapper_for(total, PairBlocks()) is total
    assert mapper_for(counted, PairBlocks()) is counted


def test_the_name_is_public():
    assert asyncmr.batch is batch
