"""What type checkers say of misuses of the public face."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

MISUSES = Path(__file__).with_name("misuses.py")
ROOT = MISUSES.parents[2]


def marked() -> set[int]:
    lines = MISUSES.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


def said_by(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, str(MISUSES)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_mypy_finds_each_misuse_and_nothing_else() -> None:
    pytest.importorskip("mypy")
    said = said_by("mypy")
    assert {int(line) for line in re.findall(r"misuses\.py:(\d+): error", said)} == marked(), said


def test_pyright_finds_each_misuse_and_nothing_else() -> None:
    pytest.importorskip("basedpyright")
    said = said_by("basedpyright", "--outputjson")
    errors = json.loads(said)["generalDiagnostics"]
    assert {error["range"]["start"]["line"] + 1 for error in errors} == marked(), said
