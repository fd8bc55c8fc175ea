"""Guarding: where a user function fails for a record, or a key, that one is left out.

A task is guarded when an attempt at it has failed, and gives the same bytes as one that is not. Its records are mapped
in bundles, and those of a bundle in which something fails are mapped again, one by one. Before each call it leaves
a mark in a file, its trail: the last mark tells the host on what a worker died, a bundle first and then a record.

A record whose pairs are too many to be held until the last of them is there is not guarded; if it fails half-way the
attempt fails, and the next one is told to leave it out, as it is told of what killed its worker.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from itertools import chain, islice
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from asyncmr.counters import Counts, add_counts, counting
from asyncmr.excerpt import message_of, traceback_of, type_name
from asyncmr.job import Pair
from asyncmr.kernel.failures import UserFailure, check_keys, check_pairs
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.mapping import BATCH
from asyncmr.kernel.outlets import SAMPLE, Item

T = TypeVar("T")

# Whose calls are numbered, each role's from 0: a mapper's records, a reducer's keys, and the pairs that a following
# mapper gets. What is called for many of them at once is a bundle, such as the batch of a batch function.
_BUNDLES = {"mapper": "records", "reducer": "keys", "following": "pairs"}
BUNDLES = tuple(_BUNDLES.values())
ROLES = (*_BUNDLES, *BUNDLES)
Place = tuple[str, int]
"""A role, and the number of the call."""

# A mark and a look at the outcome cost as much as ten cheap records; where one fails, all of its bundle run again.
BUNDLE = 32

# What a bundle may give before it is taken apart, and a record, or a key, before it goes on unguarded.
MOST_PAIRS = 100_000
MOST_BYTES = 16 << 20
# What is told of skipped records leaves the worker when it takes this much.
_FULL = 256 << 10
_ENTRY = 200
# Failures in the functions that call for no skipping, since they leave a table half changed.
_SKIPPABLE = ("mapper", "reducer", "aggregator")

_MARK = struct.Struct("<bqd")
NO_MARK = _MARK.pack(-1, 0, 0.0)


class Mark(NamedTuple):
    """The call that a worker was in, since when (`time.monotonic`)."""

    place: Place
    since: float

    @classmethod
    def read(cls, trail: bytes) -> Mark | None:
        """What a trail says; None if the worker was in no call."""
        role, number, since = _MARK.unpack(trail)
        return None if role < 0 else cls((ROLES[role], number), since)


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


class Enough(Exception):
    """The attempt has left out more than it may."""


class _TooMany(Exception):
    """A bundle gives more pairs than can be held."""


class Guarding:
    """A guard at work in one attempt. Close it.

    `hashes`: the keys of a mapper's pairs must have a hash. `skipped`: how many were left out, by role.
    """

    def __init__(self, guard: Guard, *, hashes: bool) -> None:
        self._guard = guard
        self.hashes = hashes
        self._trail = open(guard.trail, "r+b", buffering=0)  # noqa: SIM115
        self._marked = False
        self._next = dict.fromkeys(ROLES, 0)
        self._told: dict[str, list[tuple[Any, ...]]] = {}
        self._size = 0
        self.skipped: dict[str, int] = {}

    def close(self) -> None:
        """Closes the trail."""
        self._trail.close()

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
        bundle: Callable[[int, int], Iterator[Pair]],
        one: Callable[[int], Iterable[Pair]],
    ) -> Iterator[Iterable[Pair]]:
        """The pairs for so many records or keys.

        `bundle` gives those of the ones from an index to another, and `one` those of a single one, by `group`.
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
        if place not in self._guard.skip:
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
        if place in self._guard.skip:
            self._leave_out(role, shown, position(), *self._guard.skip[place], "")
            return None
        self.mark(place)
        counts: Counts = {}
        try:
            with counting(counts):
                got = call()
        except BaseException as error:
            if isinstance(error, UserFailure) and error.facts["role"] not in _SKIPPABLE:
                raise
            told = error
            if isinstance(error, UserFailure):
                told = error.__cause__ or TypeError(str(error))
            trace = "" if self.skipped else traceback_of(told)
            self._leave_out(role, shown, position(), type_name(told), message_of(told), trace)
            return None
        if counted:
            add_counts(counts)
        return got

    def bundle(self, role: str, number: int, items: int, call: Callable[[], T]) -> T | None:
        """What `call()` makes of so many records or keys at once; None if they are to be looked through."""
        place = _BUNDLES[role], number
        skip, first = self._guard.skip, self._next[role]
        if skip and (place in skip or any((role, each) in skip for each in range(first, first + items))):
            return None
        self.mark(place)
        counts: Counts = {}
        try:
            with counting(counts):
                got = call()
        except BaseException as error:
            if isinstance(error, UserFailure) and error.facts["role"] not in _SKIPPABLE:
                raise
            return None
        add_counts(counts)
        self._next[role] += items
        return got

    def watched(self, role: str, function: Callable[[Any, Any], T], nothing: T) -> Callable[[Any, Any], T]:
        """The function, with a mark before each call; where it is to be left out it gives `nothing`, and that is
        not told."""

        @wraps(function)
        def watch(key: Any, value: Any) -> T:
            place = role, self._next[role]
            self._next[role] += 1
            if place in self._guard.skip:
                return nothing
            self.mark(place)
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
                self.unmark()
                batch = rest.copy()
                rest.clear()
                yield batch
            if self._size >= _FULL:
                yield []
        self.unmark()

    def waiting(self) -> Iterator[Item]:
        """What is to be told of skipped records, once it is much."""
        if self._size >= _FULL:
            yield from self.items()

    def items(self) -> Iterator[Item]:
        """What is to be told of skipped records: a list of `Entry` each, and the role."""
        for role, told in self._told.items():
            yield ("skipped", role), marshal.dumps(told)
        self._told, self._size = {}, 0

    def mark(self, place: Place) -> None:
        """A call begins."""
        role, number = place
        self._write(_MARK.pack(ROLES.index(role), number, monotonic()))
        self._marked = True

    def unmark(self) -> None:
        """What the worker does now is nobody's call: to die of it does not speak against the last one."""
        if self._marked:
            self._write(NO_MARK)
            self._marked = False

    def _write(self, mark: bytes) -> None:
        self._trail.seek(0)
        self._trail.write(mark)

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

    def _all_drawn(
        self, role: str, bundle: Callable[[int, int], Iterator[Pair]], start: int, stop: int
    ) -> list[Pair]:
        pairs, rest = self._drawn(role, "the mapper", bundle(start, stop))
        if rest is not None:
            raise _TooMany
        return pairs

    def _rest(
        self, place: Place, function: Callable[..., Iterable[Pair]], made: Iterator[Pair]
    ) -> Iterator[Pair]:
        """The pairs that are to come, unguarded."""
        role, _ = place
        try:
            while True:
                self.mark(place)
                some = list(islice(made, BATCH))
                self._check(role, function, some)
                yield from some
                if len(some) < BATCH:
                    return
        except GeneratorExit:
            raise
        except BaseException as error:
            if isinstance(error, UserFailure) and error.facts["role"] not in _SKIPPABLE:
                raise
            cause = error.__cause__ or error if isinstance(error, UserFailure) else error
            message = f"{role} {place[1]} failed after its first {MOST_PAIRS:,} pairs"
            raise UserFailure("mapper", message, late=place) from cause

    def _check(self, role: str, function: object, pairs: list[Pair]) -> None:
        try:
            keys = [key for key, _ in pairs]
        except (TypeError, ValueError):
            kind = "reducer" if role == "reducer" else "mapper"
            check_pairs(kind, "the reducer" if role == "reducer" else function, pairs)
            raise
        if self.hashes and role == "mapper":
            check_keys(keys)

    def _leave_out(
        self, role: str, shown: Any, position: int | None, error: str, message: str, trace: str
    ) -> None:
        text = _text(shown, self._guard.keep)
        cut = len(text) > self._guard.keep
        entry = Entry(position, error, message, text[: self._guard.keep], cut, trace)
        self._told.setdefault(role, []).append(tuple(entry))
        self._size += len(text) + len(message) + len(trace) + _ENTRY
        self.skipped[role] = self.skipped.get(role, 0) + 1
        if self._guard.most is not None and sum(self.skipped.values()) > self._guard.most:
            raise Enough


class Entry(NamedTuple):
    """What is told of one that was left out. `position`: the decoder's; `trace`: the traceback, of the first only."""

    position: int | None
    error: str
    message: str
    text: str
    cut: bool
    trace: str


def _text(value: Any, most: int) -> str:
    """A str itself, and of others the `repr`: a little more of it than `most`, if it is longer."""
    if isinstance(value, str):
        return value[: most + 1]
    try:
        return repr(value)[: most + 1]
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
