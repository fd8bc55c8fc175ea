"""A real disk that is soon full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 4 MiB."""
    with mounted(tmp_path / "small", "size=4m") as folder:
        yield folder


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Makes `folder` a file system of its own, in memory, with these options of tmpfs."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs root")
    folder.mkdir()
    ran = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {ran.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a test that failed may have left a file open, and the mount must not outlive it.
        subprocess.run(["umount", "-l", str(folder)], check=True)
