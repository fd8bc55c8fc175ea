"""Putting columns in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, TypeVar

from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import UserFailure, excerpt
from asyncmr.kernel.nans import holds_nan

T = TypeVar("T")


def order_of_keys(keys: list[Any]) -> list[int]:
    """The indexes of `keys` in the keys' own order, for jobs that sort."""
    try:
        return sorted(range(len(keys)), key=keys.__getitem__)
    except BaseException as error:
        raise cannot_sort(keys, error) from error


def in_order_of_keys(run: Slice) -> Slice:
    """The pairs of `run` in the order of their keys; those of equal keys stay as they were."""
    if run.counts is not None or not _all_none(run.values):
        return in_order(run._replace(places=run.keys), order_of_keys(run.keys))
    # Without a value to carry along the keys are sorted alone: half the time.
    try:
        keys = sorted(run.keys)
    except BaseException as error:
        raise cannot_sort(run.keys, error) from error
    return Slice(keys, keys, run.values, None)


def cannot_sort(keys: list[Any], error: BaseException) -> UserFailure:
    """What to raise when comparing some of these keys raised `error`."""
    kinds = sorted({type(key).__name__ for key in keys})
    which = (
        f"their types are {', '.join(kinds)}, one of them is {excerpt(keys[0])}"
        if keys
        else "some differ in type"
    )
    return UserFailure(
        "mapper",
        f"the keys cannot be sorted ({type(error).__name__}: {error}); {which}: "
        "give all keys one type that can be compared",
    )


def comparing(merge: Iterator[T]) -> Iterator[T]:
    """What a merge of sorted runs gives; says what is wrong where the keys of two runs cannot be compared."""
    try:
        yield from merge
    except TypeError as error:
        raise cannot_sort([], error) from error


def _all_none(values: list[Any]) -> bool:
    return not values or (values[0] is None and set(map(type, values)) == {type(None)})


def check_order(keys: list[Any]) -> None:
    """Raises a UserFailure if some of the keys have no place in any order; to be called where keys come in."""
    if holds_nan(keys):
        raise UserFailure("mapper", "keys that are or hold NaN cannot be sorted; map them to something else")


def divided(run: Slice, cuts: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, Slice]]:
    """`(number, slice)` for each `(number, start, end)`, which count keys."""
    ends = None if run.counts is None else list(accumulate(run.counts, initial=0))
    for number, start, end in cuts:
        a, b = (start, end) if ends is None else (ends[start], ends[end])
        counts = None if run.counts is None else run.counts[start:end]
        yield number, Slice(run.places[start:end], run.keys[start:end], run.values[a:b], counts)


def in_order(run: Slice, order: list[int]) -> Slice:
    """The pairs of `run` in the order of these indexes."""
    if len(order) < 2:
        return run
    pick = itemgetter(*order)  # a third quicker than a map over the indexes
    keys = list(pick(run.keys))
    places = keys if run.places is run.keys else list(pick(run.places))
    if run.counts is None:
        return Slice(places, keys, list(pick(run.values)), None)
    ends = list(accumulate(run.counts, initial=0))
    groups: list[list[Any]] = [run.values[ends[i] : ends[i + 1]] for i in order]
    return Slice(places, keys, list(chain.from_iterable(groups)), list(pick(run.counts)))
