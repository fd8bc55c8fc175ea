"""What is shipped to a worker: one step of a job, as the generators that its tasks run.

Each method takes a small argument and a feed of buffers, yields `(meta, data)` items as `outlets` describes them,
and returns the facts that the host commits together with the items.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from time import perf_counter
from typing import Any

from asyncmr.job import Decoder, Encoder, Mapper, Pair, Reduction
from asyncmr.kernel.blocks import Slice, decode_pairs, encode_pairs
from asyncmr.kernel.failures import UserFailure, check_pairs
from asyncmr.kernel.mapping import BATCH, Mapping
from asyncmr.kernel.merging import Feed, Merge
from asyncmr.kernel.ordering import order_of_keys
from asyncmr.kernel.outlets import ChunkOutlet, Item, RunOutlet
from asyncmr.kernel.partitioning import Partitioning

Facts = dict[str, Any]
Task = Generator[Item, None, Facts]

# A small job reduces in the worker that mapped it, as long as that takes no longer than this.
_FUSED_SECONDS = 0.02


class StepProgram:
    """One step. Without a reduction it only maps."""

    def __init__(
        self,
        *,
        mapper: Mapper,
        decoder: Decoder,
        encoder: Encoder,
        reduction: Reduction | None = None,
        partitioning: Partitioning | None = None,
    ) -> None:
        self._mapper = mapper
        self._decoder = decoder
        self._encoder = encoder
        self._reduction = reduction
        self._partitioning = partitioning

    def map(self, argument: tuple[int, bool, bool], feed: Feed) -> Task:
        """A whole split, fed as one buffer. `argument`: the split's index, whether to stop at slow records,
        and whether to reduce at once, which takes a split that is the whole input.

        Facts: `records`, `pairs`, `pairs_out`; when it stopped early, `left`, the positions at which to cut the
        rest, and `state`, which `resume` takes together with the items `("state",)` and `("pairs",)`.
        """
        index, patient, fused = argument
        (data,) = feed.ask(())
        outlet = self._outlet(index)
        mapping = Mapping(self._mapper, self._decoder, data, 0, self._decoder.end(data))
        mapping.patient = patient
        for batch in mapping.batches():
            for item in outlet.add(batch):
                mapping.patient = True  # what is on its way cannot be put down
                yield item
        facts: Facts = {"records": mapping.records, "pairs": mapping.pairs}
        if mapping.left:
            state, table = outlet.put_down()
            yield ("state",), table
            yield (
                ("pairs",),
                encode_pairs([key for key, _ in mapping.rest], [value for _, value in mapping.rest]),
            )
            return {**facts, "left": mapping.left, "state": state}
        if fused and isinstance(outlet, RunOutlet) and outlet.flushes == 0:
            return {**facts, **(yield from self._fuse(outlet))}
        yield from outlet.finish()
        return {**facts, "pairs_out": outlet.pairs_out}

    def share(self, argument: tuple[int, int], feed: Feed) -> Task:
        """The mapper alone on the records between two positions of a split; yields blocks of its pairs."""
        start, stop = argument
        (data,) = feed.ask(())
        mapping = Mapping(self._mapper, self._decoder, data, start, stop)
        for batch in mapping.batches():
            yield ("pairs",), encode_pairs([key for key, _ in batch], [value for _, value in batch])
        return {"records": mapping.records, "pairs": mapping.pairs}

    def resume(self, argument: tuple[int, tuple[Any, ...]], feed: Feed) -> Task:
        """The end of a split that stopped early. `argument`: the split's index, and the state.

        Fed are the table that was put down, and the pairs of what was left, in order.
        """
        index, state = argument
        table, *shares = feed.ask(())
        outlet = self._outlet(index)
        outlet.take_up(state, table)
        pairs = _pairs_of(shares)
        while batch := list(islice(pairs, BATCH)):
            yield from outlet.add(batch)
        yield from outlet.finish()
        return {"pairs_out": outlet.pairs_out}

    def combine(self, argument: tuple[int], feed: Feed) -> Task:
        """Merges neighbouring runs of a partition into one."""
        reduction, partitioning = self._shuffle()
        outlet = RunOutlet(reduction, partitioning, folds=reduction.combines)
        pairs = 0
        for stretch in Merge(feed).stretches():
            table = reduction.table()
            for run in stretch.slices:
                pairs += len(run.values)
                reduction.gather(table, run)
            for partition, run in partitioning.runs(reduction, table):
                yield from outlet.blocks(partition, run)
        return {"pairs": pairs, "pairs_out": outlet.pairs_out}

    def reduce(self, argument: tuple[int], feed: Feed) -> Task:
        """Reduces one partition from its runs."""
        reduction, partitioning = self._shuffle()
        outlet = ChunkOutlet(self._encoder, argument[0], role="reducer")
        counted = [0]
        for stretch in Merge(feed).stretches():
            slices = _counting(stretch.slices, counted)
            if stretch.endless:
                results = reduction.stream(slices)
            else:
                table = reduction.table()
                keys = _whole_keys(list(slices), reduction, table, sorts=partitioning.sorts)
                results = reduction.results(keys, table)
            yield from _output(results, outlet)
        yield from outlet.finish()
        return {"pairs": counted[0], "pairs_out": outlet.pairs_out}

    def _fuse(self, outlet: RunOutlet) -> Task:
        """Reduces what the table holds, or gives it as runs from the partition on at which that takes long."""
        reduction, partitioning = self._shuffle()
        began = perf_counter()
        pairs_out = results = 0
        for partition, run in partitioning.runs(reduction, outlet.table):
            if perf_counter() - began > _FUSED_SECONDS:
                yield from outlet.blocks(partition, run)
                continue
            table = reduction.table()
            reduction.gather(table, run)
            chunk = ChunkOutlet(self._encoder, partition, role="reducer")
            keys = run.keys if len(table) == len(run.keys) else list(table)
            try:
                yield from _output(reduction.results(keys, table), chunk)
                yield from chunk.finish()
            except UserFailure as failure:
                failure.facts["stage"] = "reduce"
                raise
            pairs_out += len(run.values)
            results += chunk.pairs_out
        return {"pairs_out": outlet.pairs_out + pairs_out, "reduced": pairs_out, "results": results}

    def _outlet(self, index: int) -> RunOutlet | ChunkOutlet:
        if self._reduction is None:
            return ChunkOutlet(self._encoder, index, role="mapper")
        reduction, partitioning = self._shuffle()
        return RunOutlet(reduction, partitioning, folds=reduction.folds)

    def _shuffle(self) -> tuple[Reduction, Partitioning]:
        if self._reduction is None or self._partitioning is None:
            raise RuntimeError("a step that only maps was asked to shuffle")
        return self._reduction, self._partitioning


def _pairs_of(shares: list[memoryview]) -> Iterator[Pair]:
    for share in shares:
        yield from zip(*decode_pairs(share), strict=True)


def _counting(slices: Iterator[Slice], counted: list[int]) -> Iterator[Slice]:
    for run in slices:
        counted[0] += len(run.values)
        yield run


def _whole_keys(
    slices: list[Slice], reduction: Reduction, table: dict[Any, Any], *, sorts: bool
) -> list[Any]:
    """Gathers the slices into the table; its keys in order, those of one place by first appearance."""
    for run in slices:
        reduction.gather(table, run)
    if len(slices) == 1:
        return list(table)
    if sorts:
        keys = list(table)
        return [keys[index] for index in order_of_keys(keys)]
    places: dict[Any, float] = {}
    for run in slices:
        places.update(zip(run.keys, run.places, strict=True))
    return sorted(table, key=places.__getitem__)


def _output(results: Iterator[Pair], outlet: ChunkOutlet) -> Iterator[Item]:
    first = True
    while batch := list(islice(results, BATCH)):
        if first:
            check_pairs("reducer", "the reducer", batch)
            first = False
        yield from outlet.add(batch)
