"""What INPUT arguments name, for jobs with one mapper and with several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncmr import Job, UsageError
from asyncmr.cli.inputs import inputs_of
from tests.family import letters

ROOT = Path(__file__).parents[2]
JOIN = Job(mapper={"users": letters, "orders": letters}, name="join")


def test_named_paths_are_gathered_by_name_up_to_the_first_equals_sign():
    given = ["orders=a=b.csv", "users=u", "orders=c/"]
    assert inputs_of(JOIN, given) == {"orders": ["a=b.csv", "c/"], "users": ["u"]}


def test_of_an_ordinary_job_they_are_paths_whatever_is_in_them():
    assert inputs_of(Job(mapper=letters), ["users=u", "x"]) == ["users=u", "x"]


def test_of_a_chain_the_first_job_counts():
    assert inputs_of(JOIN.then(Job(mapper=letters)), ["users=u"]) == {"users": ["u"]}


@pytest.mark.parametrize("argument", ["users.csv", "user=users.csv", "users=", "=users.csv"])
def test_a_path_without_a_name_of_the_job_is_refused_with_what_to_write(argument):
    with pytest.raises(UsageError, match=r"'join'.*users=PATH orders=PATH"):
        inputs_of(JOIN, [argument])


def test_standard_input_is_one_of_the_inputs_at_most():
    assert inputs_of(JOIN, ["users=-", "orders=o"]) == {"users": ["-"], "orders": ["o"]}
    with pytest.raises(UsageError, match="standard input can be read once"):
        inputs_of(JOIN, ["users=-", "orders=-"])


def test_a_join_runs_from_the_command_line(tmp_path):
    (tmp_path / "join.py").write_text(
        "import asyncmr\n"
        "def named(name):\n"
        "    return lambda _, line: [(line.split(',')[0], name)]\n"
        "job = asyncmr.Job(mapper={'users': named('user'), 'orders': named('order')},\n"
        "                  reducer=lambda key, values: [(key, ' '.join(values))], sort=True)\n"
    )
    for name, text in {"u.csv": "1,a\n2,b\n", "o.csv": "2,x\n"}.items():
        (tmp_path / name).write_text(text)

    def run(*inputs):
        command = [sys.executable, "-m", "asyncmr", "run", "join.py:job", *inputs]
        options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT)}}
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=50, **options)

    done = run("orders=o.csv", "users=u.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\tuser\n2\tuser order\n", "")
    done = run("u.csv", "o.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert "users=PATH orders=PATH" in done.stderr
