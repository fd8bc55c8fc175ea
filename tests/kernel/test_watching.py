"""What is put aside is bounded, and never holds values that were no neighbours."""

from __future__ import annotations

from asyncmr.kernel.watching import MOST_KEYS, MOST_VALUES, Watched, all_kept


def copies(kept):
    return [value.copy() for value in kept]


def test_values_are_given_when_there_are_enough_to_look_at():
    watched = Watched()
    given = [watched.add("key", number) for number in range(MOST_VALUES + 3)]
    assert [number for number, values in enumerate(given, 1) if values is not None] == [2, 3, MOST_VALUES]
    assert copies(watched.keys["key"]) == list(range(MOST_VALUES))


def test_keys_and_bytes_are_bounded():
    watched = Watched()
    for _ in range(MOST_VALUES):
        for key in range(MOST_KEYS + 100):
            watched.add(key, bytes(20_000))
    assert len(watched.keys) == MOST_KEYS
    assert 0 < sum(kept.size for values in watched.keys.values() for kept in values) <= 2 << 20


def test_what_follows_a_value_that_is_too_large_is_not_put_aside():
    watched = Watched()
    for value in (b"before", bytes(1 << 20), b"behind", b"it"):
        assert watched.add("key", value) is None
    assert watched.keys == {"key": []}


def test_a_group_is_taken_up_to_the_first_value_that_cannot_be_put_aside():
    assert copies(all_kept([1, "a", [2], bytes(1 << 20), 3])) == [1, "a", [2]]
    assert copies(all_kept([1, lambda: None, 3])) == [1]


def test_what_is_put_aside_is_a_copy_each_time():
    value = [1]
    watched = Watched()
    watched.add("key", value)
    value.append(2)
    (kept,) = watched.keys["key"]
    kept.copy().append(3)
    assert kept.copy() == [1]
