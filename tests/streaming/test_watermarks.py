"""How far event time has come."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.streaming.watermarks import Watermarks

A, B = ("feed", "a"), ("feed", "b")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.dictionaries(st.sampled_from([A, B, ("other", "b")]), st.none() | st.integers(0, 100), max_size=3),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(STEPS)
def test_it_is_the_minimum_over_active_partitions_and_never_goes_back(steps):
    watermarks, now, value, furthest = Watermarks(idle=10), 0, None, None
    reached: dict = {}
    silent: dict = {}
    watermarks.advance(now)
    for seconds, latest in steps:
        now += seconds
        times = {name: time for name, time in latest.items() if time is not None}
        # Of a pause that is longer, five seconds count.
        silent = {name: age + min(seconds, 5) for name, age in silent.items()} | dict.fromkeys(times, 0)
        reached |= {name: max(time, reached.get(name, time)) for name, time in times.items()}
        furthest = max((time for time in (furthest, *times.values()) if time is not None), default=None)
        reached = {name: time for name, time in reached.items() if silent[name] < 10}
        least = min(reached.values(), default=furthest)
        value = max((time for time in (value, least) if time is not None), default=None)
        watermarks.observe(latest, now)
        assert watermarks.advance(now) == value


def after(watermarks, seconds):
    """The watermark when so many seconds have passed, one by one."""
    for second in range(seconds + 1):
        watermarks.advance(second)
    return watermarks.value


def test_an_idle_partition_does_not_hold_it():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    assert after(watermarks, 9) == 5
    watermarks.observe({A: 200}, now=9)
    assert watermarks.advance(now=10) == 200


def test_where_all_are_idle_it_is_what_the_furthest_has_reached():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    assert after(watermarks, 9) == 5
    assert watermarks.advance(now=10) == 100


def test_a_partition_without_times_does_not_hold_it():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: None}, now=0)
    assert watermarks.advance(now=0) == 100


def test_a_stream_that_stood_still_makes_nobody_idle():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    watermarks.observe({A: 200}, now=3600)
    assert watermarks.advance(now=3600) == 5
    watermarks.observe({B: 150}, now=3601)
    assert watermarks.advance(now=3601) == 150


def test_a_partition_that_has_ended_does_not_hold_it():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=0)
    watermarks.ended(B)
    assert watermarks.advance(now=0) == 100


def test_a_clock_that_is_set_back_stops_no_time():
    watermarks = Watermarks(idle=10)
    watermarks.observe({A: 100, B: 5}, now=1000)
    assert after(watermarks, 9) == 5
    assert watermarks.advance(now=10) == 100


@settings(deadline=None)
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
