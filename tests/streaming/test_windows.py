"""Which windows there are, what panes they are made of, and which of them are final."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import UsageError
from asyncmr.streaming.durations import duration_text, parse_duration
from asyncmr.streaming.emission import expired_panes, final_windows, is_final
from asyncmr.streaming.windows import RunningTotals, Sliding, Window, parse_windows

TIMES = st.integers(-5_000, 5_000)


@st.composite
def kinds(draw):
    """Small windows of whole milliseconds, tumbling or sliding."""
    size = draw(st.integers(1, 60))
    return Sliding(size / 1000, draw(st.integers(1, size)) / 1000)


def over_a_moment(windows, time):
    """The windows with a moment in them, by looking at every start."""
    starts = range(-6_000, 6_000)
    found = [start for start in starts if start % windows.slide_ms == 0 and start <= time]
    return [Window(start, start + windows.size_ms) for start in found if time < start + windows.size_ms]


@settings(deadline=None)
@given(kinds(), TIMES)
def test_the_windows_of_a_moment_are_those_of_its_pane(windows, time):
    assert windows.over([windows.pane_of(time)]) == over_a_moment(windows, time)


@settings(deadline=None)
@given(kinds(), st.sets(st.integers(-20, 20)))
def test_the_windows_of_panes_are_those_of_each_of_them(windows, panes):
    assert windows.over(panes) == sorted({window for pane in panes for window in windows.over([pane])})


@settings(deadline=None)
@given(kinds(), TIMES)
def test_a_pane_is_in_a_window_when_its_moments_are(windows, time):
    for window in over_a_moment(windows, time):
        panes = windows.panes_of(window)
        assert windows.pane_of(time) in panes
        moments = range(window.start, window.end)
        assert {windows.pane_of(moment) for moment in moments} == set(panes)


@settings(deadline=None)
@given(kinds(), TIMES, TIMES)
def test_a_pane_is_open_until_the_first_of_its_windows_has_ended(windows, time, frontier):
    pane = windows.pane_of(time)
    ended = [window for window in over_a_moment(windows, time) if is_final(window, frontier)]
    assert (pane >= windows.open_from(frontier)) == (ended == [])
    assert windows.last_end(pane) == over_a_moment(windows, time)[-1].end


@settings(deadline=None)
@given(kinds(), st.lists(TIMES, max_size=8), st.lists(TIMES, max_size=8))
def test_each_window_becomes_final_once_however_the_frontier_moves(windows, times, stops):
    panes = {windows.pane_of(time) for time in times}
    told, before = [], None
    for frontier in sorted(stops):
        told += final_windows(windows, panes, before, frontier)
        before = frontier
    assert sorted(told) == final_windows(windows, panes, None, before)


@settings(deadline=None)
@given(kinds(), st.lists(TIMES, max_size=8), TIMES, st.integers(0, 500))
def test_a_pane_expires_when_all_its_windows_are_old_enough(windows, times, frontier, retain):
    panes = {windows.pane_of(time) for time in times}
    gone = set(expired_panes(windows, panes, frontier, retain))
    for time in times:
        young = any(window.end + retain > frontier for window in over_a_moment(windows, time))
        assert (windows.pane_of(time) in gone) == (not young)


def test_running_totals_are_one_window_that_never_ends():
    windows = RunningTotals()
    assert windows.over([windows.pane_of(5), windows.pane_of(-7)]) == [Window(None, None)]
    assert windows.over([]) == []
    assert final_windows(windows, [0], None, 1 << 62) == []
    assert expired_panes(windows, [0], 1 << 62, 0) == []
    assert windows.open_from(1 << 62) is None


@pytest.mark.parametrize("text", ["none", "1m", "90s", "1d", "250ms", "10s/1s", "10m/4m"])
def test_windows_are_text_and_back(text):
    windows = parse_windows(text)
    assert str(windows) == text
    assert pickle.loads(pickle.dumps(windows)) == windows


def test_windows_of_panes_that_divide_neither_size_nor_slide_alone():
    windows = Sliding("10s", "4s")
    assert windows.pane_ms == 2_000
    assert windows.over([3]) == [Window(0, 10_000), Window(4_000, 14_000)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 minute", "write"),
        ("", "the size"),
        ("60", "without quotes"),
        ("0s", "at least a millisecond"),
        ("0.5ms", "whole number of milliseconds"),
        ("10s/", "the slide"),
        ("1s/10s", "at most the size"),
        ("1d/7ms", "longer slide"),
        ("99999999d", "10,000 years"),
    ],
)
def test_what_makes_no_windows_is_told(text, said):
    with pytest.raises(UsageError, match=said):
        parse_windows(text)


@settings(deadline=None)
@given(st.integers(1, 10**12))
def test_durations_are_text_and_back(millis):
    assert parse_duration(duration_text(millis)) == parse_duration(millis / 1000) == millis
