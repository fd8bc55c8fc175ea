"""Nothing but pairs reaches standard output, whatever a job prints; the rest is shown, with job and worker named."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from asyncmr.cli.messages import in_options
from tests.cli.test_commands import COMMAND, _asyncmr, _folder, _on_terminal  # noqa: F401

NOISY = """
import asyncmr, logging, os
print("loading")
{setup}

def mapper(_key, line):
    print("printed", flush=True)
    os.system("echo from a child")
    logging.getLogger("mine").warning("100% warned")
    logging.getLogger("mine").info("informed")
    yield line, 1

job = asyncmr.Job(mapper=mapper)
"""


def _noisy(setup: str = "") -> str:
    Path("noisy.py").write_text(NOISY.replace("{setup}", setup))
    return "noisy.py:job"


def test_only_pairs_reach_standard_output() -> None:
    done = _asyncmr("run", _noisy(), "in.txt")
    assert (done.returncode, done.stdout) == (0, "to be or\t1\nnot to be\t1\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "loading"
    assert lines[1].startswith("[mapper: map, worker ")
    said = [line.partition("] ")[2] for line in lines[1:]]
    assert sorted(said) == ["100% warned"] * 2 + ["from a child"] * 2 + ["printed"] * 2


@pytest.mark.parametrize(("level", "shown"), [("info", 2), ("warning", 0)])
def test_the_log_level_says_what_is_shown(level: str, shown: int) -> None:
    done = _asyncmr("run", _noisy(), "in.txt", "--log-level", level)
    assert done.stderr.count("INFO mine: [mapper: map, worker ") == shown


def test_a_job_that_sets_up_logging_itself_has_it_its_way() -> None:
    job = _noisy('logging.basicConfig(level="INFO", format="%(name)s! %(asyncmr_job)s", force=True)')
    lines = _asyncmr("run", job, "in.txt").stderr.splitlines()
    assert lines.count("mine! mapper") == 4


def test_what_is_printed_comes_above_the_bars() -> None:
    text = _on_terminal("run", _noisy(), "in.txt", "-o", "out")
    assert len(re.findall(r"[\r\n][^\r\n]*\[mapper: map, worker \d+\] printed\r\n", text)) == 2
    assert "map: 100%" in text


@pytest.mark.parametrize(
    ("closed", "status", "pairs"),
    [("<&-", 0, 2), ("2>&-", 0, 2), ("<&- 2>&-", 0, 2), (">&-", 1, 0), (">&- 2>&-", 1, 0)],
)
def test_streams_that_are_closed_become_nobody_elses(closed: str, status: int, pairs: int) -> None:
    command = shlex.join([*COMMAND, "run", _noisy(), "in.txt"])
    done = subprocess.run(f"{command} {closed}", shell=True, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("\t1\n")) == (status, pairs)
    if closed == ">&-":
        assert "standard output could not be written: Bad file descriptor" in done.stderr


def test_arguments_of_python_become_options() -> None:
    text = 'memory=5 bytes is too little; raise memory=, or set on_error="skip" and task_timeout=3'
    assert in_options(text) == (
        "--memory 5 bytes is too little; raise --memory, or set --on-error skip and --task-timeout 3"
    )
