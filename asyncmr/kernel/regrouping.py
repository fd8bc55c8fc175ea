"""Groupings: the ways in which the values of a key may meet on their way to its result.

A grouping is a tree: a sequence whose members are positions of values, and groupings that are combined first.
`(0, 1, 2)` hands all three values to the result at once; `(0, (1, 2))` combines the last two before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, islice
from typing import Any, TypeAlias

from asyncmr.kernel.operators import Operator

# A tree that leans is as deep as there are values, and is climbed by recursion.
_DEEPEST = 64
_MOST_THIRDS = 20

Grouping: TypeAlias = "tuple[int | Grouping, ...]"


@lru_cache(maxsize=128)
def groupings(count: int, *, converts: bool, thorough: bool = False) -> tuple[Grouping, ...]:
    """Ways to group `count` values that stay in order, other than all at once.

    The few that show the most, or, if `thorough`, some dozens. Unless the operator `converts` values, to combine one
    value, or all of them, is no way of its own.
    """
    flat = tuple(range(count))
    found: list[Grouping] = []
    if 2 < count <= _DEEPEST:
        found.append(_leaning_right(flat))
    if count > 1:
        found.append((_node(flat[: count // 2]), _node(flat[count // 2 :])))
    if converts:
        found += [(flat,), tuple((one,) for one in flat)]
    if thorough:
        found += [((flat,),), *_halves_of(flat), *_thirds_of(flat)]
    if thorough and 2 < count <= _DEEPEST:
        found += [_mirrored(_leaning_right(flat), count - 1), _balanced(flat)]
    return tuple(dict.fromkeys(found))


def _halves_of(flat: tuple[int, ...]) -> Iterator[Grouping]:
    """All in two parts, of which both are combined, or one."""
    for cut in range(1, len(flat)):
        left, right = flat[:cut], flat[cut:]
        yield from ((_node(left), _node(right)), (*left, _node(right)), (_node(left), *right))


def _thirds_of(flat: tuple[int, ...]) -> Iterator[Grouping]:
    for first, second in islice(combinations(range(1, len(flat)), 2), _MOST_THIRDS):
        left, middle, right = _node(flat[:first]), _node(flat[first:second]), _node(flat[second:])
        yield from ((left, middle, right), (left, (middle, right)), ((left, middle), right))


def orders(count: int, *, thorough: bool = False) -> list[tuple[int, ...]]:
    """Some other orders of `count` values."""
    flat = tuple(range(count))
    found = [flat[::-1], (*flat[1:], *flat[:1])]
    if thorough:
        found += [(*flat[1:2], *flat[:1], *flat[2:]), (*flat[::2], *flat[1::2])]
    return [order for order in dict.fromkeys(found) if order != flat]


def reduced(
    operator: Operator, key: Any, values: list[Any], grouping: Grouping, *, finished: bool = True
) -> Any:
    """What the key gets if its values meet in this grouping; unless `finished`, that before it is finished."""

    def standing_for(node: int | Grouping) -> list[Any]:
        if isinstance(node, int):
            return [values[node]]
        return operator.combined(key, [value for child in node for value in standing_for(child)])

    some = [value for node in grouping for value in standing_for(node)]
    if not some:  # a combiner may drop all values of a key, whose reducer is then not called
        return []
    return operator.result(key, some) if finished else operator.unfinished(key, some)


def shown(grouping: Grouping, texts: list[str]) -> str:
    """The grouping in words: what is combined first is in parentheses."""
    return ", ".join(texts[node] if isinstance(node, int) else f"({shown(node, texts)})" for node in grouping)


def _node(some: tuple[int, ...]) -> int | Grouping:
    return some[0] if len(some) == 1 else some


def _leaning_right(flat: tuple[int, ...]) -> Grouping:
    """(0, (1, 2)): one more value at a time, from the end."""
    tree: Grouping = flat[-2:]
    for one in reversed(flat[:-2]):
        tree = (one, tree)
    return tree


def _mirrored(tree: Grouping, last: int) -> Grouping:
    return tuple(last - node if isinstance(node, int) else _mirrored(node, last) for node in reversed(tree))


def _balanced(flat: tuple[int, ...]) -> Grouping:
    def half(some: tuple[int, ...]) -> int | Grouping:
        if len(some) == 1:
            return some[0]
        return half(some[: len(some) // 2]), half(some[len(some) // 2 :])

    middle = len(flat) // 2
    return half(flat[:middle]), half(flat[middle:])
