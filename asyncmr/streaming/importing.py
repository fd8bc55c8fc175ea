"""From the file of an export to a new state: of other code, with other key groups, for another Python."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from asyncmr.errors import InputError, ResumeError, UsageError
from asyncmr.job import Job
from asyncmr.kernel.blocks import Slice, encode_block
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.hashing import DEFAULT_SECRET, KeyHasher
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.pipeline.fingerprint import differences
from asyncmr.protocols import Decoder
from asyncmr.storage.disk import translated
from asyncmr.storage.folder import PrivateFolder, sweep
from asyncmr.streaming.commit import Commit, Delta
from asyncmr.streaming.identity import TIME, WINDOWS, identity_of
from asyncmr.streaming.mapping import key_groups
from asyncmr.streaming.state_file import Entry, Header, Line, Position, SetAside, Token, read_lines
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import parse_windows

STAGING = ".asyncmr-state-"
# So much text of a file becomes blocks together; as objects it takes some times as much.
_TOGETHER = 8 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken: the keys of all panes, as of an epoch. `differences`: what the new state is bound to and the
    old one was not, in words."""

    keys: int
    epoch: int
    differences: list[str]


def import_state(
    file: str | os.PathLike[str] | BinaryIO,
    state: str | os.PathLike[str],
    job: Job,
    *,
    window: str | Windowing | None = None,
    hash_key: int | None = None,
    decoder: Decoder | None = None,
) -> Imported:
    """Makes a state of what `export_state` wrote: a stream with it goes on exactly where the other one was.

        asyncmr.streaming.import_state("counts.jsonl", "new-counts", job)

    `file`: its path, or an open binary file. `state`: the folder, which must not be there yet, and is there whole or
    not at all. `job`, `window`, `hash_key` and `decoder`: as the stream will have them. Keys go to the key groups that
    they have there; accumulators, positions and tokens are taken as they are. The windows may be others if they are
    made of the same panes, as "10m/1m", "5m/1m" and "1m" are.

    It blocks, and takes some dozens of megabytes of memory. Nothing is unpickled, and no function of the job is called.

    Raises:
        UsageError: the job cannot be streamed.
        ResumeError: there is such a folder already, or the windows or the time of a record were others.
        InputError: the file cannot be read; RecordError: it is damaged or cut short.
        StorageError: the state cannot be written.
    """
    if not os.fspath(state):
        raise ResumeError("the folder of the state has an empty name; '.' is no new one")
    target = os.path.abspath(state)
    if os.path.lexists(target):
        raise ResumeError(
            f"{target!r} exists already, and an import makes a new state; name a folder that is not there yet",
            path=target,
        )
    hasher = KeyHasher(DEFAULT_SECRET if hash_key is None else hash_key)
    windowing = Windowing.of(window)
    identity = identity_of(job, windowing, decoder or TextLines(), hasher)
    partitioning = Partitioning(key_groups(job), hasher=hasher)
    with _opened(file) as (source, name):
        lines = read_lines(source, name)
        header = next(lines, None)
        assert isinstance(header, Header)
        _check(header.identity, identity, name)
        with _new_folder(target) as staged:
            keys = _fill(StateStore(staged, durable=False), identity, partitioning, header, lines)
    return Imported(keys, header.progress.get("epoch", 0), differences(header.identity, identity))


def _check(before: Mapping[str, str], now: Mapping[str, str], name: str) -> None:
    looked_at = (TIME,) if _panes(before) == _panes(now) else (WINDOWS, TIME)
    changed = differences({of: before.get(of, "") for of in looked_at}, {of: now[of] for of in looked_at})
    if changed:
        raise ResumeError(
            f"the state in {name!r} would mean something else: {'; '.join(changed)}. Import it with the window that it "
            "had, or read the input again from its beginning with another one",
            differences=tuple(changed),
        )


def _panes(identity: Mapping[str, str]) -> object:
    """What the panes of a state stand for."""
    text = identity.get(WINDOWS, "")
    try:
        return getattr(parse_windows(text), "pane_ms", text)
    except UsageError:
        return text


def _fill(
    store: StateStore,
    identity: Mapping[str, str],
    partitioning: Partitioning,
    header: Header,
    lines: Iterator[Line],
) -> int:
    """Writes all that the lines say into a new store; how many keys they have."""
    epoch, time = header.progress.get("epoch", 0), header.progress.get("time", 0.0)
    store.open(identity)
    try:
        keys = 0
        for some in _together(lines):
            entries = [line for line in some if isinstance(line, Entry)]
            keys += len(entries)
            store.commit(
                Commit(
                    epoch,
                    time,
                    deltas=list(_blocks(entries, partitioning)),
                    positions={
                        (line.feed, line.partition): line.position
                        for line in some
                        if isinstance(line, Position)
                    },
                )
            )
            store.adopt(
                tokens=[line for line in some if isinstance(line, Token)],
                aside=[line for line in some if isinstance(line, SetAside)],
            )
        store.adopt(notes={**header.notes, "progress": header.progress})
    finally:
        store.close()
    return keys


def _together(lines: Iterator[Line]) -> Iterator[list[Line]]:
    some: list[Line] = []
    size = 0
    for line in lines:
        some.append(line)
        size += (
            line.size if isinstance(line, Entry) else len(line.data) if isinstance(line, SetAside) else 200
        )
        if size >= _TOGETHER:
            yield some
            some, size = [], 0
    yield some


def _blocks(entries: list[Entry], partitioning: Partitioning) -> Iterator[Delta]:
    """The entries as blocks, one for each key group and pane."""
    if not entries:
        return
    groups = partitioning.divide([entry.key for entry in entries], 1)
    columns: defaultdict[tuple[int, int], tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
    for group, entry in zip(groups, entries, strict=True):
        keys, values = columns[group, entry.pane]
        keys.append(entry.key)
        values.append(entry.accumulator)
    for place, (keys, values) in sorted(columns.items(), key=lambda found: found[0]):
        yield Delta(place, encode_block(Slice((), keys, values, None), placed=False), False)


@contextlib.contextmanager
def _opened(file: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    if not isinstance(file, str | os.PathLike):
        yield file, str(getattr(file, "name", "the file"))
        return
    path = os.fspath(file)
    try:
        opened = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise translated(error, "read the exported state", path, raises=InputError) from error
    with opened:
        yield opened, path


@contextlib.contextmanager
def _new_folder(path: str) -> Iterator[str]:
    """Where to make a folder that has its name once it is whole, and forced to the disk."""
    parent = os.path.dirname(path)
    staging: PrivateFolder | None = None
    try:
        os.makedirs(parent, exist_ok=True)
        sweep(parent, STAGING)
        staging = PrivateFolder(parent, STAGING)
        staged = os.path.join(staging.open(), "state")
        yield staged
        for name in os.listdir(staged):
            _force(os.path.join(staged, name))
        _force(staged)
        os.rename(staged, path)
        _force(parent)
    except OSError as error:
        raise translated(error, "make the state", path) from error
    finally:
        if staging is not None:
            staging.close()


def _force(path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
