"""A next step that only maps, run on the results of a reducer in the worker that made them.

Nothing need move between the two: what would have been stored, sent and read again goes straight on.
"""

from __future__ import annotations

import operator
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice, starmap

from asyncmr.contexts import Context, within
from asyncmr.functions import Mapper
from asyncmr.kernel.failures import UserFailure, check_pairs, excerpt, name_of, stopped_early
from asyncmr.kernel.guarding import Guarding
from asyncmr.kernel.mapping import BATCH
from asyncmr.kernel.outlets import ChunkOutlet, ColumnBatch, Item
from asyncmr.protocols import Pair


class FollowingOutlet:
    """Pairs through a mapper into chunks of output. `stage`: what reports and errors call the mapper's stage.

    With `guarding`, a pair on which the mapper fails is left out.
    """

    def __init__(
        self, mapper: Mapper, stage: str, chunks: ChunkOutlet, guarding: Guarding | None = None
    ) -> None:
        self._mapper = mapper
        self._stage = stage
        self._chunks = chunks
        self._guarding = guarding
        self.pairs_out = 0

    @property
    def facts(self) -> dict[str, int]:
        """What the mapper did."""
        return {"followed": self._chunks.pairs_out}

    def add(self, batch: list[Pair]) -> Generator[Item, None, None]:
        """Takes a batch of results; gives a chunk if one is full."""
        first = self.pairs_out == 0
        if first:
            check_pairs("reducer", "the reducer", batch)
        if self._guarding is not None:
            yield from self._add_guarded(self._guarding, batch)
            return
        given = iter(batch)
        made = chain.from_iterable(starmap(self._mapper, given))
        while True:
            try:
                some = list(islice(made, BATCH))
                if not some:
                    if stopped_early(given):
                        raise StopIteration
                    break
            except BaseException as error:
                self._fail(batch[len(batch) - operator.length_hint(given) - 1], error)
            if first:
                check_pairs("mapper", self._mapper, some)
            yield from self._chunks.add(some)
        self.pairs_out += len(batch)

    def _add_guarded(self, guarding: Guarding, batch: list[Pair]) -> Iterator[Item]:
        def bundle(start: int, stop: int) -> tuple[Iterator[Pair], Iterator[Pair]]:
            given = iter(batch[start:stop])
            return chain.from_iterable(starmap(self._mapper, given)), given

        def one(index: int) -> Iterable[Pair]:
            return guarding.group("following", self._mapper, batch[index], batch[index])

        groups = guarding.bundles("following", len(batch), bundle, one)
        rest: list[Pair] = []
        for some in guarding.batches(groups, rest):
            if some:
                yield from self._chunks.add(some)
            yield from guarding.waiting()
        if rest:
            yield from self._chunks.add(rest)
        self.pairs_out += len(batch)

    def add_columns(self, batch: ColumnBatch) -> Generator[Item, None, None]:
        """The same for columns."""
        return self.add(list(zip(batch.keys, batch.values, strict=True)))

    def finish(self) -> Iterator[Item]:
        """The chunk that has begun."""
        return self._chunks.finish()

    def _fail(self, pair: Pair, error: BaseException) -> None:
        raise UserFailure(
            "mapper",
            f"{name_of(self._mapper)} raised {type(error).__name__} for the pair {excerpt(pair)}, "
            "or returned something that is no iterable of pairs",
            excerpt=excerpt(pair[1]),
            following=self._stage,
        ) from error


class PreparedOutlet:
    """A mapper that finds ready what its own step's setup made, and nothing of the reducer's."""

    def __init__(self, outlet: FollowingOutlet, context: Context | None) -> None:
        self._outlet = outlet
        self._context = context
        self.finish = outlet.finish

    @property
    def pairs_out(self) -> int:
        """How many results the mapper was given."""
        return self._outlet.pairs_out

    @property
    def facts(self) -> dict[str, int]:
        """What the mapper did."""
        return self._outlet.facts

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch of results."""
        return within(self._context, self._outlet.add(batch))

    def add_columns(self, batch: ColumnBatch) -> Iterator[Item]:
        """The same for columns."""
        return within(self._context, self._outlet.add_columns(batch))
