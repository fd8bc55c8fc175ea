"""Which tasks are slow."""

from asyncmr.pipeline.stragglers import Stragglers


def noted(*paces):
    stragglers = Stragglers()
    for seconds in paces:
        stragglers.note("map", 10, seconds)
    return stragglers


def test_nothing_is_slow_before_others_have_ended():
    assert not noted(1.0, 1.0).is_slow("map", 10, 1000.0)
    assert noted(1.0, 1.0, 1.0).is_slow("map", 10, 1000.0)


def test_tasks_are_compared_with_their_kind():
    assert not noted(1.0, 1.0, 1.0).is_slow("reduce", 10, 1000.0)


def test_a_large_task_may_take_longer():
    assert noted(1.0, 1.0, 1.0).is_slow("map", 10, 3.0)
    assert not noted(1.0, 1.0, 1.0).is_slow("map", 20, 3.0)


def test_one_slow_task_does_not_hide_another():
    assert noted(1.0, 1.0, 1.0, 100.0).is_slow("map", 10, 3.0)


def test_what_is_over_at_once_gets_no_rival():
    assert not noted(0.001, 0.001, 0.001).is_slow("map", 10, 0.1)
