"""Guarded tasks: what fails is left out and told, the rest is as if it had never been there."""

from __future__ import annotations

import marshal
import operator
import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import batch
from asyncmr.aggregators import Count
from asyncmr.counters import Counts, counting
from asyncmr.kernel import batching, guarding, leftout, mapping
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.blocks import Slice, decode_pairs
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.folding import FoldReduction
from asyncmr.kernel.following import FollowingOutlet
from asyncmr.kernel.formats import PairFormat
from asyncmr.kernel.grouping import GroupReduction
from asyncmr.kernel.guarded import guarded_stream
from asyncmr.kernel.guarding import BUNDLE, Guard, Guarding
from asyncmr.kernel.layout import Stretch
from asyncmr.kernel.leftout import Entry
from asyncmr.kernel.marks import NO_MARK, Mark, Place
from asyncmr.kernel.outlets import ChunkOutlet
from tests.kernel.feeds import Rounds, ShareFeed, driven, pieces_of
from tests.kernel.test_mapping import REDUCTIONS, step, total

WHOLE = (0, True, False, b"")


def text_of(records):
    return "".join(f"{record}\n" for record in records).encode()


def fragile(_key, line):
    """Some pairs for a number, before it fails where that is none."""
    yield line[0], 1
    for digit in line:
        yield digit, int(line)


def digits(line):
    return len(line) + 1


@pytest.fixture
def trail(tmp_path):
    path = tmp_path / "trail"
    path.write_bytes(NO_MARK)
    return str(path)


