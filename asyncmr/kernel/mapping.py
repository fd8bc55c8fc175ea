"""From records to the mapper's pairs, in small batches, with every failing record known and slow ones noticed.

The mapper's pairs are drawn 256 at a time: a batch that stays in the cache costs 6% more than no batch at all,
saves a third of the time when values are grouped in lists, and gives the counts of pairs and of bytes for free.
Batches end at multiples of 256 pairs of the split, wherever its records were cut, so that what is decided at the
end of a batch depends on the input alone.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from itertools import chain, islice, repeat
from time import perf_counter
from typing import Any

from asyncmr.job import Decoder, Mapper, Pair
from asyncmr.kernel.failures import UserFailure, check_pairs, excerpt, name_of, stopped_early

BATCH = 256

# A split is given back for others to share when it has taken this long, and its records this long each.
_PATIENCE = 0.02
_SLOW_RECORD = 0.001
_SLOW_STEPS = 2
# What one worker then gets at a time.
_SHARE = 0.1
_MOST_SHARES = 1000


class Mapping:
    """One mapper at work on the records between two positions of a split."""

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
        self.rest: list[Pair] = []

    def batches(self) -> Iterator[list[Pair]]:
        """The pairs, in order. Unless `patient`, stops early at slow records and sets `left`.

        `left` is then the positions at which the rest should be cut, its beginning first, its end last, and
        `rest` is what was mapped already and does not make a batch.
        """
        keys, values = self._decoder.decode(self._data, self._start, self._stop)
        began = before = perf_counter()
        step, total, slow = 1, len(values), 0
        while self.records < total:
            done = self.records
            some = slice(done, min(done + step, total))
            yield from self._some(repeat(None) if keys is None else keys[some], values[some])
            now = perf_counter()
            cost = (now - before) / (self.records - done)
            # Not by the first record, which may have paid for an import, nor by a single pause of the machine.
            slow = slow + 1 if done and cost > _SLOW_RECORD else 0
            left = total - self.records
            if slow >= _SLOW_STEPS and not self.patient and now - began > _PATIENCE and left > 1:
                self.left = self._cuts(max(round(_SHARE / cost), left // _MOST_SHARES, 1))
                return
            if now - before < 0.002:
                step = min(step * 2, 4096)
            elif now - before > 0.02:
                step = max(step // 2, 1)
            before = now
        if self.rest:
            yield self.rest

    def _some(self, keys: Iterator[Any] | list[Any], values: list[Any]) -> Iterator[list[Pair]]:
        records = iter(values)
        names = iter(keys)
        pairs = chain.from_iterable(map(self._mapper, names, records))
        while True:
            try:
                batch = list(islice(pairs, BATCH - len(self.rest)))
            except BaseException as error:
                index = len(values) - operator.length_hint(records) - 1
                self._fail(self.records + index, values[index], error)
            if self.pairs == 0 and batch:
                check_pairs("mapper", self._mapper, batch)
            self.pairs += len(batch)
            if self.rest:
                batch = self.rest + batch
            if len(batch) < BATCH:
                self.rest = batch
                if stopped_early(records if isinstance(keys, repeat) else names):
                    index = len(values) - operator.length_hint(records) - 1
                    self._fail(self.records + index, values[index], StopIteration())
                break
            self.rest = []
            yield batch
        self.records += len(values)

    def _fail(self, index: int, record: object, error: BaseException) -> None:
        position = self._decoder.advance(self._data, self._start, index)
        name = name_of(self._mapper)
        message = f"{name} raised {type(error).__name__}"
        # Raised by our own chain, and not in the mapper's frame: it returned something else than pairs.
        ours = error.__traceback__ is not None and error.__traceback__.tb_next is None
        if ours and isinstance(error, TypeError) and "not iterable" in str(error):
            message = f"{name} must yield pairs or return an iterable of them ({error})"
        raise UserFailure(
            "mapper", message, excerpt=excerpt(record), position=position, record=index
        ) from error

    def _cuts(self, share: int) -> list[int]:
        end = self._stop
        cuts = [self._decoder.advance(self._data, self._start, self.records)]
        while cuts[-1] < end:
            cuts.append(min(self._decoder.advance(self._data, cuts[-1], share), end))
        return cuts
