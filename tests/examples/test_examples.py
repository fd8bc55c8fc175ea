"""The examples run as they are, on what they make for themselves and on files of the reader's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")


def _printed(*command: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *command], check=False, capture_output=True, text=True, encoding="utf-8", timeout=50
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def _example(name: str, *arguments: str) -> list[str]:
    return _printed(str(ROOT / "examples" / name), *arguments)


def test_the_join_shows_who_ordered_and_who_did_not() -> None:
    lines = [line.split() for line in _example("join.py")]
    assert lines[:4] == [["inner", "join:"], ["Ann", "pen"], ["Bob", "ink"], ["Bob", "paper"]]
    assert lines[4:] == [["left", "join:"], *lines[1:4], ["Cy,", "the", "third", "-"]]


def test_the_join_runs_over_named_files_from_the_command_line() -> None:
    Path("users.csv").write_text("1,Ann\n2,Bob\n")
    Path("orders.csv").write_text("7,2,ink\n")
    for job, expected in {"left": {"Ann", "Bob\tink"}, "inner": {"Bob\tink"}}.items():
        spec = f"{ROOT / 'examples/join.py'}:{job}"
        assert set(_printed("-m", "asyncmr", "run", spec, "orders=orders.csv", "users=users.csv")) == expected
    assert [line.split() for line in _example("join.py", "users.csv", "orders.csv")][1] == ["Bob", "ink"]


def test_the_visits_of_each_user_are_found_in_logs_in_no_order() -> None:
    Path("a.tsv").write_text("100\tann\t/b\n9000\tann\t/d\n40\tann\t/a\n")
    Path("b.tsv").write_text("1900\tann\t/c\n9060\tann\t/e\n0\tbob\t/a\n")
    assert _example("secondary_sort.py", "*.tsv") == [
        "ann: visits: 2, the longest: 31 minutes, 3 pages",
        "bob: visits: 1, the longest: 0 minutes, 1 pages",
    ]
    assert [line.split(":")[0] for line in _example("secondary_sort.py")] == ["ann", "bob", "cy"]


def test_means_and_deviations_of_json_lines() -> None:
    Path("in.jsonl").write_text(
        "".join(
            f'{{"city": "{city}", "celsius": {celsius}}}\n'
            for city, celsius in (("O", 1), ("O", 3), ("Q", 14))
        )
    )
    assert _example("mean_by_key.py", "in.jsonl") == [
        "O            2.00 ± 1.00 °C, 2 readings",
        "Q           14.00 ± 0.00 °C, 1 readings",
    ]
    assert [line.split()[0] for line in _example("mean_by_key.py")] == ["Cairo", "Lima", "Oslo", "Quito"]


def test_the_inverted_index_of_the_standard_library_finds_modules_by_a_word() -> None:
    found = dict(line.split(": ") for line in _example("inverted_index.py"))
    assert "csv" in found["csv"].split()
    assert "threading" in found["thread"].split()
