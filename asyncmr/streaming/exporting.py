"""From a state to a file that any Python, and any job, can be given."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, BinaryIO

from asyncmr.errors import FormatError, OutputError, ResumeError, StorageError, UsageError
from asyncmr.kernel.blocks import decode_block, holds_pickles
from asyncmr.kernel.cold import ROWS, decode_keys, decode_values, is_pickled
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.keyforms import type_name
from asyncmr.kernel.typed_json import texts
from asyncmr.storage.disk import translated
from asyncmr.storage.folder import PrivateFolder, sweep
from asyncmr.streaming.identity import PYTHON, python
from asyncmr.streaming.snapshot import Snapshot
from asyncmr.streaming.state_file import Header, Position, SetAside, StateWriter, Token, order_of

STAGING = ".asyncmr-export-"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the keys of all panes, as of an epoch."""

    keys: int
    epoch: int


def export_state(state: str | os.PathLike[str], to: str | os.PathLike[str] | BinaryIO) -> Exported:
    """Writes the state in a folder, as of its last commit, as JSON lines; a stream may go on with it meanwhile.

        asyncmr.streaming.export_state("counts", "counts.jsonl")
        with gzip.open("counts.jsonl.gz", "wb") as file:
            asyncmr.streaming.export_state("counts", file)

    `to`: a file that is not there yet, and is there whole or not at all; or an open binary file. It blocks, and takes
    some dozens of megabytes of memory and, in the folder for temporary files, twice the size of what it writes. Pickles
    of the state are opened: the classes of its keys and accumulators must be importable.

    Raises:
        ResumeError: there is no such state, or another Python must read it.
        FormatError: a key or accumulator has no JSON that comes back as it was.
        OutputError: the file is there already, or cannot be written.
        StorageError: the state is damaged, or there is no room to sort it.
    """
    if not isinstance(to, str | os.PathLike):
        return _export(state, to)
    path = os.path.abspath(to)
    with _new_file(path) as file:
        return _export(state, file)


def _export(state: str | os.PathLike[str], out: BinaryIO) -> Exported:
    writer = StateWriter(out)
    with contextlib.closing(_Sorter()) as sorter:
        with Snapshot(state) as snapshot:
            _check_machine(snapshot)
            writer.write(Header(snapshot.identity, snapshot.progress, snapshot.notes))
            for position in snapshot.positions():
                writer.write(Position(*position))
            for token in snapshot.tokens():
                writer.write(Token(*token))
            for aside in snapshot.aside():
                writer.write(SetAside(*aside))
            for pane, number, keys, values in _entries(snapshot):
                sorter.add(pane, number, keys, values)
            epoch = snapshot.progress.get("epoch", 0)
        written = 0
        for entry in sorter.entries():
            writer.write_entry(*entry)
            written += 1
        writer.end()
    return Exported(written, epoch)


def _check_machine(snapshot: Snapshot) -> None:
    was = snapshot.identity[PYTHON]
    if not was.endswith(f"{sys.byteorder}-endian"):
        raise ResumeError(f"the state in {snapshot.path!r} was written by {was}; export it on such a machine")


def _entries(snapshot: Snapshot) -> Iterator[tuple[int, int, list[Any], list[Any]]]:
    """Keys and accumulators of a pane; of a key that comes several times, those with the highest number count."""
    for place in snapshot.cold_places():
        rows = snapshot.cold(place)
        while some := list(islice(rows, ROWS)):
            _check_pickles(snapshot, any(map(is_pickled, chain.from_iterable(some))))
            keys, values = map(list, zip(*some, strict=True))
            with _classes(snapshot):
                keys, values = decode_keys(keys), decode_values(values)
            yield place[1], -1, keys, values
    for stored in snapshot.blocks():
        block = memoryview(stored.data)
        _check_pickles(snapshot, holds_pickles(block))
        with _classes(snapshot):
            run = decode_block(block)
        yield stored.pane, stored.number, run.keys, run.values


def _check_pickles(snapshot: Snapshot, there_are: bool) -> None:
    """Pickles may hold code, which another Python would run as something else."""
    if there_are and snapshot.identity[PYTHON] != python():
        raise ResumeError(
            f"the state in {snapshot.path!r} holds keys or accumulators that were pickled by "
            f"{snapshot.identity[PYTHON]}, and this is {python()}; export it with that Python, and import it with "
            "this one"
        )


@contextlib.contextmanager
def _classes(snapshot: Snapshot) -> Iterator[None]:
    try:
        yield
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the state in {snapshot.path!r} holds objects of classes that are not there ({error}); name the job "
            "whose state it is with --job, or run this where it can be imported"
        ) from error


class _Sorter:
    """Puts entries in order, on disk where they are many. SQLite does, in a file of its own that has no name."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA cache_size = -32768; BEGIN; "
            "CREATE TABLE entries (pane INTEGER, place BLOB, number INTEGER, key TEXT, accumulator TEXT)"
        )

    def add(self, pane: int, number: int, keys: list[Any], values: list[Any]) -> None:
        """Some keys of a pane. Of a key that comes several times, the accumulator with the highest number counts."""
        rows = zip(
            map(order_of, keys), _texts(keys, keys, "key"), _texts(values, keys, "accumulator"), strict=True
        )
        with _room():
            self._database.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
                ((pane, place, number, key, accumulator) for place, key, accumulator in rows),
            )

    def entries(self) -> Iterator[tuple[int, str, str]]:
        """Pane, key and accumulator of each, in order. Of equal keys, such as 1 and 1.0, the first is told."""
        for (pane, _), rows in groupby(self._rows(), key=itemgetter(0, 1)):
            (*_, key, accumulator), *others = rows
            yield pane, key, others[-1][-1] if others else accumulator

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        query = "SELECT pane, place, key, accumulator FROM entries ORDER BY pane, place, number"
        with _room():
            yield from map(tuple, self._database.execute(query))

    def close(self) -> None:
        self._database.close()


def _texts(column: list[Any], keys: Sequence[Any], what: str) -> list[str]:
    try:
        return texts(column)
    except FormatError:
        for value, key in zip(column, keys, strict=True):
            try:
                texts([value])
            except FormatError as error:
                of = "" if what == "key" else f" of the key {excerpt(key)}"
                raise FormatError(
                    f"the {what}{of}, of type {type_name(type(value))}, cannot be exported: {error}",
                    key=excerpt(key),
                ) from error
        raise


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"the export could not be put in order ({error}): free some space in the folder for temporary files, or "
            "name another one in TMPDIR"
        ) from error


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[BinaryIO]:
    """A file that has its name once it was written whole."""
    folder = os.path.dirname(path)
    if os.path.lexists(path):
        raise OutputError(f"the file {path!r} exists already; remove it, or choose another name")
    if not os.path.isdir(folder):
        raise OutputError(f"the file {path!r} has no place, there is no folder {folder!r}; make it first")
    sweep(folder, STAGING)
    staging = PrivateFolder(folder, STAGING, OutputError)
    try:
        with open(os.path.join(staging.open(), "state"), "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(file.name, path)
    except OSError as error:
        raise translated(error, "write the export", path, raises=OutputError) from error
    finally:
        staging.close()
