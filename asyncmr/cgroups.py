"""What the kernel says of this process's memory: what its cgroup allows, and what was killed for want of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def memory_limits(root: Path = _ROOT) -> list[int]:
    """The limits in bytes of the process's memory cgroup and its parents, version 1 or 2.

    `root` is where `proc` and `sys` are.
    """
    texts = [text_of(file).strip() for file in _files(root, "memory.limit_in_bytes", "memory.max")]
    return [int(text) for text in texts if text.isdecimal()]


def out_of_memory_kills(root: Path = _ROOT) -> int | None:
    """How many processes the kernel has killed in this memory cgroup because memory ran out.

    Without a cgroup that counts them: on this machine. None where nobody counts.
    """
    for file in (*_files(root, "memory.oom_control", "memory.events"), root / "proc/vmstat"):
        match = re.search(r"^oom_kill (\d+)$", text_of(file), re.MULTILINE)
        if match:
            return int(match[1])
    return None


def text_of(path: Path) -> str:
    """What a file of the kernel says; nothing if it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _files(root: Path, version_1: str, version_2: str) -> Iterator[Path]:
    """A file of the process's memory cgroup, and the same of its parents."""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, name = root / "sys/fs/cgroup", version_2
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", version_1
        else:
            continue
        # In a container the path may be the host's and lead nowhere; what counts is then at the mount itself.
        folder = mount / path.lstrip("/")
        for place in (folder, *folder.parents):
            yield place / name
            if place == mount:
                break
