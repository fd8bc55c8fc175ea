"""What an attempt has left out: counted, and told to the host in portions."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from asyncmr.kernel.outlets import Item

# What is told leaves the worker when it takes this much, of which each entry takes so much beside its texts.
_FULL = 256 << 10
_ENTRY = 200


class Enough(Exception):
    """The attempt has left out more than it may."""


class Entry(NamedTuple):
    """What is told of one that was left out. `position`: the decoder's. `text`: its beginning; `cut`: it is longer.
    `trace`: the traceback, of the first in an attempt only."""

    position: int | None
    error: str
    message: str
    text: str
    cut: bool
    trace: str


class LeftOut:
    """What one attempt has left out. `keep`: how many characters of each are told. `most`: more than so many raise
    `Enough`. `counts`: how many there are, by role. `origin`: where in the split a position is, if not
    there.
    """

    def __init__(self, keep: int, most: int | None) -> None:
        self._keep = keep
        self._most = most
        self._entries: dict[str, list[tuple[Any, ...]]] = {}
        self._size = 0
        self.counts: dict[str, int] = {}
        self.origin: Callable[[int], int] | None = None

    @property
    def full(self) -> bool:
        """Whether there is much to be told."""
        return self._size >= _FULL

    def add(
        self, role: str, shown: Any, position: int | None, error: str, message: str, trace: str = ""
    ) -> None:
        """Notes one. Raises `Enough` if that is one too many."""
        text = _text(shown, self._keep)
        cut = len(text) > self._keep
        if position is not None and self.origin is not None:
            position = self.origin(position)
        entry = Entry(position, error, message, text[: self._keep], cut, trace)
        self._entries.setdefault(role, []).append(tuple(entry))
        self._size += len(text) + len(message) + len(trace) + _ENTRY
        self.counts[role] = self.counts.get(role, 0) + 1
        if self._most is not None and sum(self.counts.values()) > self._most:
            raise Enough

    def told(self) -> Iterator[Item]:
        """Items `("skipped", role)` with a list of entries each."""
        for role, entries in self._entries.items():
            yield ("skipped", role), marshal.dumps(entries)
        self._entries, self._size = {}, 0


def _text(value: Any, most: int) -> str:
    """A str itself, and of others the `repr`: a little more of it than `most`, if it is longer."""
    if isinstance(value, str):
        return value[: most + 1]
    try:
        return repr(value)[: most + 1]
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
