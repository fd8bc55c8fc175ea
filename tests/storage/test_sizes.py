from __future__ import annotations

from pathlib import Path

import pytest

from asyncmr.errors import MemoryBudgetError
from asyncmr.storage.sizes import cgroup_limit, check_limit, default_memory

MIB = 1024 * 1024


def machine(root: Path, mib: int, **files: str) -> Path:
    files = {"proc/meminfo": f"MemTotal:       {mib * 1024} kB\nMemFree: 1 kB\n", **files}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_half_of_the_machine_without_a_limit(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.max": "max\n"}
    assert default_memory(machine(tmp_path, 1000, **files)) == 500 * MIB


def test_the_lowest_limit_of_a_cgroup_and_its_parents_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/slice/app\n",
        "sys/fs/cgroup/slice/app/memory.max": f"{800 * MIB}\n",
        "sys/fs/cgroup/slice/memory.max": f"{300 * MIB}\n",
    }
    root = machine(tmp_path, 1000, **files)
    assert default_memory(root) == 150 * MIB
    assert cgroup_limit(root) == 300 * MIB


def test_a_container_finds_its_limit_at_the_mount(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:cpu:/docker/abc\n4:memory,pids:/docker/abc\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{256 * MIB}\n",
    }
    assert default_memory(machine(tmp_path, 1000, **files)) == 128 * MIB


def test_an_unlimited_version_1_cgroup_is_no_limit(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    root = machine(tmp_path, 1000, **files)
    assert default_memory(root) == 500 * MIB
    assert cgroup_limit(root) is None
    check_limit(2000 * MIB, root)  # the machine may have swap


def test_more_than_a_cgroup_allows_is_refused_with_its_limit(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.max": f"{320 * MIB}\n"}
    root = machine(tmp_path, 1000, **files)
    check_limit(320 * MIB, root)
    with pytest.raises(MemoryBudgetError, match=r"memory=335,544,321 bytes .*\(320 MiB\)"):
        check_limit(320 * MIB + 1, root)


def test_a_machine_that_says_nothing_gives_a_gibibyte(tmp_path: Path) -> None:
    assert default_memory(tmp_path) == 1024 * MIB
    assert cgroup_limit(tmp_path) is None
    check_limit(2**50, tmp_path)
