from __future__ import annotations

from pathlib import Path

import pytest

from asyncmr.cgroups import memory_limits, out_of_memory_kills


def kernel(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("hierarchy", "file"),
    [
        ("0::/slice/app", "sys/fs/cgroup/slice/app/memory.events"),
        ("4:memory:/slice/app", "sys/fs/cgroup/memory/slice/app/memory.oom_control"),
        ("4:memory:/another/view", "sys/fs/cgroup/memory/memory.oom_control"),
    ],
)
def test_kills_are_counted_by_the_cgroup_of_the_process(tmp_path, hierarchy, file):
    files = {"proc/self/cgroup": f"{hierarchy}\n", "proc/vmstat": "oom_kill 7\n"}
    files[file] = "low 0\noom 9\noom_kill 3\noom_group_kill 5\n"
    assert out_of_memory_kills(kernel(tmp_path, **files)) == 3


def test_without_a_cgroup_the_machine_counts_them(tmp_path):
    files = {"proc/self/cgroup": "4:cpu:/app\n", "proc/vmstat": "nr_free 1\noom_kill 7\n"}
    assert out_of_memory_kills(kernel(tmp_path, **files)) == 7


def test_where_nobody_counts_nobody_knows(tmp_path):
    assert out_of_memory_kills(tmp_path) is None
    assert memory_limits(tmp_path) == []


def test_the_limits_are_those_of_the_cgroup_and_its_parents(tmp_path):
    files = {
        "proc/self/cgroup": "0::/slice/app\n",
        "sys/fs/cgroup/slice/app/memory.max": "max\n",
        "sys/fs/cgroup/slice/memory.max": "1000\n",
        "sys/fs/cgroup/memory.max": "2000\n",
    }
    assert memory_limits(kernel(tmp_path, **files)) == [1000, 2000]
