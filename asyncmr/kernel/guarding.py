"""Guarding: where a user function fails for a record, or a key, that one is left out.

A task is guarded when an attempt at it has failed, and gives the same bytes as one that is not. Its records are mapped
in bundles, and those of a bundle in which something fails are mapped again, one by one. Before each call it leaves
a mark in a file, its trail: the last mark tells the host on what a worker died, a bundle first and then a record.

A record whose pairs are too many to be held until the last of them is there is not guarded; if it fails half-way the
attempt fails, and the next one is told to leave it out, as it is told of what killed its worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from itertools import chain, islice
from typing import Any, TypeVar

from asyncmr.counters import Counts, add_counts, counting
from asyncmr.excerpt import message_of, traceback_of, type_name
from asyncmr.kernel.failures import UserFailure, check_keys, check_pairs, stopped_early
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.leftout import LeftOut
from asyncmr.kernel.mapping import BATCH
from asyncmr.kernel.marks import BUNDLE_OF, ROLES, Marks, Place
from asyncmr.kernel.outlets import SAMPLE, Item
from asyncmr.protocols import Pair

T = TypeVar("T")

Bundle = Callable[[int, int], tuple[Iterator[Pair], Iterator[Any] | None]]
"""The pairs for the records or keys from an index to another, and the iterator of a list that a `map` takes, if any."""

# A mark and a look at the outcome cost as much as ten cheap records; where one fails, all of its bundle run again.
BUNDLE = 32

# What a bundle may give before it is taken apart, and a record, or a key, before it goes on unguarded.
MOST_PAIRS = 100_000
MOST_BYTES = 16 << 20
# Failures in the functions that call for no skipping, since they leave a table half changed.
_SKIPPABLE = ("mapper", "decoder", "reducer", "aggregator")


@dataclass(frozen=True, slots=True)
class Guard:
    """How an attempt is guarded. `trail`: a file that holds `NO_MARK`. `skip`: what is left out at once, each with the
    name and the message of the error that it stands for. `keep`: how many characters of a record are told.
    `most`: an attempt that leaves out more than so many ends.
    """

    trail: str
    skip: Mapping[Place, tuple[str, str]]
    keep: int
    most: int | None = None


class _NotAll(Exception):
    """These are not all pairs of a bundle: they are too many, or the function ended as if its input had ended."""


class Guarding:
    """A guard at work in one attempt. Close it.

    `hashes`: the keys of a mapper's pairs must have a hash.
    """

    def __init__(self, guard: Guard, *, hashes: bool) -> None:
        self._skip = guard.skip
        self._next = dict.fromkeys(ROLES, 0)
        self.hashes = hashes
        self.marks = Marks(guard.trail)
        self.left_out = LeftOut(guard.keep, guard.most)

    def close(self) -> None:
        """Closes the trail."""
        self.marks.close()

    def waiting(self) -> Iterator[Item]:
        """What is to be told of what was left out, once it is much."""
        if self.left_out.full:
            yield from self.left_out.told()

    def group(
        self,
        role: str,
        function: Callable[..., Iterable[Pair]],
        arguments: tuple[Any, ...],
        shown: Any,
        position: Callable[[], int | None] = lambda: None,
    ) -> Iterable[Pair]:
        """The pairs that a user function gives for one record or key, `shown` in reports; none if it fails."""
        place = role, self._next[role]
        drawn = self.run(
            role, lambda: self._drawn(role, function, iter(function(*arguments))), shown, position
        )
        if drawn is None:
            return ()
        pairs, made = drawn
        return pairs if made is None else chain(pairs, self._rest(place, function, made))

    def bundles(
        self,
        role: str,
        items: int,
        bundle: Bundle,
        one: Callable[[int], Iterable[Pair]],
    ) -> Iterator[Iterable[Pair]]:
        """The pairs for so many records or keys.

        `one` gives those of a single one, by `group`.
        """
        at = 0
        while at < items:
            first = self._next[role]
            number = first // BUNDLE  # whichever of them come in one portion
            end = min(at + (number + 1) * BUNDLE - first, items)
            drawn = self.bundle(role, number, end - at, partial(self._all_drawn, role, bundle, at, end))
            if drawn is not None:
                yield drawn
            else:
                yield from map(one, range(at, end))
            at = end

    def stream(
        self, role: str, function: Callable[[], Iterator[Pair]], shown: Any, skipped: Callable[[], object]
    ) -> Iterable[Pair]:
        """The pairs for a key whose values are more than memory holds; `skipped()` is called if it is left out."""
        place = role, self._next[role]
        if place not in self._skip:
            self._next[role] += 1
            return self._rest(place, function, function())
        self.run(role, function, shown)
        skipped()
        return ()

    def run(
        self,
        role: str,
        call: Callable[[], T],
        shown: Any,
        position: Callable[[], int | None] = lambda: None,
        *,
        counted: bool = True,
    ) -> T | None:
        """What `call()` returns; None if it fails. `counted`: the user counters that it raises count then."""
        place = role, self._next[role]
        self._next[role] += 1
        if place in self._skip:
            self.left_out.add(role, shown, position(), *self._skip[place])
            return None
        outcome = self._tried(place, call)
        if isinstance(outcome, BaseException):
            told = outcome
            if isinstance(outcome, UserFailure):
                told = outcome.__cause__ or TypeError(str(outcome))
            trace = "" if self.left_out.counts else traceback_of(told)
            self.left_out.add(role, shown, position(), type_name(told), message_of(told), trace)
            return None
        got, counts = outcome
        if counted:
            add_counts(counts)
        return got

    def bundle(self, role: str, number: int, items: int, call: Callable[[], T]) -> T | None:
        """What `call()` makes of so many records or keys at once; None if they are to be looked through."""
        place = BUNDLE_OF[role], number
        skip, first = self._skip, self._next[role]
        if skip and (place in skip or any((role, each) in skip for each in range(first, first + items))):
            return None
        outcome = self._tried(place, call)
        if isinstance(outcome, BaseException):
            return None
        got, counts = outcome
        add_counts(counts)
        self._next[role] += items
        return got

    def _tried(self, place: Place, call: Callable[[], T]) -> tuple[T, Counts] | BaseException:
        """What `call()` returns, and the counters that it raises; its error, if that calls for skipping."""
        self.marks.set(place)
        counts: Counts = {}
        try:
            with counting(counts):
                return call(), counts
        except BaseException as error:
            if not _is_skippable(error):
                raise
            return error

    def watched(self, role: str, function: Callable[[Any, Any], T], nothing: T) -> Callable[[Any, Any], T]:
        """The function, with a mark before each call; where it is to be left out it gives `nothing`, and that is
        not told."""

        @wraps(function)
        def watch(key: Any, value: Any) -> T:
            place = role, self._next[role]
            self._next[role] += 1
            if place in self._skip:
                return nothing
            self.marks.set(place)
            return function(key, value)

        return watch

    def batches(self, groups: Iterable[Iterable[Pair]], rest: list[Pair]) -> Iterator[list[Pair]]:
        """The pairs of `rest` and of the groups in batches; what makes no batch is left in `rest`.

        An empty batch says that `waiting` has something.
        """
        for group in groups:
            pairs = iter(group)
            while True:
                rest += islice(pairs, BATCH - len(rest))
                if len(rest) < BATCH:
                    break
                self.marks.clear()
                batch = rest.copy()
                rest.clear()
                yield batch
            if self.left_out.full:
                yield []
        self.marks.clear()

    def _drawn(
        self, role: str, function: object, made: Iterator[Pair]
    ) -> tuple[list[Pair], Iterator[Pair] | None]:
        """The pairs, and what gives the rest of them if they are too many."""
        pairs, size = list[Pair](), 0
        while True:
            some = list(islice(made, BATCH))
            self._check(role, function, some)
            pairs += some
            if len(some) < BATCH:
                return pairs, None
            size += estimate_bytes(some[SAMPLE]) * SAMPLE.step
            if len(pairs) >= MOST_PAIRS or size >= MOST_BYTES:
                return pairs, made

    def _all_drawn(self, role: str, bundle: Bundle, start: int, stop: int) -> list[Pair]:
        made, given = bundle(start, stop)
        pairs, rest = self._drawn(role, "the mapper", made)
        if rest is not None or (given is not None and stopped_early(given)):
            raise _NotAll
        return pairs

    def _rest(
        self, place: Place, function: Callable[..., Iterable[Pair]], made: Iterator[Pair]
    ) -> Iterator[Pair]:
        """The pairs that are to come, unguarded."""
        role, _ = place
        try:
            while True:
                self.marks.set(place)
                some = list(islice(made, BATCH))
                self._check(role, function, some)
                yield from some
                if len(some) < BATCH:
                    return
        except GeneratorExit:
            raise
        except BaseException as error:
            if not _is_skippable(error):
                raise
            cause = error.__cause__ or error if isinstance(error, UserFailure) else error
            message = f"{role} {place[1]} failed after its first {MOST_PAIRS:,} pairs"
            raise UserFailure("mapper", message, late=place) from cause

    def _check(self, role: str, function: object, pairs: list[Pair]) -> None:
        who = ("reducer", "the reducer") if role == "reducer" else ("mapper", function)
        try:
            keys = [key for key, _ in pairs]
        except (TypeError, ValueError):
            check_pairs(*who, pairs)
            raise
        if not set(map(type, pairs)) <= {tuple}:
            check_pairs(*who, pairs)
        if self.hashes and role == "mapper":
            try:
                deque(map(hash, keys), 0)
            except TypeError:
                check_keys(keys)
                raise


def _is_skippable(error: BaseException) -> bool:
    return not isinstance(error, UserFailure) or error.facts["role"] in _SKIPPABLE
