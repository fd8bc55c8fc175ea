"""Tiny runs of the whole benchmark."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.cli import main
from benchmarks.peers.task import Peer

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_a_tiny_comparison_checks_and_ranks_the_contenders(tmp_path: Path, capsys):
    arguments = ["--data", str(tmp_path), "--size", "1MB", "--rounds", "1", "--json", str(tmp_path / "json")]
    arguments += ["--peers", "asyncmr_fold,asyncmr_builtin,pool_classic,pool_expert,plain"]
    assert main([*arguments, "--workloads", "W1,W3,W5,W6"]) == 0
    studies = json.loads((tmp_path / "json").read_text())["studies"]
    assert [study["workload"] for study in studies] == ["W1", "W3", "W5", "W6"]
    for study in studies:
        assert {run["status"] for run in study["runs"]} == {"ok"}
        assert len({run["checksum"] for run in study["runs"]}) == 1
    assert "process pool by hand" in capsys.readouterr().out


@pytest.mark.timeout(180)
def test_streams_are_compared_by_words_a_second(tmp_path: Path, capsys):
    """On little text: what is checked is that each of them counts it, and that the state on the disk is right."""
    arguments = ["--data", str(tmp_path), "--size", "200kB", "--rounds", "1", "--workloads", "W8"]
    named = "asyncmr_tail,asyncmr_tail_fold,asyncmr_tcp,pool_stream"
    assert main([*arguments, "--peers", named, "--json", str(tmp_path / "json")]) == 0
    (study,) = json.loads((tmp_path / "json").read_text())["studies"]
    assert [run["status"] for run in study["runs"]] == ["ok"] * 4
    assert len({run["notes"]["words"] for run in study["runs"]}) == 1
    assert "M words/s" in capsys.readouterr().out


@pytest.mark.parametrize("work", ["W2", "W4"])
def test_contenders_without_an_engine_agree(work, tmp_path: Path):
    arguments = [
        "--data",
        str(tmp_path),
        "--size",
        "200kB",
        "--rounds",
        "1",
        "--json",
        str(tmp_path / "json"),
    ]
    peers_named = "pool_classic,pool_expert,plain,gnu_sort"
    assert main([*arguments, "--workloads", work, "--peers", peers_named]) == 0
    (study,) = json.loads((tmp_path / "json").read_text())["studies"]
    assert {run["status"] for run in study["runs"]} == {"ok"}


def test_a_wrong_output_gives_a_status(tmp_path: Path, capsys):
    """The oracle's checksum is spoilt, so that what is right looks wrong."""
    arguments = ["--data", str(tmp_path), "--size", "50kB", "--rounds", "1", "--workloads", "W3"]
    assert main([*arguments, "--peers", "plain"]) == 0
    (checksum,) = tmp_path.glob("*.W3.checksum")
    checksum.write_text("[1, 2]")
    assert main([*arguments, "--peers", "plain"]) == 1
    assert "wrong output: checksum" in capsys.readouterr().out


@pytest.mark.timeout(180)
def test_the_memory_study_shows_what_is_refused_and_draws_the_rest(tmp_path: Path, capsys):
    arguments = ["--data", str(tmp_path), "--size", "200kB", "--memory", "--limits", "1MiB,1GiB"]
    arguments += ["--jobs", "hot,unique", "--peers", "asyncmr_classic,gnu_sort"]
    assert main([*arguments, "--plot", str(tmp_path / "plot.svg")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "asyncmr" in line and "|" in line]
    assert len(rows) == 2
    assert all(row.count("refused") == 1 for row in rows)
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")


@pytest.mark.timeout(180)
def test_growth_compares_sizes(tmp_path: Path, capsys):
    assert main(["--data", str(tmp_path), "--growth", "1MB,2MB", "--rounds", "1"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "right" in line]
    assert [row[1].strip() for row in rows] == ["1 MB", "2 MB"]
    assert float(rows[0][4]) == 1.0


def test_contenders_that_are_not_installed_say_what_they_want():
    absent = Peer("absent", {}, modules=("json", "no_such_module"), commands=("sh", "no-such-command"))
    assert peers.missing(absent) == ["no_such_module", "no-such-command"]


def test_every_contender_can_be_listed_where_nothing_is_installed():
    assert all(peers.peer(name).runs for name in peers.NAMES)


def test_a_name_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as status:
        main(["--peers", "hadoop"])
    assert status.value.code == 2
    assert "hadoop is none of" in capsys.readouterr().err


def test_the_script_starts_the_benchmark(tmp_path: Path):
    done = subprocess.run(
        [ROOT / "scripts/bench", "--data", "here", "--size", "20kB", "--workloads", "W3", "--peers", "plain"],
        env={**os.environ, "BENCH_PYTHON": sys.executable},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "W3 mean by key" in done.stdout
    assert (tmp_path / "here").is_dir()
