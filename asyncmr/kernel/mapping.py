"""From records to the mapper's pairs, in small batches, with every failing record known and slow ones noticed.

The mapper's pairs are drawn 256 at a time: a batch that stays in the cache costs 6% more than no batch at all,
saves a third of the time when values are grouped in lists, and gives the counts of pairs and of bytes for free.
Batches end at multiples of 256 pairs of the split, wherever its records were cut, so that what is decided at the
end of a batch depends on the input alone.

The split is decoded a piece at a time: as a whole its lines take three times its bytes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from time import perf_counter
from typing import Any, Protocol

from asyncmr.functions import Mapper
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.failures import UserFailure, check_pairs, excerpt, name_of, stopped_early
from asyncmr.kernel.outlets import Item, Outlet
from asyncmr.protocols import Decoder, Pair, RecordBatch

BATCH = 256

# A split is given back for others to share when it has taken this long, and its records this long each.
_PATIENCE = 0.02
_SLOW_RECORD = 0.001
_SLOW_STEPS = 2
# What one worker then gets at a time.
_SHARE = 0.1
_MOST_SHARES = 1000

# What is decoded at a time. From 32 KiB to 1 MiB there is no difference in time.
PIECE_BYTES = 128 << 10


class Work(Protocol):
    """A mapper at work, or several, one after the other; see `SplitWork` and `Mapping`."""

    patient: bool
    left: list[int]

    @property
    def records(self) -> int: ...
    @property
    def pairs(self) -> int: ...
    def into(self, outlet: Outlet) -> Iterator[Item]: ...
    def encoded(self) -> Iterator[bytes]: ...
    def encoded_rest(self) -> bytes: ...


class SplitWork:
    """A mapper on what lies between two positions of a split: how far it has come.

    Unless it is `patient`, it stops early where it is slow. `left` is then the positions at which the rest should be
    cut, its beginning first, its end last.
    """

    _role = "mapper"
    _nothing: Any = ()

    def __init__(self, mapper: Mapper, decoder: Decoder, data: memoryview, start: int, stop: int) -> None:
        self._mapper = mapper
        self._decoder = decoder
        self._data = data
        self._start = start
        self._stop = stop
        self.records = 0
        self.pairs = 0
        self.left: list[int] = []
        self.patient = True

    def watch(self, watched: Callable[[str, Mapper, Any], Mapper]) -> None:
        """Puts `watched(role, mapper, what it returns when it makes no pairs)` in the mapper's place."""
        self._mapper = watched(self._role, self._mapper, self._nothing)


class Mapping(SplitWork):
    """One mapper at work, record by record. `rest`: when it stops early, what was mapped already and makes no batch."""

    def __init__(self, mapper: Mapper, decoder: Decoder, data: memoryview, start: int, stop: int) -> None:
        super().__init__(mapper, decoder, data, start, stop)
        self.rest: list[Pair] = []

    def into(self, outlet: Outlet) -> Iterator[Item]:
        """Takes all batches into `outlet`; gives the items that are complete."""
        for batch in self.batches():
            yield from outlet.add(batch)

    def encoded(self) -> Iterator[bytes]:
        """The batches as blocks."""
        return map(_encoded, self.batches())

    def encoded_rest(self) -> bytes:
        """A block of `rest`."""
        return _encoded(self.rest)

    @staticmethod
    def regrouped(shares: list[memoryview]) -> Iterator[list[Pair]]:
        """The pairs of blocks that `encoded` made, in batches as if they came from one mapping."""
        pairs = chain.from_iterable(zip(*decode_pairs(share), strict=True) for share in shares)
        while batch := list(islice(pairs, BATCH)):
            yield batch

    def batches(self) -> Iterator[list[Pair]]:
        """The pairs, in order."""
        began = before = perf_counter()
        step, slow = 1, 0
        for piece in self._decoder.decode(self._data, self._start, self._stop, PIECE_BYTES):
            at, total = 0, len(piece.values)
            while at < total:
                end = min(at + step, total)
                yield from self._some(piece, at, end)
                now = perf_counter()
                cost = (now - before) / (end - at)
                # Not by the first record, which may have paid for an import, nor by a single pause of the machine.
                slow = slow + 1 if self.records and cost > _SLOW_RECORD else 0
                self.records += end - at
                at = end
                if slow >= _SLOW_STEPS and not self.patient and now - began > _PATIENCE:
                    first = self._decoder.advance(self._data, piece.start, at)
                    cuts = cuts_between(
                        self._decoder, self._data, first, self._stop, max(round(_SHARE / cost), 1)
                    )
                    if len(cuts) > 2:
                        self.left = cuts
                        return
                if now - before < 0.002:
                    step = min(step * 2, 4096)
                elif now - before > 0.02:
                    step = max(step // 2, 1)
                before = now
        if self.rest:
            rest, self.rest = self.rest, []
            yield rest

    def _some(self, piece: RecordBatch, start: int, stop: int) -> Iterator[list[Pair]]:
        values = piece.values[start:stop]
        records = iter(values)
        keys = None if piece.keys is None else iter(piece.keys[start:stop])
        pairs = chain.from_iterable(map(self._mapper, repeat(None) if keys is None else keys, records))
        while True:
            try:
                batch = list(islice(pairs, BATCH - len(self.rest)))
            except BaseException as error:
                self._fail(piece, stop - operator.length_hint(records) - 1, error)
            if self.pairs == 0 and batch:
                check_pairs("mapper", self._mapper, batch)
            self.pairs += len(batch)
            if self.rest:
                batch = self.rest + batch
            if len(batch) < BATCH:
                self.rest = batch
                if stopped_early(records if keys is None else keys):
                    self._fail(piece, stop - operator.length_hint(records) - 1, StopIteration())
                return
            self.rest = []
            yield batch

    def _fail(self, piece: RecordBatch, index: int, error: BaseException) -> None:
        name = name_of(self._mapper)
        message = f"{name} raised {type(error).__name__}"
        # Raised by our own chain, and not in the mapper's frame: it returned something else than pairs.
        ours = error.__traceback__ is not None and error.__traceback__.tb_next is None
        if ours and isinstance(error, TypeError) and "not iterable" in str(error):
            message = f"{name} must yield pairs or return an iterable of them ({error})"
        position = self._decoder.advance(self._data, piece.start, index)
        raise UserFailure(
            "mapper", message, excerpt=excerpt(piece.values[index]), position=position
        ) from error


def share_of(records: int, seconds: float) -> int | None:
    """How many records make a share where so many took so long; None if they are not slow."""
    slow = seconds > _PATIENCE and seconds > _SLOW_RECORD * records
    return max(round(_SHARE * records / seconds), 1) if slow else None


def cuts_between(decoder: Decoder, data: memoryview, start: int, stop: int, share: int) -> list[int]:
    """The positions of every `share`-th record from `start` on, or of fewer, and the end, `stop`."""
    cuts = [start]
    while cuts[-1] < stop:
        cuts.append(min(decoder.advance(data, cuts[-1], share), stop))
        if len(cuts) > 2 * _MOST_SHARES:
            cuts, share = cuts[::2], share * 2
    return cuts


def _encoded(pairs: list[Pair]) -> bytes:
    return encode_pairs([key for key, _ in pairs], [value for _, value in pairs])
