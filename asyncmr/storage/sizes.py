"""How much of the machine's memory to use when nobody says."""

from __future__ import annotations

import re
from pathlib import Path

from asyncmr.cgroups import memory_limits, text_of
from asyncmr.errors import MemoryBudgetError
from asyncmr.sizes import MIB

_UNKNOWN = 1024 * MIB


def default_memory(root: Path = Path("/")) -> int:
    """The bytes that an engine may use when nobody says: half of what this process could have.

    That is the machine's RAM, or the lowest limit of the process's memory cgroup and its parents (version 1 or 2),
    whichever is less; 1 GiB where neither can be read. `root` is where `proc` and `sys` are.
    """
    limits = [limit for limit in (_machine(root), *memory_limits(root)) if limit]
    return min(limits, default=2 * _UNKNOWN) // 2


def cgroup_limit(root: Path = Path("/")) -> int | None:
    """The lowest limit of the process's memory cgroup and its parents; None if that is no less than the RAM."""
    limit = min(memory_limits(root), default=None)
    machine = _machine(root)
    return None if limit is None or (machine is not None and limit >= machine) else limit


def check_limit(memory: int, root: Path = Path("/")) -> None:
    """Refuses what the kernel would not let this process have.

    Raises:
        MemoryBudgetError: `memory` is more than the limit of its memory cgroup.
    """
    limit = cgroup_limit(root)
    if limit is not None and memory > limit:
        raise MemoryBudgetError(
            f"memory={memory:,} bytes is more than the {limit:,} bytes ({limit // MIB} MiB) that the memory cgroup "
            "(the container) of this process allows, and the kernel kills what goes beyond; lower memory= to less "
            "than that, since the process itself needs some of it, or raise the limit"
        )


def _machine(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", text_of(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
