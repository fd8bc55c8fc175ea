"""The file of an export: a state as lines of JSON, which any Python and any job can be given.

    {"asyncmr-state": 1, "identity": {...}, "notes": {...}, "progress": {...}}    of what it is, how far it has come
    {"feed": "tail:log", "partition": "...", "position": ...}                     where to read on
    {"feed": "http", "time": 1764000000.0, "token": "..."}                        an idempotency key that was used
    {"aside": "late", "data": ..., "epoch": 12}                                   lines that count nowhere
    {"pane": 0, "key": "word", "accumulator": 42}                                 what is kept for a key
    {"checksum": "...", "lines": 5}                                               of all lines before

Values are typed JSON, which nothing has to be unpickled for. Each kind is in order, so equal states are equal files.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, TypeVar

from xxhash import xxh3_128

from asyncmr.errors import KeyTypeError, RecordError
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.keys import plain as key_form
from asyncmr.kernel.typed_json import plain, value_of

T = TypeVar("T")

VERSION = 1
_NAME = "asyncmr-state"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True).encode


class Header(NamedTuple):
    """What the state is of, how far it has come, and what else is noted."""

    identity: dict[str, str]
    progress: dict[str, Any]
    notes: dict[str, Any]


class Position(NamedTuple):
    """Where a partition of a feed is to be read on."""

    feed: str
    partition: str
    position: Any


class Token(NamedTuple):
    """An idempotency key, and when it was committed."""

    feed: str
    token: str
    time: float


class SetAside(NamedTuple):
    """Lines that count nowhere: when, why, and they."""

    epoch: int
    reason: str
    data: bytes


class Entry(NamedTuple):
    """What is kept for a key in a pane. `size`: of its line."""

    pane: int
    key: Any
    accumulator: Any
    size: int


Line = Header | Position | Token | SetAside | Entry


class StateWriter:
    """Writes the lines, in this order; `end` comes last."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._sum = xxh3_128()
        self._lines = 0

    def write(self, line: Header | Position | Token | SetAside) -> None:
        """Any line but that of a key."""
        match line:
            case Header(identity, progress, notes):
                found = {_NAME: VERSION, "identity": identity, "progress": progress, "notes": notes}
            case Position(feed, partition, position):
                found = {"feed": feed, "partition": partition, "position": position}
            case Token(feed, token, time):
                found = {"feed": feed, "token": token, "time": time}
            case SetAside(epoch, reason, data):
                found = {"aside": reason, "data": plain(data), "epoch": epoch}
        self._write(_encode(found))

    def write_entry(self, pane: int, key: str, accumulator: str) -> None:
        """The line of a key, of which these are the texts."""
        self._write(f'{{"pane": {pane}, "key": {key}, "accumulator": {accumulator}}}')

    def end(self) -> None:
        """All has been written."""
        self._write(_encode({"checksum": self._sum.hexdigest(), "lines": self._lines}))

    def _write(self, text: str) -> None:
        data = f"{text}\n".encode()
        self._sum.update(data)
        self._lines += 1
        self._out.write(data)


def read_lines(file: BinaryIO, name: str) -> Iterator[Line]:
    """The lines of a file, which is called `name` in errors; the header first. What is yielded is not to be relied on
    before all of it was.

    Raises:
        RecordError: a line is damaged or out of order, or the file is cut short.
    """
    reader = _Reader(name)
    for data in file:
        line = reader.take(data)
        if line is not None:
            yield line
    reader.finish()


class _Reader:
    """Reads line by line. `number` is that of the last one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._number = 0
        self._sum = xxh3_128()
        self._ended = False
        self._last: tuple[int, bytes] | None = None

    def take(self, data: bytes) -> Line | None:
        """What a line says; None if it is the last one."""
        self._number += 1
        try:
            if self._ended:
                raise ValueError("something comes behind the last line")
            found = json.loads(str(data, "utf-8"))
            if type(found) is not dict:
                raise ValueError("it is no JSON object")
            if (found.get(_NAME) is None) == (self._number == 1):
                raise ValueError(
                    "it is not how an exported state begins" if self._number == 1 else "a second header"
                )
            line = None
            if "checksum" in found:
                self._end(found)
            else:
                line = self._line(found, len(data))
        except json.JSONDecodeError as error:
            raise self._damaged(f"it is no JSON ({error.msg} at column {error.colno})", data) from error
        except KeyError as error:
            raise self._damaged(f"it has no {error}", data) from error
        except (ValueError, TypeError, KeyTypeError, RecursionError) as error:
            raise self._damaged(str(error), data) from error
        self._sum.update(data)
        return line

    def finish(self) -> None:
        """The file is at its end."""
        if not self._ended:
            self._number += 1
            raise self._damaged("the file ends before it, so it was cut short", b"")

    def _line(self, found: Mapping[str, Any], size: int) -> Line:
        if "key" in found:
            return self._entry(found["pane"], value_of(found["key"]), value_of(found["accumulator"]), size)
        if "token" in found:
            return Token(_a(str, found["feed"]), _a(str, found["token"]), float(found["time"]))
        if "partition" in found:
            return Position(_a(str, found["feed"]), _a(str, found["partition"]), found["position"])
        if "aside" in found:
            return SetAside(
                _a(int, found["epoch"]), _a(str, found["aside"]), _a(bytes, value_of(found["data"]))
            )
        if found[_NAME] != VERSION:
            raise ValueError(
                f"the state was exported in the format {found[_NAME]}, and this version of asyncmr reads {VERSION}"
            )
        return Header(_a(dict, found["identity"]), _a(dict, found["progress"]), _a(dict, found["notes"]))

    def _entry(self, pane: Any, key: Any, accumulator: Any, size: int) -> Entry:
        place = _a(int, pane), order_of(key)
        if self._last is not None and place <= self._last:
            raise ValueError(f"the key {excerpt(key)} comes twice, or out of order")
        self._last = place
        return Entry(pane, key, accumulator, size)

    def _end(self, found: Mapping[str, Any]) -> None:
        if found["lines"] != self._number - 1:
            raise ValueError(
                f"{self._number - 1:,} lines come before it, and not {found['lines']:,}; some are missing"
            )
        if found["checksum"] not in (None, self._sum.hexdigest()):
            raise ValueError(
                "a line before it is not what was written; if you edited the file, make its checksum null"
            )
        self._ended = True

    def _damaged(self, why: str, data: bytes) -> RecordError:
        told = excerpt(data.decode(errors="replace").rstrip("\n"))
        return RecordError(
            f"{self._name}, line {self._number:,}: {why}; nothing was imported. Take another copy of the file, or "
            f"export the state again{f': {told}' if data else ''}",
            path=self._name,
            line=self._number,
            excerpt=told,
        )


def _a(kind: type[T], value: Any) -> T:
    if type(value) is not kind:
        raise ValueError(f"{excerpt(value)} is no {kind.__name__}")
    return value


def order_of(key: Any) -> bytes:
    """Bytes by which keys are put in order: whole numbers first, then texts, then all others.

    Two keys share them if and only if they are one key.
    """
    form = key if type(key) is str else key_form(key)
    if type(form) is str:
        return b"1" + form.encode("utf-8", "surrogatepass")
    if type(form) is int and -(2**63) <= form < 2**63:
        return b"0" + (form + 2**63).to_bytes(8, "big")
    return b"2" + marshal.dumps(form, 2)
