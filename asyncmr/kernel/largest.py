"""The largest of some results."""

from __future__ import annotations

from heapq import nlargest, nsmallest

from asyncmr.kernel.key_order import is_plain, place_of
from asyncmr.protocols import Pair


def largest(k: int, pairs: list[Pair]) -> list[Pair]:
    """The `k` pairs with the largest values, largest first; equal ones in the order of their keys."""
    if len(pairs) > k:
        least = min(nlargest(k, (value for _, value in pairs)))
        above = [pair for pair in pairs if pair[1] > least]
        ties = [pair for pair in pairs if pair[1] == least]
        pairs = above + _first(k - len(above), ties)
    pairs = _first(len(pairs), pairs)
    pairs.sort(key=lambda pair: pair[1], reverse=True)
    return pairs


def _first(k: int, pairs: list[Pair]) -> list[Pair]:
    if is_plain({type(key) for key, _ in pairs}):
        return nsmallest(k, pairs, key=lambda pair: pair[0])
    return nsmallest(k, pairs, key=lambda pair: place_of(pair[0]))
