"""Log records of a worker, sent to its host, whose loggers, filters and handlers then have the only say.

Each record is one message of a socket that keeps their bounds, so that threads, and processes that the worker
forks, may send at the same time. Levels are those of the host, so that a record that nobody there wants is not made.
"""

from __future__ import annotations

import faulthandler
import logging
import marshal
from itertools import islice
from socket import socket
from typing import Any

from asyncmr.excerpt import traceback_of

# What is explicitly set in the host: `logging.disable`, the level of the root, and those of other loggers.
Levels = tuple[int, int, dict[str, int]]

MESSAGE_LIMIT = 8_000  # characters
EXTRA_LIMIT = 32  # attributes that the caller gave; the text of each is cut at 500 characters
NEVER = logging.CRITICAL + 1_000

_SENT = (
    *("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName"),
    *("created", "msecs", "threadName", "process"),
)
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def levels() -> Levels:
    """The levels of this process's loggers."""
    manager = logging.root.manager
    named = {
        name: NEVER if logger.disabled else logger.level
        for name, logger in list(manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and (logger.level or logger.disabled)
    }
    return manager.disable, logging.root.level, named


def set_levels(wanted: Levels) -> None:
    """Gives the loggers of this process the levels of another's."""
    disable, root, named = wanted
    logging.disable(disable)
    logging.root.setLevel(root)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name not in named:
            logger.setLevel(logging.NOTSET)
    for name, level in named.items():
        logging.getLogger(name).setLevel(level)


def forward(to: socket) -> None:
    """Sends the records of this process, and its warnings, to the host; a crash in C code tells where it was."""
    logging.root.handlers[:] = [Forwarder(to)]
    only_forward()
    logging.captureWarnings(True)
    faulthandler.enable(file=2, all_threads=False)


def only_forward() -> None:
    """Takes away the handlers that modules add when they are imported: the host has them too, and a record one fate."""
    if not any(isinstance(handler, Forwarder) for handler in logging.root.handlers):
        return  # nobody listens
    logging.root.handlers[:] = [h for h in logging.root.handlers if isinstance(h, Forwarder)]
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
            logger.disabled = False


class Forwarder(logging.Handler):
    """Sends each record to the host; waits while the host has no room for it."""

    def __init__(self, to: socket) -> None:
        super().__init__()
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._to.send(packed(record))
        except Exception:
            self.handleError(record)


def packed(record: logging.LogRecord) -> bytes:
    """A record as bytes that hold nothing but builtins."""
    facts: dict[str, Any] = {name: _plain(getattr(record, name)) for name in _SENT}
    text = record.getMessage().rstrip("\n")  # a warning ends in one
    facts["msg"] = text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 3]}..."
    if record.exc_info and record.exc_info[1] is not None:
        facts["exc_text"] = traceback_of(record.exc_info[1]).rstrip("\n")
    if record.stack_info:
        facts["stack_info"] = str(record.stack_info)[-MESSAGE_LIMIT:]
    given = ((name, value) for name, value in vars(record).items() if name not in _OWN)
    facts["extra"] = {str(name): _plain(value) for name, value in islice(given, EXTRA_LIMIT)}
    return marshal.dumps(facts)


def unpacked(data: bytes) -> logging.LogRecord:
    """The record that was packed.

    Raises:
        ValueError, TypeError, EOFError: there was none.
    """
    facts = marshal.loads(data)
    extra = facts.pop("extra")
    return logging.makeLogRecord({**extra, **facts, "processName": "asyncmr-worker"})


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | float) or (type(value) is int and abs(value) < 1 << 64):
        return value
    text = value if type(value) is str else repr(value)
    return text[:500]
