"""What `window=` means."""

import pickle

import pytest

from asyncmr.errors import UsageError
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import RunningTotals, Sliding, Tumbling, Window


def test_text_says_all_that_arguments_do():
    text = r"10m/1m late 30s idle 1m ahead any retain 7d final event ^(\S+ \S+)"
    windowing = Windowing(
        Sliding(600, 60),
        timestamp=r"^(\S+ \S+)",
        lateness="30s",
        idle=60,
        ahead=None,
        retain="7d",
        emit="final",
    )
    assert Windowing.of(text) == windowing
    assert str(windowing) == text
    assert pickle.loads(pickle.dumps(windowing)) == windowing


def test_without_a_window_there_are_running_totals():
    windowing = Windowing.of(None)
    assert windowing.windows == RunningTotals()
    assert windowing.rule is None
    assert windowing.pane_at(1e9, None) == 0
    assert windowing.changed([0]) == [Window(None, None)]
    assert windowing.ended([0]) is None


@pytest.mark.parametrize("text", ["none", "1m", "1m final", "1m late 5s event json:t", "1s/250ms retain all"])
def test_text_is_given_back(text):
    assert str(Windowing.of(text)) == text
    assert Windowing.of(Windowing.of(text)) == Windowing.of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1m soon", "'soon' is not understood"),
        ("1m late", "does not say how long"),
        ("1m late event json:t", "does not say how long"),
        ("1m late 5s", "by the time of the records"),
        ("none event json:t", "divides nothing"),
        ("none final", "never final"),
        ("1m event (", "no regular expression"),
        ("1m event  ", "says nothing"),
        ("1m retain never", "retained: 'never'"),
        ("", "the size of the windows"),
    ],
)
def test_what_means_nothing_is_told(text, said):
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        Windowing.of(text)


def test_what_text_does_not_say_may_be_said_beside_it():
    windowing = Windowing.of("1m idle 5s", timestamp="json:t", lateness="2s", retain=None, emit="final")
    assert str(windowing) == "1m late 2s idle 5s final event json:t"
    assert Windowing.of(None, emit=None) == Windowing.of("none")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("1m late 5s event json:t", {"lateness": "5s"}, "lateness='5s' says once more"),
        ("1m final", {"emit": "updates"}, "emit='updates' says once more"),
        ("none", {"retain": "7d"}, "running totals are kept for ever"),
        ("1m", {"lateness": "5s"}, "by the time of the records"),
    ],
)
def test_what_is_said_twice_or_means_nothing_is_refused(text, options, said):
    with pytest.raises(UsageError, match=said):
        Windowing.of(text, **options)


def test_by_the_time_of_processing_nothing_is_late():
    windowing = Windowing("10s")
    assert windowing.pane_at(25.0, None) == 2
    assert windowing.pane_at(9.0, watermark=25_000) == 2  # the clock was set back


def test_a_window_is_open_for_the_lateness():
    windowing = Windowing("10s", timestamp="json:t", lateness="5s")
    assert windowing.open_from(14_999) == 0
    assert windowing.open_from(15_000) == 1
    assert windowing.final([0, 1], 14_999, 15_000) == [Window(0, 10_000)]
    assert windowing.ended([0, 1]) == 25_000


def test_a_pane_goes_when_its_windows_were_retained():
    windowing = Windowing(Tumbling("10s"), retain="1m")
    assert windowing.expired([0, 1], 69_999) == []
    assert windowing.expired([0, 1], 70_000) == [0]
    assert Windowing("10s", retain="all").expired([0, 1], 1 << 50) == []
