"""Cold rows: what is written by the host, and read by a keeper."""

from __future__ import annotations

import math
from contextlib import closing, contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.kernel.cold import LEAST_HASH, MOST_HASH, Rows, encode_rows, ranks_of
from asyncmr.streaming.cold_rows import ColdRows
from asyncmr.streaming.commit import Commit, Move
from asyncmr.streaming.store import StateStore

HASHES = st.integers(LEAST_HASH, MOST_HASH)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=1),
    max_leaves=4,
)
NUMBERS = st.integers() | st.floats() | st.integers(-3, 3)


@contextmanager
def opened(folder):
    store = StateStore(folder, durable=False)
    store.open({})
    try:
        with closing(ColdRows(store.folder.database)) as rows:
            yield store, rows
    finally:
        store.close()


def move(place, rows, ranks=None, **others):
    end, data = encode_rows(rows, ranks or [None] * len(rows.keys))
    return Move(place, [(data[:end], data[end:])], cold=len(rows.keys), **others)


def shown(keys, values):
    return sorted(zip(map(repr, keys), map(repr, values), strict=True))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(HASHES, ANYTHING, ANYTHING), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_any_key_and_value_come_back_as_they_were(tmp_path_factory, rows):
    hashes, keys, values = map(list, zip(*rows, strict=True))
    with opened(tmp_path_factory.mktemp("state")) as (store, cold):
        store.move([move((3, -1), Rows(hashes, keys, values))])
        found = cold.find((3, -1), hashes)
        assert shown(found.keys, found.values) == shown(keys, values)
        ordered = cold.between((3, -1), LEAST_HASH, MOST_HASH)
        assert ordered.hashes == sorted(hashes)
        assert cold.find((3, 0), hashes) == Rows([], [], [])
        assert [key for some in cold.unranked((3, -1)) for key in map(repr, some.keys)]


@given(st.lists(NUMBERS, max_size=20))
def test_ranks_are_in_the_order_of_the_results(results):
    pairs = zip(ranks_of(results), results, strict=True)
    ranked = [(rank, result) for rank, result in pairs if rank is not None]
    assert all((a < b) == (x < y) for a, x in ranked for b, y in ranked)
    assert ranks_of([0, -0.0, True, math.nan, math.inf, 2**60]) == [0, 0, None, None, None, None]


def test_rows_that_are_stale_go_and_those_of_other_places_stay(tmp_path):
    with opened(tmp_path / "state") as (store, cold):
        store.move([move((0, 0), Rows([1, 2], ["a", "b"], [1, 2])), move((1, 0), Rows([1], ["c"], [3]))])
        store.move([Move((0, 0), stale=b"[1]", cold=1)])
        assert cold.between((0, 0), 0, 9) == Rows([2], ["b"], [2])
        assert cold.between((1, 0), 0, 9) == Rows([1], ["c"], [3])
        assert store.cold == {(0, 0): 1, (1, 0): 1}


def test_rows_of_panes_that_are_dropped_go_bit_by_bit_also_after_a_restart(tmp_path):
    many = Rows(list(range(12_000)), [f"k{n}" for n in range(12_000)], [1] * 12_000)
    with opened(tmp_path / "state") as (store, cold):
        store.move([move((0, 7), many), move((0, 8), Rows([1], ["a"], [1]))])
        store.commit(Commit(1, 0.0, dropped=[7]))
        assert store.cold == {(0, 8): 1}
        store.commit(Commit(2, 0.0))
    with opened(tmp_path / "state") as (store, cold):
        assert store.cold == {(0, 8): 1}
        left = [len(cold.between((0, 7), 0, 99_999).keys)]
        while left[-1]:
            store.commit(Commit(store.epoch + 1, 0.0))
            left.append(len(cold.between((0, 7), 0, 99_999).keys))
        assert left == [7_000, 2_000, 0]
        assert cold.between((0, 8), 0, 9).keys == ["a"]


def test_a_pane_that_is_there_again_has_none_of_the_rows_that_it_had(tmp_path):
    many = Rows(list(range(12_000)), [f"k{n}" for n in range(12_000)], [1] * 12_000)
    with opened(tmp_path / "state") as (store, cold):
        store.move([move((0, 7), many)])
        store.commit(Commit(1, 0.0, dropped=[7]))
        store.move([move((0, 7), Rows([5], ["new"], [1]))])
        assert cold.between((0, 7), 0, 99_999) == Rows([5], ["new"], [1])
