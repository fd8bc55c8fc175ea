"""Negative controls: streams with one mistake each, which the simulation must find."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from asyncmr.streaming.block_table import BlockTable
from asyncmr.streaming.cold_table import ColdTable
from asyncmr.streaming.commit import Commit, Delta, Move
from asyncmr.streaming.committed import Committed
from asyncmr.streaming.epochs import Epoch, Epochs
from asyncmr.streaming.keeper import Keeper
from asyncmr.streaming.progress import Moved, Progress
from asyncmr.streaming.readers import Readers
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.telling import Telling, Told
from asyncmr.streaming.updates import Updates
from asyncmr.workers.session import Session
from tests.simulation.mutants import Mutants
from tests.simulation.mutants import mutant as mutant_among

MUTANTS: Mutants = {}
mutant = partial(mutant_among, among=MUTANTS)


# What is committed together.


@mutant(StateStore, "commit")
def commits_positions_in_a_transaction_of_their_own(real: Any) -> Any:
    def commit(self: StateStore, commit: Commit) -> None:
        real(self, replace(commit, positions={}))
        with self._transaction() as database:
            self._write_positions(database, commit)

    return commit


@mutant(StateStore, "commit")
def commits_positions_before_what_was_made_of_them(real: Any) -> Any:
    def commit(self: StateStore, commit: Commit) -> None:
        with self._transaction() as database:
            self._write_positions(database, commit)
        real(self, commit)

    return commit


@mutant(BlockTable, "write")
def takes_what_changed_in_a_table_for_all_of_it(real: Any) -> Any:
    def write(self: BlockTable, deltas: Sequence[Delta]) -> None:
        real(self, [replace(delta, whole=True) for delta in deltas])

    return write


@mutant(ColdTable, "move")
def loses_keys_that_become_cold(real: Any) -> Any:
    def move(self: ColdTable, moves: Sequence[Move]) -> None:
        real(self, [replace(move, rows=[]) for move in moves])

    return move


@mutant(Committed, "_time")
def forgets_how_far_time_had_come(real: Any) -> Any:
    return lambda self: {}


# What comes more than once.


@mutant(StateStore, "has_token")
def forgets_tokens(real: Any) -> Any:
    return lambda self, feed, token: False


@mutant(Epochs, "_add")
def forgets_tokens_that_are_on_their_way(real: Any) -> Any:
    async def add(self: Epochs, *arguments: Any) -> None:
        self._tokens.clear()
        await real(self, *arguments)

    return add


@mutant(Keeper, "epoch")
def does_not_tell_a_new_keeper_what_was_not_committed(real: Any) -> Any:
    async def epoch(self: Keeper, mapped: Any, places: Any, telling: Telling) -> Any:
        again, self.__dict__["told"] = self.__dict__.get("told") is telling, telling
        return await real(self, () if again else mapped, places, telling)

    return epoch


@mutant(Telling, "begin")
def tells_twice_what_two_keepers_found(real: Any) -> Any:
    return lambda self, number: None


# What is said too early, or not at all.


@mutant(Committed, "_commit")
def says_that_an_epoch_is_durable_before_it_is(real: Any) -> Any:
    async def commit(self: Committed, epoch: Epoch, moved: Moved) -> Told:
        for tell in epoch.told:
            tell()
        told: Told = await real(self, epoch, moved)
        return told

    return commit


@mutant(Committed, "__init__")
def answers_while_it_commits(real: Any) -> Any:
    def init(self: Committed, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        self.__dict__["_turn"] = nullcontext()

    return init


@mutant(Progress, "_move")
def closes_windows_by_the_newest_watermark(real: Any) -> Any:
    def move(self: Progress, watermark: int | None) -> Moved:
        before, self._final = self._final, watermark
        return Moved(before, watermark)

    return move


@mutant(Updates, "publish")
def leaves_out_whoever_is_slow(real: Any) -> Any:
    async def publish(self: Updates, told: Told) -> None:
        slow = {sender for sender in self._senders if sender.stats().items}
        everybody = dict(self._senders)
        for sender in slow:
            del self._senders[sender]
        await real(self, told)
        self._senders.update(everybody)

    return publish


# How it ends.


@mutant(Readers, "stop")
def goes_on_reading_when_it_is_left(real: Any) -> Any:
    return lambda self: None


@mutant(Session, "_expire")
def waits_for_a_keeper_that_hangs(real: Any) -> Any:
    return lambda self, late: None
