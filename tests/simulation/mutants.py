"""Negative controls: the commit path with one mistake each, which the simulation must find.

A mutant names a method and makes the broken one from the real one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from asyncmr.actors.channel import Channel
from asyncmr.actors.crew import Crew
from asyncmr.connectors import part_files, streamed
from asyncmr.connectors.part_files import PartFiles
from asyncmr.engines import local
from asyncmr.engines.local import LocalEngine
from asyncmr.errors import StorageError
from asyncmr.pipeline import attempts
from asyncmr.pipeline.attempts import Attempts
from asyncmr.pipeline.feeding import RunFeed, ShareFeed
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.mapper import SplitMapper
from asyncmr.pipeline.shelf import Shelf
from asyncmr.pipeline.skipping import Skipping
from asyncmr.pipeline.suspects import Suspects
from asyncmr.storage import disk, extents, runs, spill_file
from asyncmr.storage.budget import Budget
from asyncmr.storage.spill import Spill
from asyncmr.workers.pool import Pool
from asyncmr.workers.segments import Segments
from asyncmr.workers.session import Session

Make = Callable[[Any], Any]
Mutants = dict[str, tuple[Any, str, Make]]
MUTANTS: Mutants = {}


def mutant(place: Any, name: str, among: Mutants = MUTANTS) -> Callable[[Make], Make]:
    """Registers what makes a broken `place.name` from the real one."""

    def register(make: Make) -> Make:
        among[make.__name__.replace("_", " ")] = place, name, make
        return make

    return register


@contextmanager
def mutated(name: str, among: Mutants = MUTANTS) -> Iterator[None]:
    """The engine with this mistake."""
    place, attribute, make = among[name]
    real = getattr(place, attribute)
    setattr(place, attribute, make(real))
    try:
        yield
    finally:
        setattr(place, attribute, real)


# The log of epochs.


@mutant(Ledger, "commit")
def commits_twice(real: Any) -> Any:
    async def commit(self: Ledger, stage: str, task: int, **facts: Any) -> bool:
        await real(self, stage, task + 1_000_003, **facts)
        return bool(await real(self, stage, task, **facts))

    return commit


@mutant(Ledger, "commit")
def drops_the_epoch_of_a_task_that_was_tried_again(real: Any) -> Any:
    async def commit(self: Ledger, stage: str, task: int, *, tries: Any, **facts: Any) -> bool:
        return tries.attempts > 1 or bool(await real(self, stage, task, tries=tries, **facts))

    return commit


@mutant(Attempts, "run")
def counts_failed_attempts(real: Any) -> Any:
    async def run(self: Attempts, *arguments: Any) -> Any:
        done = await real(self, *arguments)
        done.counts = {name: count * done.tries.attempts for name, count in done.counts.items()}
        return done

    return run


@mutant(Skipping, "keep")
def forgets_what_was_skipped(real: Any) -> Any:
    async def keep(self: Skipping, *arguments: Any, **options: Any) -> None:
        """Nothing."""

    return keep


@mutant(Skipping, "keep")
def tells_twice_what_was_skipped(real: Any) -> Any:
    async def keep(self: Skipping, *arguments: Any, **options: Any) -> None:
        await real(self, *arguments, **options)
        await real(self, *arguments, **options)

    return keep


# Attempts and what they make.


@mutant(Suspects, "died")
def never_tries_again(real: Any) -> Any:
    def died(self: Suspects, *arguments: Any) -> bool:
        real(self, *arguments)
        return False

    return died


@mutant(Made, "discard")
def keeps_what_a_failed_attempt_made(real: Any) -> Any:
    async def discard(self: Made) -> None:
        """Nothing."""

    return discard


@mutant(Attempts, "_try")
def adds_to_what_a_failed_attempt_made(real: Any) -> Any:
    async def tries(self: Attempts, task: Any, feeding: Any, outcome: Any, *rest: Any, **options: Any) -> Any:
        shared = outcome(1)
        shared_discard, shared.__class__ = (
            shared.discard,
            type("Kept", (type(shared),), {"discard": _nothing}),
        )
        try:
            return await real(self, task, feeding, lambda attempt: shared, *rest, **options)
        except BaseException:
            await shared_discard()
            raise

    return tries


async def _nothing(self: Any) -> None:
    """In place of a clean-up."""


@mutant(attempts, "first_of")
def forgets_the_rival_that_was_done_as_well(real: Any) -> Any:
    async def first_of(first: Any, rival: Any, discard: Any, **options: Any) -> Any:
        return await real(first, rival, _nothing, **options)

    return first_of


@mutant(Made, "take")
def loses_a_block(real: Any) -> Any:
    async def take(self: Made, items: list[Any]) -> None:
        await real(self, items[:-1] if len(items) > 2 else items)

    return take


@mutant(Shelf, "take")
def loses_a_run(real: Any) -> Any:
    def take(self: Shelf, share: int) -> Any:
        found = real(self, share)
        return found[:-1] if len(found) > 3 else found

    return take


# What is freed too early.


@mutant(ShareFeed, "round")
def frees_what_it_feeds(real: Any) -> Any:
    async def round(self: ShareFeed, wanted: Any) -> Any:
        before = list(self._waiting)
        fed = await real(self, wanted)
        for _, some in before[: len(before) - len(self._waiting)]:
            for run in some:
                for block, piece in run.pieces:
                    self._store.free(block, piece)
        return fed

    return round


@mutant(RunFeed, "round")
def frees_what_it_merges(real: Any) -> Any:
    async def round(self: RunFeed, wanted: Any) -> Any:
        before = [list(pieces) for pieces in self._waiting]
        fed = await real(self, wanted)
        for pieces, left in zip(before, self._waiting, strict=True):
            for block, piece in pieces[len(left) :]:
                self._store.free(block, piece)
        return fed

    return round


@mutant(SplitMapper, "committed")
def gives_a_buffer_back_while_it_is_read(real: Any) -> Any:
    async def committed(self: SplitMapper, split: Any, **options: Any) -> Any:
        if split.buffer is not None:
            asyncio.get_running_loop().call_later(0.002, split.buffer.release)
        return await real(self, split, **options)

    return committed


@mutant(Spill, "drop")
def writes_what_was_freed(real: Any) -> Any:
    def drop(self: Spill, block: Any) -> None:
        waiting = block in self._leaving
        real(self, block)
        if waiting:
            self._leaving[block] = None

    return drop


# Disks.


@mutant(disk, "_append")
def takes_a_short_write_of_output_for_all(real: Any) -> Any:
    def append(path: str, data: bytes) -> None:
        with open(path, "ab", buffering=0) as file:
            file.write(data)

    return append


@mutant(spill_file, "write_at")
def takes_a_short_spill_for_all(real: Any) -> Any:
    def write_at(fd: int, buffers: Any, offset: int) -> None:
        os.pwritev(fd, buffers, offset)

    return write_at


@mutant(spill_file, "write_at")
def takes_a_failed_spill_for_done(real: Any) -> Any:
    def write_at(fd: int, buffers: Any, offset: int) -> None:
        with suppress(OSError):
            real(fd, buffers, offset)

    return write_at


@mutant(extents, "read_at")
def takes_a_short_read_for_all(real: Any) -> Any:
    def read_at(fd: int, views: Any, offset: int) -> int:
        return os.preadv(fd, views, offset)

    return read_at


@mutant(extents, "_check")
def does_not_check_what_it_reads(real: Any) -> Any:
    return lambda extent, data: None


@mutant(disk, "finish")
def does_not_wait_for_a_thread_when_cancelled(real: Any) -> Any:
    async def finish(work: Any) -> Any:
        return await asyncio.ensure_future(work)

    return finish


@mutant(runs.BlockStore, "free")
def keeps_the_last_piece(real: Any) -> Any:
    def free(self: runs.BlockStore, block: Any, piece: int | None = None) -> None:
        if piece is None or piece < block.pieces - 1 or block.pieces < 3:
            real(self, block, piece)

    return free


# Outputs.


@mutant(PartFiles, "_publish")
def says_success_before_the_parts_are_there(real: Any) -> Any:
    def publish(self: PartFiles) -> None:
        self._put(os.path.join(self._folder, part_files.SUCCESS), None)
        for index, part in sorted(self._parts.items()):
            self._put(os.path.join(self._folder, f"part-{index:05d}"), part)

    return publish


@mutant(PartFiles, "_withdraw")
def leaves_the_parts_of_a_failed_commit(real: Any) -> Any:
    return lambda self: None


@mutant(PartFiles, "abort")
def leaves_the_staging_folder(real: Any) -> Any:
    return _nothing


@mutant(streamed.Streamed, "accept")
def streams_parts_as_they_come(real: Any) -> Any:
    async def accept(self: streamed.Streamed, index: int, writer: Any) -> None:
        came = self.__dict__.setdefault("came", [])
        came.append(index)
        await real(self, len(came) - 1, writer)

    return accept


@mutant(part_files, "sweep")
def leaves_the_output_of_a_killed_process(real: Any) -> Any:
    return lambda folder, prefix: []


@mutant(local, "sweep")
def leaves_what_a_killed_process_had_spilled(real: Any) -> Any:
    return lambda folder: []


@mutant(streamed.Streamed, "accept")
def ends_a_stream_with_its_first_part(real: Any) -> Any:
    async def accept(self: streamed.Streamed, index: int, writer: Any) -> None:
        await real(self, index, writer)
        self._complete = True

    return accept


# Actors, and who waits for whom.


@mutant(LocalEngine, "_end_users")
def leaves_its_jobs_behind(real: Any) -> Any:
    return _nothing


@mutant(Crew, "_live")
def takes_a_neighbours_end_for_the_end_of_data(real: Any) -> Any:
    async def live(self: Crew, actor: Any) -> None:
        try:
            await actor.run()
        except Exception as error:
            if actor.outbox is not None:
                actor.outbox.close()
            await self._abort(actor)
            await asyncio.sleep(1.0)
            self._scope.fail(actor.name, error)
            raise
        except BaseException:
            await self._abort(actor)
            raise

    return live


@mutant(Channel, "_call_head")
def forgets_senders_that_wait(real: Any) -> Any:
    return lambda self: None


@mutant(Budget, "_admit")
def forgets_jobs_that_wait_for_memory(real: Any) -> Any:
    return lambda self: None


@mutant(Segments, "free_place")
def forgets_who_waits_for_a_buffer(real: Any) -> Any:
    def free_place(self: Segments) -> None:
        self._leased -= 1

    return free_place


@mutant(Pool, "lease")
def loses_a_worker_with_a_task_that_is_cancelled(real: Any) -> Any:
    async def lease(self: Pool, account: Any, program: int) -> Any:
        if self._idle and not self._queue:
            return await real(self, account, program)
        return await self._queue.join(account)

    return lease


@mutant(Pool, "_died")
def does_not_hear_of_a_death(real: Any) -> Any:
    return lambda self, seat: None


@mutant(Session, "_expire")
def lets_a_hung_task_hang(real: Any) -> Any:
    return lambda self, late: None


@mutant(Spill, "take")
def swallows_the_error_of_a_spill(real: Any) -> Any:
    async def take(self: Spill, block: Any) -> None:
        try:
            await real(self, block)
        except StorageError:
            self.drop(block)
            block.data = None

    return take
