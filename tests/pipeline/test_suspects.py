"""Which records are left out of the next attempt, and when a task is given up."""

from __future__ import annotations

from time import monotonic

import pytest

from asyncmr.kernel.marks import Mark
from asyncmr.pipeline.suspects import Suspects
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.workers import RemoteError, SlotDied, SlotTimeout


def raised(**facts):
    return RemoteError("ValueError", "no", "", facts)


def died():
    return SlotDied(-9)


def at(number, *, role="mapper", ago=0.0):
    return Mark((role, number), monotonic() - ago)


@pytest.mark.parametrize("role", ["mapper", "reducer", "aggregator"])
def test_what_a_guard_can_help_is_tried_again_once(role):
    suspects = Suspects(Tolerance(skips=True))
    assert suspects.raised(raised(role=role))
    assert suspects.guarded
    assert not suspects.raised(raised(role=role))


@pytest.mark.parametrize("role", ["combiner", "fold", "partitioner", "operator", None])
def test_what_a_guard_cannot_help_is_not_tried_again(role):
    assert not Suspects(Tolerance(skips=True)).raised(raised(role=role))


def test_a_job_that_does_not_skip_is_never_guarded():
    suspects = Suspects(Tolerance(retries=1))
    assert not suspects.raised(raised(role="mapper"))
    assert suspects.died(died(), None)
    assert not suspects.died(died(), None)
    assert not suspects.guarded


def test_a_record_that_failed_half_way_is_left_out_of_the_next_attempt():
    suspects = Suspects(Tolerance(skips=True))
    suspects.raised(raised(role="mapper"))
    assert suspects.raised(raised(role="mapper", late=("mapper", 7)))
    assert suspects.skip == {("mapper", 7): ("ValueError", "no")}


def test_a_record_is_left_out_when_as_many_attempts_ended_at_it_as_there_are_retries():
    suspects = Suspects(Tolerance(retries=2, skips=True))
    assert suspects.died(died(), None)  # the attempt that was not guarded
    assert suspects.died(died(), at(5))
    assert suspects.skip == {}
    assert suspects.died(died(), at(5))
    assert list(suspects.skip) == [("mapper", 5)]
    assert suspects.died(died(), at(9)), "the next one has as many tries"


def test_deaths_at_ever_other_records_end_the_task():
    suspects = Suspects(Tolerance(retries=2, skips=True))
    marks = [None, at(5), at(6), at(7)]
    assert [suspects.died(died(), mark) for mark in marks] == [True, True, True, False]
    assert suspects.skip == {}


def test_some_stray_deaths_do_not_keep_a_culprit_from_being_found():
    suspects = Suspects(Tolerance(retries=3, skips=True))
    marks = [None, at(0, role="records"), at(5), at(1), at(5), None, at(5)]
    assert all(suspects.died(died(), mark) for mark in marks)
    assert ("mapper", 5) in suspects.skip


def test_without_retries_there_is_still_one_look():
    suspects = Suspects(Tolerance(retries=0, skips=True))
    assert suspects.died(died(), None)
    assert suspects.died(died(), at(5))
    assert list(suspects.skip) == [("mapper", 5)]


def test_a_bundle_is_looked_through_at_once_and_takes_no_retry():
    suspects = Suspects(Tolerance(retries=1, skips=True))
    suspects.died(died(), None)
    assert suspects.died(died(), at(0, role="records"))
    assert suspects.skip == {("records", 0): ("", "")}
    assert suspects.died(died(), at(5))
    assert ("mapper", 5) in suspects.skip


def test_deaths_at_what_was_looked_through_or_in_ever_other_bundles_end_the_task():
    for bundle in (0, 1):
        suspects = Suspects(Tolerance(retries=1, skips=True))
        suspects.died(died(), None)
        assert suspects.died(died(), at(0, role="records"))
        assert not suspects.died(died(), at(bundle, role="records"))


def test_a_timeout_speaks_against_a_record_that_took_most_of_it():
    suspects = Suspects(Tolerance(retries=1, task_timeout=10.0, skips=True))
    assert suspects.died(SlotTimeout(10.0), None)
    assert suspects.died(SlotTimeout(10.0), at(5, ago=9.0))
    assert suspects.skip == {("mapper", 5): ("TaskTimeout", "ran longer than task_timeout=10 s")}
    assert suspects.timeout == 10.0


def test_a_timeout_at_a_record_that_has_just_begun_gives_the_next_attempt_more_time():
    suspects = Suspects(Tolerance(retries=1, task_timeout=10.0, skips=True))
    suspects.died(SlotTimeout(10.0), None)
    assert suspects.died(SlotTimeout(10.0), at(5, ago=1.0))
    assert suspects.timeout == 20.0
    assert not suspects.died(SlotTimeout(20.0), at(9, ago=1.0))
    assert suspects.skip == {}
