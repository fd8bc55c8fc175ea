"""An exception as text: made in the worker, so that the host never unpickles what a user's code raised."""

from __future__ import annotations

import marshal
import os
import traceback
from types import TracebackType
from typing import Any

MESSAGE_LIMIT = 2_000
TRACEBACK_LIMIT = 20_000

_OURS = os.path.dirname(os.path.abspath(__file__))

Failure = tuple[str, str, str, dict[str, Any] | None]


def failure_of(exc: BaseException) -> Failure:
    """Type name, message, traceback and facts of an exception. Never raises, whatever the exception does.

    One with facts and a cause only says where: what happened is the cause.
    """
    facts = _facts(exc)
    if facts is not None and exc.__cause__ is not None:
        exc = exc.__cause__
    return type_name(exc), message_of(exc), traceback_of(exc), facts


def type_name(exc: BaseException) -> str:
    """The exception's class, with its module unless a builtin."""
    kind = type(exc)
    module = str(getattr(kind, "__module__", "builtins"))
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def message_of(exc: BaseException) -> str:
    """Its `str()`, cut short."""
    try:
        text = str.__str__(str(exc))
    except BaseException:
        return "<its str() failed>"
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 3] + "..."


def traceback_of(exc: BaseException) -> str:
    """Its traceback as Python prints it, cut short, and without our own frames at the top."""
    try:
        text = "".join(traceback.format_exception(type(exc), exc, _user_frames(exc.__traceback__)))
    except BaseException:
        return f"{type_name(exc)}: {message_of(exc)}\n<its traceback could not be formatted>\n"
    if len(text) <= TRACEBACK_LIMIT:
        return text
    half = TRACEBACK_LIMIT // 2 - 20
    return f"{text[:half]}\n  [... cut ...]\n{text[-half:]}"


def _user_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without asyncmr's own frames at its top."""
    inner = tb
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(_OURS):
        inner = inner.tb_next
    return inner or tb


def _facts(exc: BaseException) -> dict[str, Any] | None:
    try:
        facts = getattr(exc, "facts", None)
        if type(facts) is not dict:
            return None
        marshal.dumps(facts)
    except BaseException:
        return None
    return facts
