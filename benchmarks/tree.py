"""What a tree of processes takes, read from /proc: processor time and proportional set size (PSS).

PSS divides the pages that processes share among them, so that the sum over a tree counts each page once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """`own`: seconds of processor time; `waited`: those of its children that ended and that it waited for."""

    pid: int
    parent: int
    started: int
    own: float
    waited: float


def process(pid: int) -> Process | None:
    """What the kernel says of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The command's name is in parentheses, and may hold spaces and parentheses itself.
    fields = text[text.rindex(b")") + 2 :].split()
    user, system, waited_user, waited_system = map(int, fields[11:15])
    return Process(
        pid,
        int(fields[1]),
        int(fields[19]),
        (user + system) * _TICK,
        (waited_user + waited_system) * _TICK,
    )


def descendants(root: int) -> list[Process]:
    """All processes below `root`, without it, parents before children."""
    children: dict[int, list[Process]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (found := process(int(name))):
            children.setdefault(found.parent, []).append(found)
    tree = children.get(root, [])[:]
    for member in tree:  # grows while it is read
        tree += children.get(member.pid, ())
    return tree


def pss(pid: int | str = "self") -> int:
    """The proportional set size of a process in bytes; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