def guarded(program, method, argument, feed, *, skip=None, keep=50, most=None):
    """The items of a guarded task, what it tells by role, and its facts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trail")
        path.write_bytes(NO_MARK)
        items, facts = driven(
            program.guarded((method, argument, Guard(str(path), skip or {}, keep, most)), feed)
        )
        assert path.read_bytes() == NO_MARK
    told: dict[str, list[Entry]] = {}
    for meta, data in items:
        if meta[0] == "skipped":
            told.setdefault(meta[1], []).extend(Entry(*entry) for entry in marshal.loads(data))
    return [item for item in items if item[0][0] != "skipped"], told, facts


RECORDS = st.lists(
    st.one_of(st.integers(0, 50).map(str), st.sampled_from(["bad", "1x", "7-"])), min_size=1, max_size=300
)


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS)
@settings(max_examples=25, deadline=None)
@given(records=RECORDS)
def test_records_that_fail_are_as_if_they_had_never_been_there(reduction, records):
    good = [record for record in records if record.isdigit()]
    made, told, facts = guarded(step(fragile, reduction), "map", WHOLE, Rounds([text_of(records)]))
    expected, unguarded = driven(step(fragile, reduction).map(WHOLE, Rounds([text_of(good)])))
    assert made == expected
    bad = [record for record in records if not record.isdigit()]
    assert [entry.text for entry in told.get("mapper", [])] == bad
    assert facts["skipped"].get("mapper", 0) == len(bad)
    assert {**facts, "records": len(good), "skipped": 0} == {**unguarded, "skipped": 0}


def test_what_is_told_of_a_record_has_its_position_its_error_and_the_first_its_traceback():
    _, told, _ = guarded(step(fragile), "map", WHOLE, Rounds([b"1\nbad\n22\n" + b"x" * 90 + b"\n"]))
    first, second = told["mapper"]
    assert (first.position, first.error, first.text, first.cut) == (2, "ValueError", "bad", False)
    assert "int() with base 10: 'bad'" in first.message
    assert "in fragile" in first.trace
    assert (second.position, second.text, second.cut, second.trace) == (9, "x" * 50, True, "")


def wrong_pairs(_key, line):
    return {"none": None, "one": [line], "three": [(1, 2, 3)], "list": [([], 1)], "fine": [("k", 1)]}[line]


def test_what_is_no_pair_and_a_key_without_a_hash_speak_against_their_record():
    kinds = ["none", "one", "three", "list", "fine"]
    made, told, _ = guarded(step(wrong_pairs, REDUCTIONS["sum"]), "map", WHOLE, Rounds([text_of(kinds)]))
    assert [entry.text for entry in told["mapper"]] == kinds[:4]
    assert {entry.error for entry in told["mapper"]} == {"TypeError"}
    assert len(pieces_of(made)) == 1


def test_counters_of_a_record_that_fails_do_not_count():
    def mapper(_key, line):
        asyncmr.counter("test", "seen").increment()
        yield line, int(line)

    counts: Counts = {}
    with counting(counts):
        guarded(step(mapper), "map", WHOLE, Rounds([b"1\nx\n2\n"]))
    assert counts == {("test", "seen"): 2}


def test_what_raises_stop_iteration_or_leaves_the_interpreter_is_left_out():
    def mapper(_key, line):
        if line != "fine":
            raise {"stop": StopIteration, "exit": SystemExit, "keys": KeyboardInterrupt}[line]
        return [(line, 1)]

    made, told, _ = guarded(step(mapper), "map", WHOLE, Rounds([b"stop\nfine\nexit\nkeys\nfine\n"]))
    assert [entry.error for entry in told["mapper"]] == ["StopIteration", "SystemExit", "KeyboardInterrupt"]
    assert decode_pairs(made[0][1]) == (["fine", "fine"], [1, 1])


def test_failures_of_a_fold_are_nobodys_record():
    program = step(fragile, FoldReduction(lambda a, b: a / 0))
    with pytest.raises(UserFailure, match="ZeroDivisionError"):
        guarded(program, "map", WHOLE, Rounds([b"1\n1\n"]))


def endless_pairs(_key, line):
    for number in range(2000):
        yield line, number
    if line == "bad":
        raise ValueError("late")


def test_a_record_of_very_many_pairs_is_left_out_by_the_next_attempt(monkeypatch):
    monkeypatch.setattr(guarding, "MOST_PAIRS", 600)
    data = [b"a\nbad\nb\n"]
    with pytest.raises(UserFailure) as caught:
        guarded(step(endless_pairs), "map", WHOLE, Rounds(data))
    assert isinstance(caught.value.__cause__, ValueError)
    place = caught.value.facts["late"]
    made, told, _ = guarded(
        step(endless_pairs), "map", WHOLE, Rounds(data), skip={place: ("ValueError", "late")}
    )
    assert made == driven(step(endless_pairs).map(WHOLE, Rounds([b"a\nb\n"])))[0]
    assert told == {"mapper": [Entry(2, "ValueError", "late", "bad", False, "")]}


def test_the_trail_says_which_record_the_mapper_is_at_and_nothing_while_others_work(trail):
    def read():
        return Mark.read(Path(trail).read_bytes())

    seen: dict[int, Place] = {}

    def mapper(_key, line):
        mark = read()
        assert mark is not None
        assert mark.place in (("records", int(line) // BUNDLE), ("mapper", int(line)))
        assert seen.setdefault(int(line), mark.place) == mark.place
        return [("key", 1)] * 200

    def fold(a, b):
        assert read() is None
        return a + b

    program = step(mapper, FoldReduction(fold))
    _, facts = driven(program.guarded(("map", WHOLE, Guard(trail, {}, 50)), Rounds([text_of(range(100))])))
    assert (facts["pairs"], facts["skipped"]) == (20_000, {})


def test_an_attempt_ends_when_it_has_left_out_more_than_it_may():
    seen = []

    def mapper(_key, line):
        seen.append(line)
        return int("x")

    _, told, facts = guarded(step(mapper), "map", WHOLE, Rounds([text_of(range(9))]), most=3)
    assert len(told["mapper"]) == 4
    assert set(seen) == {"0", "1", "2", "3"}
    assert facts == {"enough": True, "skipped": {"mapper": 4}}


def test_a_bundle_of_too_many_pairs_is_taken_apart(monkeypatch):
    monkeypatch.setattr(guarding, "MOST_PAIRS", 2500)
    data = [text_of(["a", "b", "c"] * 10)]
    made, _, _ = guarded(step(endless_pairs), "map", WHOLE, Rounds(data))
    assert made == driven(step(endless_pairs).map(WHOLE, Rounds(data)))[0]


def test_much_that_is_told_leaves_before_the_end(monkeypatch):
    monkeypatch.setattr(leftout, "_FULL", 1000)
    with tempfile.NamedTemporaryFile() as file:
        file.write(NO_MARK)
        file.flush()
        argument = ("map", WHOLE, Guard(file.name, {}, 50))
        items, _ = driven(step(fragile).guarded(argument, Rounds([b"x\n" * 9000])))
    assert len(items) > 10
    assert sum(len(marshal.loads(data)) for _, data in items) == 9000


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS)
def test_a_guarded_split_handed_back_and_finished_in_guarded_shares_gives_the_same(reduction, monkeypatch):
    data = text_of(number if number % 7 else f"x{number}" for number in range(900))
    program = step(fragile, reduction)
    whole, told, _ = guarded(program, "map", WHOLE, Rounds([data]))
    monkeypatch.setattr(mapping, "_PATIENCE", 0.0)
    monkeypatch.setattr(mapping, "_SLOW_RECORD", 0.0)
    monkeypatch.setattr(mapping, "_SHARE", 0.0)
    monkeypatch.setattr(mapping, "_MOST_SHARES", 20)
    begun, some, left = guarded(program, "map", (0, False, False, b""), Rounds([data]))
    shares = [guarded(program, "share", cut, Rounds([data])) for cut in pairwise(left["left"])]
    fed = [data for _, data in begun] + [data for items, _, _ in shares for _, data in items]
    ended, _ = driven(program.resume((0, left["state"], b""), Rounds(fed)))
    assert ended == whole
    parts = [some, *(more for _, more, _ in shares)]
    found = [entry for part in parts for entry in part.get("mapper", [])]
    assert [(entry.position, entry.text) for entry in found] == [
        (entry.position, entry.text) for entry in told["mapper"]
    ]
    assert len(shares) > 1


@batch(size=60)
def lists(_keys, lines):
    return lines, list(map(int, lines))


@batch("bytes", size=60)
def blocks(_keys, block):
    return [line for line in block.decode().split("\n") if line], [int(n) for n in block.split()]


@batch("arrow", size=60)
def tables(_keys, table):
    found = table["value"].to_pylist()
    return found, list(map(int, found))


@pytest.mark.parametrize("mapper", [lists, blocks, tables])
@settings(max_examples=25, deadline=None)
@given(records=RECORDS)
def test_a_batch_goes_on_without_the_records_on_which_its_function_fails(mapper, records):
    if mapper is tables:
        pytest.importorskip("pyarrow")
    good = [record for record in records if record.isdigit()]
    made, told, facts = guarded(step(mapper), "map", WHOLE, Rounds([text_of(records)]))
    keys, values = decode_pairs(b"".join(data for _, data in made))
    assert (keys, values) == (good, list(map(int, good)))
    assert [entry.text for entry in told.get("mapper", [])] == [r for r in records if not r.isdigit()]
    assert facts["records"] == len(records)


def test_the_rest_of_a_batch_is_called_as_one_and_counts_once():
    calls = []

    @batch(size=1000)
    def mapper(_keys, lines):
        asyncmr.counter("test", "lines").increment(len(lines))
        calls.append(list(lines))
        return list(map(int, lines)), None

    counts: Counts = {}
    with counting(counts):
        guarded(step(mapper), "map", WHOLE, Rounds([b"1\nx\n2\n"]))
    assert calls == [["1", "x", "2"], ["1"], ["x"], ["2"], ["1", "2"]]
    assert counts == {("test", "lines"): 2}


def test_a_batch_that_is_looked_through_in_vain_is_what_it_was(monkeypatch):
    data = [b"1\n2\n3\n"]
    made, told, _ = guarded(step(lists), "map", WHOLE, Rounds(data), skip={("records", 0): ("", "")})
    assert made == driven(step(lists).map(WHOLE, Rounds(data)))[0]
    assert told == {}


def test_a_batch_that_fails_though_none_of_its_records_does_fails():
    @batch(size=1000)
    def mapper(_keys, lines):
        return lines, [1] * (1 if len(lines) > 1 else len(lines))

    with pytest.raises(UserFailure) as caught:
        guarded(step(mapper), "map", WHOLE, Rounds([b"1\n2\n"]))
    assert "none of these records alone" in caught.value.facts["message"]


def moody(key, values):
    yield key, "before"
    if key % 3 == 0:
        raise ValueError(f"no {key}")
    yield key, sum(values)


class Moody(Count):
    def finish(self, acc):
        return 1 // (acc % 2)


@settings(max_examples=25, deadline=None)
@given(keys=st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_the_results_of_a_key_that_fails_are_left_out_whole(keys):
    mapper = numbered
    reduction = GroupReduction(None, moody)
    mapped, _ = driven(step(mapper, reduction).map(WHOLE, Rounds([text_of(keys)])))
    made, told, facts = guarded(step(mapper, reduction), "reduce", (0, False), ShareFeed(pieces_of(mapped)))
    expected = [(key, value) for key in set(keys) if key % 3 for value in ("before", key * keys.count(key))]
    found_keys, values = decode_pairs(b"".join(data for _, data in made))
    assert sorted(zip(found_keys, values, strict=True), key=repr) == sorted(expected, key=repr)
    bad = {key for key in keys if key % 3 == 0}
    assert {entry.text for entry in told.get("reducer", [])} == set(map(str, bad))
    assert {entry.message for entry in told.get("reducer", [])} == {f"no {key}" for key in bad}
    assert facts["skipped"].get("reducer", 0) == len(bad)


def numbered(_key, line):
    return [(int(line), int(line))]


def test_an_aggregators_finish_that_raises_leaves_its_key_out():
    reduction = AggregateReduction(Moody())
    mapped, _ = driven(step(numbered, reduction).map(WHOLE, Rounds([b"1\n2\n2\n"])))
    made, told, _ = guarded(step(numbered, reduction), "reduce", (0, False), ShareFeed(pieces_of(mapped)))
    assert decode_pairs(made[0][1]) == ([1], [1])
    assert [(entry.text, entry.error) for entry in told["reducer"]] == [("2", "ZeroDivisionError")]


def endless():
    """A stretch of many values of one key, with another key of the same place."""
    slices = [Slice((), [6], [1, 2], [2]), Slice((), [6, 7], [3, 4, 5], [1, 2]), Slice((), [6], [6], None)]
    return Stretch(iter(slices), endless=True)


def streamed(reducer, trail, skip):
    with closing(Guarding(Guard(trail, skip, 50), hashes=True)) as with_guard:
        groups = guarded_stream(with_guard, GroupReduction(None, reducer), endless())
        return [pair for group in groups for pair in group], with_guard.left_out.counts


def test_a_key_with_endless_values_streams_and_the_others_of_its_place_are_guarded(trail):
    assert streamed(total, trail, {}) == ([(6, 12), (7, 9)], {})
    assert streamed(lambda key, values: [(key, 12 // (7 - key))], trail, {}) == ([(6, 12)], {"reducer": 1})


def test_a_key_with_endless_values_that_fails_is_left_out_by_the_next_attempt(trail):
    def reducer(key, values):
        for value in values:
            yield key, value // (value - 3 if key == 6 else 1)

    with pytest.raises(UserFailure) as caught:
        streamed(reducer, trail, {})
    late = caught.value.facts["late"]
    assert streamed(reducer, trail, {late: ("ZeroDivisionError", "")}) == ([(7, 4), (7, 5)], {"reducer": 1})


def test_a_following_mapper_leaves_out_the_pairs_on_which_it_fails(trail):
    def mapper(key, value):
        yield key, 1
        yield key, 10 // value

    with closing(Guarding(Guard(trail, {}, 50), hashes=False)) as with_guard:
        chunks = ChunkOutlet(PairFormat(), 0, role="mapper")
        outlet = FollowingOutlet(mapper, "2.map", chunks, with_guard)
        items = [*outlet.add([("a", 1), ("b", 0), ("c", 2)]), *outlet.finish()]
    assert decode_pairs(items[0][1]) == (["a", "a", "c", "c"], [1, 10, 1, 5])
    assert (with_guard.left_out.counts, outlet.pairs_out) == ({"following": 1}, 3)


def test_a_sample_passes_over_what_it_is_told_and_tells_nothing(monkeypatch):
    def mapper(_key, line):
        assert line != "dies"
        return [(line, 1)]

    program = step(mapper, FoldReduction(operator.add))
    items, told, facts = guarded(
        program, "sample", (1, (), 1.0), Rounds([b"a\ndies\nb\n"]), skip={("mapper", 1): ("WorkerDied", "")}
    )
    assert decode_pairs(items[0][1])[0] == ["a", "b"]
    assert (told, facts["skipped"], facts["records"]) == ({}, {}, 3)


@pytest.mark.parametrize("patience", [0.0, 9.0])
def test_guarded_batches_may_be_handed_back_as_well(patience, monkeypatch):
    monkeypatch.setattr(batching, "_PATIENCE", patience)
    monkeypatch.setattr(batching, "_SHARE", 0.0)
    data = text_of([*range(99), "x"])
    _, told, left = guarded(step(lists), "map", (0, False, False, b""), Rounds([data]))
    shares = [guarded(step(lists), "share", cut, Rounds([data])) for cut in pairwise(left.get("left", []))]
    found = [
        entry.text for part in (told, *(more for _, more, _ in shares)) for entry in part.get("mapper", [])
    ]
    assert found == ["x"]
    assert bool(shares) == (patience == 0)
