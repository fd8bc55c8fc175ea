"""What `asyncmr.context()` gives, and to whom."""

from __future__ import annotations

import pytest

import asyncmr
from asyncmr import Job, UsageError
from asyncmr.contexts import Context, using, within


def values():
    """A generator that says what it sees, and in its clean-up that it saw something."""
    try:
        for _ in range(3):
            yield asyncmr.context()
    finally:
        seen.append(asyncmr.context())


seen: list[object] = []


def test_a_context_is_there_inside_only_and_the_inner_one_counts():
    with using(Context("outer")):
        with using(Context("inner")):
            assert asyncmr.context() == "inner"
        assert asyncmr.context() == "outer"
    with pytest.raises(UsageError, match=r"Job\(\.\.\., setup=load\)"):
        asyncmr.context()


def test_a_step_without_setup_does_not_see_that_of_another():
    with using(Context("another's")), using(None), pytest.raises(UsageError):
        asyncmr.context()


def test_two_generators_that_take_turns_see_their_own():
    seen.clear()
    one, other = within(Context(1), values()), within(Context(2), values())
    assert [next(one), next(other), next(one)] == [1, 2, 1]
    with pytest.raises(UsageError):
        asyncmr.context()
    one.close()
    assert seen == [1]
    assert list(other) == [2, 2]
    assert seen == [1, 2]


def test_what_a_generator_returns_is_passed_on():
    def returning():
        yield 1
        return asyncmr.context()

    def outer():
        return (yield from within(Context("result"), returning()))

    steps = outer()
    assert next(steps) == 1
    with pytest.raises(StopIteration, match="result"):
        next(steps)


def generator():
    yield "model"


async def coroutine():
    return "model"


@pytest.mark.parametrize("setup", [generator, coroutine, "model"])
def test_what_is_no_setup_is_refused(setup):
    with pytest.raises(UsageError, match="function"):
        Job(mapper=lambda key, value: [(key, value)], setup=setup)
