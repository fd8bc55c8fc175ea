"""How far event time has come."""

import json

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.streaming.watermarks import Watermarks

A, B = ("feed", "a"), ("feed", "b")
STEPS = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.dictionaries(st.sampled_from([A, B, ("other", "b")]), st.none() | st.integers(0, 100), max_size=3),
    ),
    max_size=12,
)


def latest_of(*times):
    return max((time for time in times if time is not None), default=None)


@given(STEPS)
def test_it_is_the_minimum_over_active_partitions_and_never_goes_back(steps):
    watermarks, now, value, furthest = Watermarks(idle=10), 0.0, None, None
    reached: dict = {}
    seen: dict = {}
    for seconds, latest in steps:
        now += seconds
        for name, time in latest.items():
            reached[name], seen[name] = latest_of(reached.get(name), time), now
            furthest = latest_of(furthest, time)
        for name in [name for name in reached if now - seen[name] >= 10]:
            del reached[name]
        watermarks.observe(latest, now)
        if not reached:
            value = furthest
        elif None not in reached.values():
            value = latest_of(value, min(reached.values()))
        assert watermarks.advance(now) == value


def test_an_idle_partition_does_not_hold_it():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    assert watermarks.advance(now=9) == 5
    watermarks.observe({A: 200}, now=9)
    assert watermarks.advance(now=10) == 200


def test_where_all_are_idle_it_is_what_the_furthest_has_reached():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    watermarks.observe({B: 7}, now=5)
    assert watermarks.advance(now=12) == 7
    assert watermarks.advance(now=15) == 100


def test_a_partition_without_times_holds_it_until_it_is_idle():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: None}, now=0)
    assert watermarks.advance(now=1) is None
    watermarks.observe({A: 101}, now=9)
    assert watermarks.advance(now=10) == 101


def test_a_partition_that_has_ended_does_not_hold_it():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    watermarks.ended(B)
    assert watermarks.advance(now=0) == 100


def test_a_clock_that_is_set_back_leaves_nobody_active_for_long():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=1000)
    assert watermarks.advance(now=0) == 5
    watermarks.observe({A: 100}, now=9)
    assert watermarks.advance(now=10) == 100


@given(STEPS, STEPS)
def test_it_goes_on_with_what_was_saved(first, then):
    watermarks, now = Watermarks(idle=1000), 0.0
    for _, latest in first:
        watermarks.observe(latest, now)
        watermarks.advance(now)
    saved = json.loads(json.dumps(watermarks.saved()))
    again = Watermarks.restored(saved, idle=1000, now=now)
    assert again.value == watermarks.value
    for _, latest in then:
        watermarks.observe(latest, now)
        again.observe(latest, now)
        assert again.advance(now) == watermarks.advance(now)


def test_at_the_end_of_the_input_all_windows_have_passed():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    assert watermarks.finish(None) == 100
    assert watermarks.finish(120) == watermarks.value == watermarks.advance(now=5) == 120
