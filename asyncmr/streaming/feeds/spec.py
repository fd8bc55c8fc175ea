"""A feed from what a command line says: `tail:/var/log/app.log`, `tcp://127.0.0.1:9000`, `stdin:`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from asyncmr.errors import UsageError
from asyncmr.streaming.feed import Feed
from asyncmr.streaming.feeds.folder import FolderFeed
from asyncmr.streaming.feeds.listening import TCPFeed, UnixFeed
from asyncmr.streaming.feeds.standard_input import StandardInputFeed
from asyncmr.streaming.feeds.tail import TailFeed

_KINDS = "tail:PATH, dir:PATH, stdin:, tcp://HOST:PORT or unix:PATH"


def feed_of(spec: str, *, token: str | None = None) -> Feed:
    """The feed that `spec` describes: tail:PATH, dir:PATH, stdin: (or -), tcp://HOST:PORT or unix:PATH.

    token: what clients of a TCP socket have to send as their first line.

        Stream(job, feed_of("tail:/var/log/app.log"))

    Raises:
        UsageError: it describes none, or what cannot be.
    """
    if spec == "-":
        return StandardInputFeed()
    kind, colon, rest = spec.partition(":")
    if kind == "tcp" and colon:
        return _tcp(spec, token)
    makers: dict[str, Callable[[str, str], Feed]] = {
        "tail": _tail,
        "dir": _folder,
        "unix": _unix,
        "stdin": _standard_input,
    }
    if not colon or kind not in makers:
        advice = f"; for the file, write tail:{spec}" if os.path.isfile(spec) else ""
        advice = f"; for the folder, write dir:{spec}" if os.path.isdir(spec) else advice
        raise UsageError(f"{spec!r} is no source of a stream; write {_KINDS}{advice}")
    return makers[kind](spec, rest)


def _tail(spec: str, path: str) -> Feed:
    if os.path.isdir(_path(spec, path)):
        raise UsageError(f"{spec!r}: that is a folder; write dir:{path}")
    return TailFeed(path)


def _folder(spec: str, path: str) -> Feed:
    if os.path.isfile(_path(spec, path)):
        raise UsageError(f"{spec!r}: that is a file; write tail:{path}")
    return FolderFeed(path)


def _unix(spec: str, path: str) -> Feed:
    return UnixFeed(_path(spec, path))


def _standard_input(spec: str, rest: str) -> Feed:
    if rest:
        raise UsageError(f"{spec!r}: standard input has no path; write stdin:, or tail:{rest}")
    return StandardInputFeed()


def _tcp(spec: str, token: str | None) -> Feed:
    try:
        parts = urlsplit(spec)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{spec!r}: {error}; write tcp://HOST:PORT, as tcp://127.0.0.1:9000") from error
    if (
        not re.match("tcp://", spec)
        or not host
        or port is None
        or parts.path
        or parts.query
        or parts.username
    ):
        raise UsageError(f"{spec!r} is no address; write tcp://HOST:PORT, as tcp://127.0.0.1:9000")
    return TCPFeed(host, port, token=token)


def _path(spec: str, path: str) -> str:
    if not path or "\0" in path:
        raise UsageError(f"{spec!r} names no path; write {_KINDS}")
    return path
