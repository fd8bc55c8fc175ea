"""What a JOB argument may be, and what is said of one that is not."""

import pickle
import sys
from pathlib import Path

import cloudpickle
import pytest

from asyncmr.cli.job_spec import JOB_MODULE, load_job
from asyncmr.errors import UsageError
from asyncmr.kernel.columns import decode_column, encode_column

JOB = """
from asyncmr.job import Job

def words(_key, line):
    for word in line.split():
        yield word, 1

job = Job(mapper=words)
other = Job(mapper=words, name="other")
"""


@pytest.fixture(autouse=True)
def _imports_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Each test starts in an empty folder, and leaves neither path entries nor modules behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name == JOB_MODULE or name.startswith("made_here"):
            del sys.modules[name]


def _refusal(spec: str) -> str:
    with pytest.raises(UsageError) as raised:
        load_job(spec)
    return str(raised.value)


def test_a_job_of_a_file() -> None:
    Path("my-job.py").write_text(JOB)
    assert load_job("my-job.py:other").name == "other"


def test_a_job_of_a_module_in_the_current_folder() -> None:
    Path("made_here").mkdir()
    Path("made_here/jobs.py").write_text(JOB)
    assert load_job("made_here.jobs:other").name == "other"


def test_a_file_may_import_its_neighbours() -> None:
    Path("jobs").mkdir()
    Path("jobs/made_here_words.py").write_text(JOB)
    Path("jobs/mine.py").write_text("from made_here_words import job")
    assert load_job("jobs/mine.py:job").title == "words"


def test_a_main_guard_stays_shut() -> None:
    Path("mine.py").write_text(JOB + "\nif __name__ == '__main__':\n    raise SystemExit('ran')\n")
    assert load_job("mine.py:job").title == "words"


def test_a_file_named_like_a_module_of_the_standard_library_hides_nothing() -> None:
    import json

    Path("json.py").write_text(JOB)
    load_job("json.py:job")
    assert sys.modules["json"] is json


def test_dataclasses_with_postponed_annotations_can_be_made_in_a_file() -> None:
    Path("mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Place:\n    name: str\n" + JOB
    )
    assert load_job("mine.py:job").title == "words"


def test_the_functions_of_a_file_are_pickled_by_value() -> None:
    """So a worker, which has no module `__job__`, can still load them."""
    Path("mine.py").write_text(JOB)
    data = cloudpickle.dumps(load_job("mine.py:job").mapper)
    del sys.modules[JOB_MODULE]
    assert list(pickle.loads(data)(None, "a b")) == [("a", 1), ("b", 1)]


def test_a_missing_file_is_named() -> None:
    assert "there is no job file nowhere/mine.py" in _refusal("nowhere/mine.py:job")


def test_a_missing_module_is_named() -> None:
    assert "there is no module 'made_here_not'" in _refusal("made_here_not.jobs:job")


def test_a_module_that_misses_another_shows_where() -> None:
    Path("made_here.py").write_text("import made_here_missing")
    message = _refusal("made_here:job")
    assert 'made_here.py", line 1' in message
    assert "No module named 'made_here_missing'" in message


def test_a_name_that_no_module_can_have_is_refused() -> None:
    assert "neither a Python file nor the name of a module" in _refusal("my-job:job")


@pytest.mark.parametrize("spec", ["mine.py", "mine.py:"])
def test_without_a_name_the_jobs_are_listed(spec: str) -> None:
    Path("mine.py").write_text(JOB)
    assert "write mine.py:NAME. Jobs found there: job, other" in _refusal(spec)


def test_a_wrong_name_lists_the_jobs() -> None:
    Path("mine.py").write_text(JOB)
    assert "mine.py has no 'jobb'. Jobs found there: job, other" in _refusal("mine.py:jobb")


def test_what_is_not_a_job_is_named_by_its_type() -> None:
    Path("mine.py").write_text(JOB)
    assert "'words' in mine.py is a function, not a Job. Jobs found there: job, other" in _refusal(
        "mine.py:words"
    )


def test_a_file_without_jobs_says_how_to_make_one() -> None:
    Path("mine.py").write_text("job = 1")
    assert "job = asyncmr.Job(" in _refusal("mine.py:job")


@pytest.mark.parametrize("spec", ["", ":", ":job"])
def test_a_spec_without_a_place_says_the_two_forms(spec: str) -> None:
    assert "path/to/file.py:job or package.module:job" in _refusal(spec)


def test_a_file_that_raises_shows_the_users_frames_only() -> None:
    Path("mine.py").write_text("def deep():\n    return {}['gone']\n\ndeep()\n")
    message = _refusal("mine.py:job")
    assert 'mine.py", line 4' in message
    assert 'mine.py", line 2, in deep' in message
    assert message.endswith("KeyError: 'gone'")
    assert "importlib" not in message
    assert "job_spec.py" not in message


def test_a_syntax_error_shows_its_line() -> None:
    Path("mine.py").write_text("job = = 1\n")
    message = _refusal("mine.py:job")
    assert 'mine.py", line 1' in message
    assert "job = = 1" in message


def test_a_file_that_exits_while_imported_is_refused() -> None:
    Path("mine.py").write_text("raise SystemExit(0)")
    assert "SystemExit: 0" in _refusal("mine.py:job")


def test_a_failed_file_leaves_no_module_behind() -> None:
    Path("mine.py").write_text("1 / 0")
    _refusal("mine.py:job")
    assert JOB_MODULE not in sys.modules


def test_objects_of_a_class_of_the_file_are_read_where_the_file_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sums.py").write_text(
        "import operator, asyncmr\n\nclass Total:\n    n = 7\n\ntotals = [Total()]\n"
        "job = asyncmr.Job(mapper=print, fold=operator.add)\n"
    )
    load_job(f"{tmp_path}/sums.py:job")
    tag, data = encode_column(sys.modules[JOB_MODULE].totals)
    monkeypatch.delitem(sys.modules, JOB_MODULE)
    assert decode_column(tag, data, 1)[0].n == 7
