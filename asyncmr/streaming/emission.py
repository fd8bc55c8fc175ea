"""Emission: which windows are to be told of when time moves on, and which panes may go. Pure functions.

They are asked of the panes that exist and of the *frontier*: the watermark less the allowed lateness. No record from
before the frontier's last closed window is taken any more, so a window that ends there is final.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import takewhile

from asyncmr.streaming.windows import Window, Windows


def final_windows(
    windows: Windows, panes: Iterable[int], before: int | None, frontier: int | None
) -> list[Window]:
    """The windows that become final when the frontier moves from `before` to `frontier`, by their end; each once.

    `panes`: those that hold records. A window without any is not told of. None: before all time.
    """
    if frontier is None:
        return []
    some = sorted(panes)
    if before is not None and (first := windows.first_after(before)) is not None:
        some = some[bisect_left(some, first) :]
    return [
        window
        for window in windows.over(some)
        if window.end is not None and window.end <= frontier and (before is None or window.end > before)
    ]


def is_final(window: Window, frontier: int | None) -> bool:
    """Whether no record can change the window any more."""
    return window.end is not None and frontier is not None and window.end <= frontier


def expired_panes(
    windows: Windows, panes: Iterable[int], frontier: int | None, retain: int | None
) -> list[int]:
    """The panes that may go: their last window is final since `retain` milliseconds. None keeps all."""
    if frontier is None or retain is None:
        return []

    def expired(pane: int) -> bool:
        end = windows.last_end(pane)
        return end is not None and end + retain <= frontier

    return list(takewhile(expired, sorted(panes)))
