"""What is shipped to a worker: one step of a job, as the generators that its tasks run.

Each method takes a small argument and a feed of buffers, yields `(meta, data)` items as `outlets` describes them,
and returns the facts that the host commits together with the items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from copy import copy
from itertools import islice, pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

from asyncmr.batches import batch_kind
from asyncmr.contexts import within
from asyncmr.functions import Mapper
from asyncmr.kernel.aggregating import AggregateReduction
from asyncmr.kernel.batching import Batching, mapper_for
from asyncmr.kernel.blocks import Slice, decode_pairs
from asyncmr.kernel.bounds import Bounds
from asyncmr.kernel.buckets import BucketLayout
from asyncmr.kernel.failures import UserFailure, check_pairs
from asyncmr.kernel.following import FollowingOutlet, PreparedOutlet
from asyncmr.kernel.guarded import GuardedBatching, GuardedMapping, guarded_results, guarded_stream
from asyncmr.kernel.guarding import Guard, Guarding
from asyncmr.kernel.layout import Feed, Layout, Stretch, Table, gathered, tables_of
from asyncmr.kernel.leftout import Enough
from asyncmr.kernel.mapping import BATCH, Mapping, Work
from asyncmr.kernel.outlets import TABLE_BYTES, ChunkOutlet, ColumnBatch, Item, Pack, RunOutlet
from asyncmr.kernel.passing import joined
from asyncmr.kernel.preparing import Parts, Preparation, Shared
from asyncmr.kernel.ranges import RangeLayout
from asyncmr.kernel.sampling import KeySample, Thinned
from asyncmr.kernel.unparsed import unparsed
from asyncmr.protocols import Decoder, Encoder, Pair, Reduction

if TYPE_CHECKING:
    from asyncmr.kernel.cold import Cold
    from asyncmr.kernel.results import ResultEncoder

Facts = dict[str, Any]
Task = Generator[Item, None, Facts]
Results = ChunkOutlet | FollowingOutlet | PreparedOutlet

# A small job reduces in the worker that mapped it, as long as that takes no longer than this.
_FUSED_SECONDS = 0.02


class StepProgram:
    """One step. Without a reduction it only maps. `following`: the mapper of a next step that only maps, and what its
    stage is called; it runs on the results. `preparation`: what the functions are to find ready; `prepare` comes first
    then, and the tasks are those of `prepared`. `results`: how those of a stream may be asked for.
    `cold`: opens the cold rows of a stream at a path."""

    def __init__(
        self,
        *,
        mapper: Mapper,
        decoder: Decoder,
        encoder: Encoder,
        reduction: Reduction | None = None,
        layout: Layout | None = None,
        following: tuple[Mapper, str] | None = None,
        preparation: Preparation | None = None,
        table_bytes: int = TABLE_BYTES,
        results: tuple[ResultEncoder, ...] = (),
        cold: Callable[[str], Cold] | None = None,
    ) -> None:
        self._mapper = mapper_for(mapper, decoder)
        self._mapping: type[Mapping] | type[Batching] = (
            Mapping if batch_kind(self._mapper) is None else Batching
        )
        self._decoder = decoder
        self._encoder = encoder
        self._reduction = reduction
        self._counts = isinstance(reduction, AggregateReduction) and reduction.counts
        self._layout = layout
        self._following = following
        self._preparation = preparation
        self._table_bytes = table_bytes
        self._result_encoders = results
        self._cold = cold
        self._guarding: Guarding | None = None

    def prepare(self, shared: Shared, parts: Parts) -> bool:
        """Makes ready what its functions are to find; False if a part is missing for that."""
        return self._preparation is None or self._preparation.make(shared, parts)

    def prepared(self, argument: tuple[str, Any], feed: Feed) -> Task:
        """Another method, whose functions find ready what was made for them. `argument`: its name and argument."""
        method, own = argument
        context = None if self._preparation is None else self._preparation.step
        return within(context, getattr(self, method)(own, feed))

    def guarded(self, argument: tuple[str, Any, Guard], feed: Feed) -> Task:
        """Another method under a guard. `argument`: its name, its argument, and the guard.

        Facts: those of the method and `skipped`, how many records and keys were left out, by role; the items
        `("skipped", role)` tell of them. Only `skipped` and `enough` if these are more than the guard allows.
        """
        method, own, guard = argument
        hashes = self._reduction is not None and not self._reduction.passes
        with closing(Guarding(guard, hashes=hashes)) as guarding:
            program = copy(self)
            program._guarding = guarding
            try:
                facts = yield from getattr(program, method)(own, feed)
            except Enough:
                facts = {"enough": True}
            guarding.marks.clear()
            yield from guarding.left_out.told()
        return {**facts, "skipped": guarding.left_out.counts}

    def sample(self, argument: tuple[int, tuple[int, ...], float], feed: Feed) -> Task:
        """The mapper alone on some records, fed as one buffer; yields a block of the keys that it makes of them.

        `argument`: one of so many records is looked at, and the beginnings of stretches of equal worth, and what that
        is, as `Sample` has them. A mapper that raises ends the stretch: it will meet the record again, where its
        position is known.
        """
        every, starts, worth = argument
        (data,) = feed.ask(())
        decoder = self._decoder if every == 1 else Thinned(self._decoder, every)
        found = KeySample()
        records = pairs = 0
        for start, stop in pairwise([*(starts or (0,)), self._decoder.end(data)]):
            found.worth = worth / (stop - start) if starts else worth
            mapping = self._mapping(self._mapper, decoder, data, start, stop)
            if self._guarding is not None:
                # What raises ends the stretch here as well: where a guard comes in is no matter of the input alone.
                mapping.watch(self._guarding.watched)
            with suppress(UserFailure):
                deque(mapping.into(found), maxlen=0)
            if self._guarding is not None:
                self._guarding.marks.clear()
            records += mapping.records
            pairs += mapping.pairs
        yield ("sample",), found.encoded()
        return {"records": records, "pairs": pairs}

    def bounds(self, argument: tuple[int, int], feed: Feed) -> Task:
        """Chooses the bounds of a total order, `argument`: of so many partitions with so many shares each, from the
        blocks of all samples; yields them encoded."""
        keys, weights = decode_pairs(b"".join(feed.ask(())))
        yield ("bounds",), Bounds.chosen(keys, weights, *argument).encoded()
        return {}

    def map(self, argument: tuple[int, bool, bool, bytes], feed: Feed) -> Task:
        """A whole split, fed as one buffer. `argument`: the split's index, whether to stop at slow records,
        whether to reduce at once, which takes a split that is the whole input, and the bounds of a total order.

        Facts: `records`, `pairs`, `pairs_out`; when it stopped early, `left`, the positions at which to cut the
        rest, and `state`, which `resume` takes together with the items `("state",)` and `("pairs",)`.
        """
        index, patient, fused, bounds = argument
        (data,) = feed.ask(())
        outlet = self._outlet(index, bounds)
        mapping = self._whole(data)
        mapping.patient = patient
        for item in mapping.into(outlet):
            if isinstance(outlet, ChunkOutlet):
                mapping.patient = True  # the output that is on its way cannot be put down
            yield item
        facts: Facts = {"records": mapping.records, "pairs": mapping.pairs}
        if mapping.left:
            state, table = outlet.put_down()
            yield ("state",), table
            yield ("pairs",), mapping.encoded_rest()
            return {**facts, "left": mapping.left, "state": state}
        if fused and isinstance(outlet, RunOutlet) and outlet.flushes == 0:
            return {**facts, **(yield from self._fuse(outlet))}
        yield from outlet.finish()
        return {**facts, "pairs_out": outlet.pairs_out}

    def share(self, argument: tuple[int, int], feed: Feed) -> Task:
        """The mapper alone on the records between two positions of a split; yields blocks of its pairs."""
        start, stop = argument
        (data,) = feed.ask(())
        mapping = self._mapped(data, start, stop)
        for block in mapping.encoded():
            yield ("pairs",), block
            if self._guarding is not None:
                yield from self._guarding.waiting()
        return {"records": mapping.records, "pairs": mapping.pairs}

    def resume(self, argument: tuple[int, tuple[Any, ...], bytes], feed: Feed) -> Task:
        """The end of a split that stopped early. `argument`: the split's index, the state, and the bounds.

        Fed are the table that was put down, and the pairs of what was left, in order.
        """
        index, state, bounds = argument
        table, *shares = feed.ask(())
        outlet = self._outlet(index, bounds)
        outlet.take_up(state, table)
        yield from self._taken_up(shares, outlet)
        yield from outlet.finish()
        return {"pairs_out": outlet.pairs_out}

    def combine(self, argument: tuple[int, bool], feed: Feed) -> Task:
        """Merges neighbouring runs of a partition into one. `argument`: its first share, and whether it is refined."""
        first, refined = argument
        reduction, layout = self._shuffle(refined)
        counted = [0]
        stretches = _counting(layout.stretches(feed, reduction), counted)
        written = [0]
        yield from _packed(first, layout.written(_combined(stretches, reduction, written)))
        return {"pairs": counted[0], "pairs_out": written[0]}

    def refine(self, argument: tuple[int], feed: Feed) -> Task:
        """Makes one sorted run of some runs of a share that is too large to be reduced at once. `argument`: the share
        that the run is said to be of."""
        reduction, layout = self._shuffle()
        counted, written = [0], [0]
        stretches = _counting(layout.stretches(feed, reduction), counted)
        yield from _packed(argument[0], layout.fine.written(_combined(stretches, reduction, written)))
        return {"pairs": counted[0], "pairs_out": written[0]}

    def reduce(self, argument: tuple[int, bool], feed: Feed) -> Task:
        """Reduces one partition from its runs. `argument`: the partition, and whether its runs are refined."""
        partition, refined = argument
        reduction, layout = self._shuffle(refined)
        outlet = self._results(partition)
        counted = [0]
        for stretch in _counting(layout.stretches(feed, reduction), counted):
            if reduction.passes:
                # The slices of an endless stretch lie one behind the other as they come.
                runs = stretch.slices if stretch.endless else [layout.sorted(joined(stretch.slices))]
                for run in runs:
                    yield from outlet.add_columns(ColumnBatch(run.keys, run.values))
                continue
            if stretch.endless:
                yield from self._streamed(reduction, stretch, outlet)
                continue
            table = gathered(reduction, stretch.slices)
            keys = layout.ordered(list(table))
            if reduction.finishes:
                yield from self._reduced(reduction, keys, table, outlet)
            else:
                yield from outlet.add_columns(ColumnBatch(keys, list(map(table.__getitem__, keys))))
        yield from outlet.finish()
        return {"pairs": counted[0], "pairs_out": outlet.pairs_out, **outlet.facts}

    def keep(self, argument: tuple[str, int, list[int] | None], feed: Feed) -> Task:
        """Keeps state as long as it is fed commands. `argument`: where its cold rows are, and the `room` and the `most`
        of `kernel.state`."""
        from asyncmr.kernel.state import State  # only the workers that keep a stream's state need it

        path, room, most = argument
        reduction, layout = self._shuffle()
        assert isinstance(layout, BucketLayout)
        assert self._cold is not None
        with closing(self._cold(path)) as cold:
            encoders = self._result_encoders
            yield from State(reduction, layout, cold, encoders=encoders, room=room, most=most).serve(feed)
        return {}

    def _fuse(self, outlet: RunOutlet) -> Task:
        """Reduces what the table holds, or gives it as runs from the partition on at which that takes long."""
        reduction, layout = outlet.reduction, outlet.layout
        began = perf_counter()
        pairs_out = reduced = results = 0
        pack = Pack(outlet.flushes)
        for share, slices in layout.divided(reduction, outlet.table):  # a small input has a share a partition
            pairs_out += sum(len(part.values) for part in slices)
            if perf_counter() - began > _FUSED_SECONDS:
                for piece in layout.encoded(slices):
                    yield from pack.add(share, piece)
                continue
            chunk = ChunkOutlet(self._encoder, share, role="reducer")
            try:
                if reduction.passes:
                    run = layout.sorted(joined(slices))
                    yield from chunk.add_columns(ColumnBatch(run.keys, run.values))
                else:
                    table = gathered(reduction, slices)
                    yield from self._reduced(reduction, layout.ordered(list(table)), table, chunk)
                yield from chunk.finish()
            except UserFailure as failure:
                failure.facts["stage"] = "reduce"
                raise
            reduced = pairs_out
            results += chunk.pairs_out
        yield from pack.finish()
        return {"pairs_out": pairs_out, "reduced": reduced, "results": results}

    def _whole(self, data: memoryview) -> Work:
        """The mapper at work on all of a split."""
        return self._mapped(data, 0, self._decoder.end(data))

    def _taken_up(self, blocks: list[memoryview], outlet: RunOutlet | ChunkOutlet) -> Iterator[Item]:
        """Takes the pairs of blocks that mappers at work made of consecutive records into `outlet`."""
        return add_blocks(self._mapping, blocks, outlet)

    def _mapped(self, data: memoryview, start: int, stop: int) -> Work:
        """The mapper at work between two positions."""
        if self._guarding is None:
            work = self._mapping(self._mapper, self._decoder, data, start, stop)
        else:
            guarded = GuardedMapping if self._mapping is Mapping else GuardedBatching
            mapper, decoder = unparsed(self._mapper, self._decoder)
            work = guarded(self._guarding, mapper, decoder, data, start, stop)
        if isinstance(work, Batching):
            work.counts = self._counts
        return work

    def _reduced(
        self, reduction: Reduction, keys: list[Any], table: Table, outlet: Results
    ) -> Iterator[Item]:
        """The results of whole keys into `outlet`."""
        if self._guarding is None:
            return _output(reduction.results(keys, table), outlet)
        return _guarded_output(
            self._guarding, guarded_results(self._guarding, reduction, keys, table), outlet
        )

    def _streamed(self, reduction: Reduction, stretch: Stretch, outlet: Results) -> Iterator[Item]:
        """The same of keys whose values arrive bit by bit."""
        if self._guarding is None:
            return _output(reduction.stream(stretch.slices), outlet)
        return _guarded_output(self._guarding, guarded_stream(self._guarding, reduction, stretch), outlet)

    def _results(self, partition: int) -> Results:
        """Where the results of a partition go."""
        chunks = ChunkOutlet(self._encoder, partition, role="mapper" if self._following else "reducer")
        if self._following is None:
            return chunks
        outlet = FollowingOutlet(*self._following, chunks, self._guarding)
        return outlet if self._preparation is None else PreparedOutlet(outlet, self._preparation.following)

    def _outlet(self, index: int, bounds: bytes) -> RunOutlet | ChunkOutlet:
        if self._reduction is None:
            return ChunkOutlet(self._encoder, index, role="mapper")
        reduction, layout = self._shuffle()
        if isinstance(layout, RangeLayout):
            layout = layout.within(bounds)
        return RunOutlet(reduction, layout, folds=reduction.folds, table_bytes=self._table_bytes)

    def _shuffle(self, refined: bool = False) -> tuple[Reduction, Layout]:
        if self._reduction is None or self._layout is None:
            raise RuntimeError("a step that only maps was asked to shuffle")
        return self._reduction, self._layout.fine if refined else self._layout


def _counting(stretches: Iterator[Stretch], counted: list[int]) -> Iterator[Stretch]:
    """The same stretches; counts the pairs of what is read of them."""

    def counting(slices: Iterator[Slice]) -> Iterator[Slice]:
        for run in slices:
            counted[0] += len(run.values)
            yield run

    for stretch in stretches:
        yield Stretch(counting(stretch.slices), stretch.endless, stretch.bucket)


def _combined(
    stretches: Iterator[Stretch], reduction: Reduction, written: list[int]
) -> Iterator[tuple[int, Slice]]:
    """The partials of whole keys, bucket by bucket; counts them."""
    for stretch in stretches:
        for table in tables_of(stretch, reduction):
            columns = Slice((), *reduction.partials(table))
            written[0] += len(columns.values)
            yield stretch.bucket, columns


def _packed(first: int, pieces: Iterator[tuple[int, bytes]]) -> Iterator[Item]:
    pack = Pack(0)
    for share, piece in pieces:
        yield from pack.add(first + share, piece)
    yield from pack.finish()


def add_blocks(
    kind: type[Mapping] | type[Batching], blocks: list[memoryview], outlet: RunOutlet | ChunkOutlet
) -> Iterator[Item]:
    """Takes the pairs of blocks that mappers of this kind made into `outlet`, in batches as one would have made."""
    if issubclass(kind, Batching):
        for columns in kind.regrouped(blocks):
            yield from outlet.add_columns(columns)
    else:
        for pairs in kind.regrouped(blocks):
            yield from outlet.add(pairs)


def _output(results: Iterator[Pair], outlet: Results) -> Iterator[Item]:
    first = True
    while batch := list(islice(results, BATCH)):
        if first:
            check_pairs("reducer", "the reducer", batch)
            first = False
        yield from outlet.add(batch)


def _guarded_output(guarding: Guarding, groups: Iterator[Iterable[Pair]], outlet: Results) -> Iterator[Item]:
    rest: list[Pair] = []
    for batch in guarding.batches(groups, rest):
        if batch:
            yield from outlet.add(batch)
        yield from guarding.waiting()
    if rest:
        yield from outlet.add(rest)
