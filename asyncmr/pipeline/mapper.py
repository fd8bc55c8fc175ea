"""The second stage: maps splits, each in a worker, and combines their pairs where they were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from asyncmr.actors import Actor
from asyncmr.pipeline.attempts import Done, Task, Tries
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.feeding import split_buffer, whole
from asyncmr.pipeline.ledger import figures
from asyncmr.pipeline.made import Made, merged_counts
from asyncmr.pipeline.messages import HANDLE, Mapped, Part
from asyncmr.protocols import Split


class SplitMapper:
    """Turns a split into runs, or, where the step only maps, into a part.

    A split whose records are slow is given back by its worker after a moment, spread over all workers, and
    finished by one of them as if it had never been divided.
    """

    def __init__(self, context: StepContext, *, shuffles: bool, combines: bool, total: int | None) -> None:
        self._context = context
        self._attempts = context.attempts
        self._ledger = context.ledger
        self._stage = context.map_stage
        self._combine_stage = f"{context.prefix}combine" if combines else None
        self._reduce_stage = context.reduce_stage
        self._shuffles = shuffles
        self._total = total
        # One more than there are workers, so that a free worker never waits for the next split.
        self.concurrency = context.workers + 1

    async def map(self, split: Split, *, fused: bool = False) -> tuple[Mapped, list[Part]]:
        """Maps a split and commits it: its runs, and the parts of the output that it already has.

        `fused`: the split is the whole input and is reduced at once, as far as that is quick.
        """
        try:
            done = await self.committed(split, fused=fused)
        finally:
            split.release()
        made, facts = done.outcome, done.facts
        mapped = Mapped(split.index, made.stored(split.index), facts["pairs"], facts["pairs_out"])
        return mapped, [Part(index, writer) for index, writer in sorted(made.parts.items())]

    async def committed(self, split: Split, *, fused: bool = False) -> Done[Made]:
        """Maps a split and commits it; what it made."""
        self._ledger.begin(self._stage)
        self._ledger.advance(self._stage, 0, self._total, "B")
        if self._combine_stage is not None:
            self._ledger.begin(self._combine_stage)
        context, keeping = self._context, self._context.keeping
        basis = 0 if keeping is None else await keeping.basis(split, context.bounds)
        done = await context.taken(self._stage, split.index, basis, split.pieces)
        if done is None:
            done = await self._run(split, fused)
            await self._commit(split, done, basis)
        self._ledger.advance(self._stage, split.length, self._total, "B")
        return done

    async def _run(self, split: Split, fused: bool) -> Done[Made]:
        argument = (split.index, self._context.workers == 1, fused, self._context.bounds)
        task = Task(self._stage, _title(split), "map", argument, split, size=split.length)
        done = await self._attempts.run(task, whole([split_buffer(split)]), self._context.made)
        if "left" in done.facts:
            done = await self._spread(split, done)
        if not self._shuffles:
            await done.outcome.part(split.index)  # also when nothing was mapped: the parts are the splits
        await done.outcome.close()
        return done

    async def _commit(self, split: Split, done: Done[Made], basis: int) -> None:
        skipped = await self._context.skip(split.index, done, split.pieces)
        facts, beside = done.facts, {}
        if self._combine_stage is not None:
            beside[self._combine_stage] = figures(
                Tries(), pairs_in=facts["pairs"], pairs_out=facts["pairs_out"]
            )
        if facts.get("reduced"):
            beside[self._reduce_stage] = figures(
                Tries(),
                pairs_in=facts["reduced"],
                pairs_out=facts["results"],
                skipped=skipped.get("reducer", 0),
            )
        await self._context.commit(
            self._stage,
            split.index,
            done,
            beside=beside,
            basis=basis,
            records_in=facts["records"],
            bytes_in=split.length,
            pairs_out=facts["pairs"],
            bytes_out=done.outcome.bytes_out,
            skipped=skipped.get("mapper", 0),
        )

    async def _spread(self, split: Split, begun: Done[Made]) -> Done[Made]:
        """Maps the rest of a split in shares, then lets one worker take up the table where it was put down."""
        left, state = begun.facts.pop("left"), begun.facts.pop("state")
        try:
            shares = await self._share(split, list(pairwise(left)))
            try:
                blocks = [*begun.outcome.loose, *(block for share in shares for block in share.outcome.loose)]
                buffers = [await self._context.store.read(block) for block in blocks]
                argument = (split.index, state, self._context.bounds)
                task = Task(self._stage, _title(split), "resume", argument, split)
                ended = await self._attempts.run(task, whole([*buffers]), self._context.made)
            finally:
                for share in shares:
                    share.outcome.free_loose()
        except BaseException:
            await begun.outcome.discard()
            raise
        begun.outcome.free_loose()
        every = [begun, *shares]
        ended.outcome.skipped = [told for done in every for told in done.outcome.skipped]
        ended.outcome.follow(begun.outcome)
        return Done(
            ended.outcome,
            {
                **begun.facts,
                "records": sum(done.facts["records"] for done in every),
                "pairs": sum(done.facts["pairs"] for done in every),
                "pairs_out": ended.facts["pairs_out"],
                "skipped": _sum(done.facts.get("skipped", {}) for done in every),
            },
            merged_counts(*(done.counts for done in (*every, ended))),
            Tries.of_one_task([done.tries for done in (*every, ended)]),
        )

    async def _share(self, split: Split, ranges: list[tuple[int, int]]) -> list[Done[Made]]:
        shares: dict[int, Done[Made]] = {}

        async def one(numbered: tuple[int, tuple[int, int]]) -> None:
            number, positions = numbered
            task = Task(self._stage, _title(split), "share", positions, split)
            done = await self._attempts.run(task, whole([split_buffer(split)]), self._context.made)
            if "enough" in done.facts:
                await self._context.skip(split.index, done, split.pieces)
            shares[number] = done

        try:
            await self._context.spread(f"{self._stage}.share", enumerate(ranges), one)
        except BaseException:
            for share in shares.values():
                share.outcome.free_loose()
            raise
        return [shares[number] for number in range(len(ranges))]


class Mapper(Actor[Split, Mapped]):
    """Maps splits for the shuffle."""

    def __init__(self, mapper: SplitMapper) -> None:
        super().__init__("mapper")
        self._mapper = mapper
        self.concurrency = mapper.concurrency

    async def handle(self, item: Split) -> None:
        mapped, _ = await self._mapper.map(item)
        await self.emit(mapped, HANDLE)


class OnlyMapper(Actor[Split, Part]):
    """Maps splits straight into parts of the output; every split makes one."""

    def __init__(self, mapper: SplitMapper) -> None:
        super().__init__("mapper")
        self._mapper = mapper
        self.concurrency = mapper.concurrency

    async def handle(self, item: Split) -> None:
        _, parts = await self._mapper.map(item)
        for part in parts:
            await self.emit(part, HANDLE)


def _title(split: Split) -> str:
    pieces = [piece for piece in split.pieces if piece.path]
    if not pieces:
        return f"split {split.index}"
    first, last = pieces[0], pieces[-1]
    until = "" if first.path == last.path else f" to {last.path}"
    begin = "" if first.offset is None else f" from byte {first.offset}"
    return f"split {split.index} ({first.path}{begin}{until})"


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for some in counts:
        total.update(some)
    return dict(total)
