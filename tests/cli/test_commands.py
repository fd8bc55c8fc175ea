"""The `asyncmr` command, as a process of its own: its streams, its exit status, its manners."""

import array
import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.workers.talking import alive

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "asyncmr"]
COUNT = ["run", "asyncmr.jobs:wordcount"]


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test runs in an empty folder, with the package on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Path("in.txt").write_text("to be or\nnot to be\n")


def _asyncmr(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *args], check=False, capture_output=True, text=True, timeout=50)


def _until(condition: Callable[[], bool]) -> None:
    """Polls for what the operating system gives no event for."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.01)


def _write_job(body: str, tail: str = "job = asyncmr.Job(mapper=mapper)\n") -> str:
    Path("mine.py").write_text(f"import asyncmr\n\ndef mapper(key, line):\n    {body}\n\n{tail}")
    return "mine.py:job"


@contextlib.contextmanager
def _started(*args: str):
    """The command as the leader of its own process group, to which a test may send what a terminal sends."""
    process = subprocess.Popen(
        [*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        with process:
            yield process
            process.wait(timeout=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_without_output_the_pairs_go_to_standard_output() -> None:
    done = _asyncmr(*COUNT, "in.txt")
    assert sorted(done.stdout.splitlines()) == ["be\t2", "not\t1", "or\t1", "to\t2"]
    assert (done.returncode, done.stderr) == (0, "")


def test_with_output_part_files_and_success_are_written() -> None:
    done = _asyncmr(*COUNT, "in.txt", "-o", "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = [line for part in Path("out").glob("part-*") for line in part.read_text().splitlines()]
    assert sorted(lines) == ["be\t2", "not\t1", "or\t1", "to\t2"]
    assert Path("out/_SUCCESS").exists()


def test_verify_shows_the_counterexample() -> None:
    job = _write_job("yield 'key', 1", "job = asyncmr.Job(mapper=mapper, fold=lambda a, b: a - b)\n")
    Path("three.txt").write_text("x\nx\nx\n")
    assert _asyncmr("run", job, "three.txt").stdout == "key\t-1\n"
    done = _asyncmr("run", job, "three.txt", "--verify", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("  key: 'key'\n  1, 1, 1 -> -1\n  1, (1, 1) -> 1\n")


def test_standard_output_is_escaped_as_part_files_are() -> None:
    job = _write_job(r"yield 'a\tb', 'c\nd\\'")
    Path("one.txt").write_text("x\n")
    assert _asyncmr("run", job, "one.txt").stdout == "a\\tb\tc\\nd\\\\\n"


def _fed(data: bytes, *args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *args], check=False, capture_output=True, input=data, timeout=50)


def test_minus_is_standard_input_also_beside_files() -> None:
    done = _fed(b"or what\nto", *COUNT, "-", "in.txt")
    assert sorted(done.stdout.decode().splitlines()) == ["be\t2", "not\t1", "or\t2", "to\t3", "what\t1"]
    assert (done.returncode, done.stderr) == (0, b"")


def test_standard_input_may_be_a_file_or_nothing() -> None:
    for name, lines in (("in.txt", 4), ("/dev/null", 0)):
        with open(name) as file:
            done = subprocess.run(
                [*COMMAND, *COUNT, "-"], check=False, stdin=file, capture_output=True, timeout=50
            )
        assert (done.returncode, done.stdout.count(b"\n")) == (0, lines)


def test_an_error_in_standard_input_names_the_line() -> None:
    done = _fed(b"1\n2\nx\n", "run", _write_job("yield int(line), 1"), "-")
    assert done.returncode == 1
    assert b"at <stdin>, line 3" in done.stderr


def test_ctrl_c_ends_a_command_that_waits_for_standard_input() -> None:
    """Nobody writes, and nobody closes it: no thread may be stuck there."""
    job = _write_job("yield line, 1", "job = asyncmr.Job(mapper=mapper)\nopen('loaded', 'w').close()\n")
    process = subprocess.Popen(
        [*COMMAND, "run", job, "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    with process:
        _until(
            lambda: Path("loaded").exists() and len(psutil.Process(process.pid).children(recursive=True)) > 2
        )
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 130


@pytest.mark.parametrize(("source", "status"), [("in.txt", 0), ("-", 1)])
def test_closed_standard_input_is_missed_only_by_who_reads_it(source: str, status: int) -> None:
    command = ["bash", "-c", '"$@" <&-', "bash", *COMMAND, *COUNT, source]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert (done.returncode, len(done.stderr.splitlines())) == (status, status)


def test_json_lines_come_in_and_go_out() -> None:
    job = _write_job("yield (line['word'], 1), line['count']", "job = asyncmr.Job(mapper=mapper, fold=max)\n")
    Path("in.jsonl").write_text('{"word": "be", "count": 2}\n{"word": "be", "count": 3.5}\n')
    args = ["run", job, "in.jsonl", "--input-format", "jsonl", "--format", "jsonl"]
    assert _asyncmr(*args).stdout == '{"key": ["be", 1], "value": 3.5}\n'
    assert _asyncmr(*args, "-o", "out").returncode == 0
    Path("swap.py").write_text(
        "import asyncmr\njob = asyncmr.Job(mapper=lambda key, value: [(value, key)])\n"
    )
    done = _asyncmr("run", "swap.py:job", "out", "--input-format", "jsonl-pairs")
    assert done.stdout == "3.5\t('be', 1)\n"


def test_documents_come_with_their_paths() -> None:
    job = _write_job("yield key, len(line)")
    assert _asyncmr("run", job, "in.txt", "--input-format", "documents").stdout == "in.txt\t19\n"


def test_a_pair_that_is_no_json_is_one_line_of_complaint() -> None:
    job = _write_job("yield line, b''")
    for more in ([], ["-o", "out"]):
        done = _asyncmr("run", job, "in.txt", "--format", "jsonl", *more)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "the value of the key 'to be or' cannot be written as JSON" in done.stderr


def test_partitions_decides_the_number_of_part_files() -> None:
    assert _asyncmr(*COUNT, "in.txt", "-o", "out", "--partitions", "3").returncode == 0
    assert len(list(Path("out").glob("part-*"))) == 3


def test_report_is_json_of_what_was_done() -> None:
    assert _asyncmr(*COUNT, "in.txt", "--report", "report.json").returncode == 0
    report = json.loads(Path("report.json").read_text())
    assert report["stages"]["map"]["records_in"] == 2
    assert report["stages"]["reduce"]["pairs_out"] == 4


def test_workers_need_no_job_file() -> None:
    """The file is gone before the first worker starts."""
    job = _write_job(
        "yield line, shout(line)", "import os\njob = asyncmr.Job(mapper=mapper)\nos.remove(__file__)\n"
    )
    path = Path("mine.py")
    path.write_text("def shout(text):\n    return text.upper()\n\n" + path.read_text())
    assert _asyncmr("run", job, "in.txt").stdout == "to be or\tTO BE OR\nnot to be\tNOT TO BE\n"
    assert not path.exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "nowhere.py:job", "in.txt"], "there is no job file nowhere.py"),
        (["run", "asyncmr.jobs:nothing", "in.txt"], "wordcount"),
        ([*COUNT], "INPUT"),
        ([*COUNT, "in.txt", "--workers", "0"], "--workers"),
        ([*COUNT, "in.txt", "--report", "nowhere/report.json"], "there is no folder nowhere"),
        ([*COUNT, "in.txt", "--colour"], "--colour"),
        (["rum", "asyncmr.jobs:wordcount", "in.txt"], "Did you mean 'run'?"),
        ([*COUNT[1:], "in.txt"], "Did you mean: asyncmr run asyncmr.jobs:wordcount in.txt"),
        (["run", "in.txt", "asyncmr.jobs:wordcount"], "JOB comes first"),
        ([*COUNT], "For example: asyncmr run asyncmr.jobs:wordcount books/*.txt"),
        ([*COUNT, "in.txt", "--skip-limit", "some"], "neither a number of records"),
        ([*COUNT, "in.txt", "--memory", "some"], "memory"),
    ],
)
def test_bad_usage_is_status_2_and_one_message(args: list[str], says: str) -> None:
    done = _asyncmr(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_that_fails_is_status_2_with_the_users_traceback() -> None:
    Path("mine.py").write_text("import asyncmr\n1 / 0\n")
    done = _asyncmr("run", "mine.py:job", "in.txt")
    assert done.returncode == 2
    assert 'mine.py", line 2' in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert str(ROOT / "asyncmr") not in done.stderr


def test_input_that_matches_nothing_is_status_1_and_named() -> None:
    done = _asyncmr(*COUNT, "nothing-*.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing-*.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mapper_that_raises_is_status_1_with_the_users_frames() -> None:
    job = _write_job("yield line, {}['gone']")
    done = _asyncmr("run", job, "in.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("asyncmr: ")
    assert 'mine.py", line 4, in mapper' in done.stderr
    assert "KeyError: 'gone'" in done.stderr
    assert str(ROOT / "asyncmr") not in done.stderr


def test_an_output_folder_that_exists_is_status_1_and_left_alone() -> None:
    Path("out").mkdir()
    Path("out/mine").write_text("kept")
    done = _asyncmr(*COUNT, "in.txt", "-o", "out")
    assert done.returncode == 1
    assert "out" in done.stderr
    assert [path.name for path in Path("out").iterdir()] == ["mine"]


def test_ctrl_c_is_status_130_without_a_traceback() -> None:
    job = _write_job(
        "import pathlib, threading; pathlib.Path('begun').touch(); threading.Event().wait(); yield 1, 1"
    )
    with _started("run", job, str(Path("in.txt").absolute())) as process:
        _until(Path("begun").exists)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "asyncmr: interrupted"


@pytest.mark.parametrize("to_all", [False, True], ids=["to the command", "to its whole group"])
def test_sigterm_is_status_143_and_leaves_nothing(to_all: bool) -> None:
    """Not even where a service manager sends it to the workers as well."""
    Path("tmp").mkdir()
    job = _write_job(
        "import pathlib, subprocess, threading; child = subprocess.Popen(['sleep', '60']); "
        "pathlib.Path('begun').write_text(str(child.pid)); threading.Event().wait(); yield 1, 1"
    )
    with _started("run", job, "in.txt", "-o", "out", "--workers", "1") as process:
        _until(lambda: Path("begun").exists() and Path("begun").read_text().isdigit())
        left = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert int(Path("begun").read_text()) in left
        os.killpg(process.pid, signal.SIGTERM) if to_all else process.terminate()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 143
    assert errors.strip() == "asyncmr: terminated"
    _until(lambda: not any(map(alive, left)))
    assert not Path("out").exists()


def test_sigterm_before_the_job_has_begun_ends_the_command() -> None:
    job = _write_job(
        "yield 1, 1", "import pathlib, signal\npathlib.Path('loading').touch()\nsignal.pause()\njob = None\n"
    )
    with _started("run", job, "in.txt") as process:
        _until(Path("loading").exists)
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM


# Holds up the interpreter that starts a process of this name till it may go on.
HELD_UP = """
import pathlib, sys, time
if "{name}" in " ".join(sys.orig_argv):
    pathlib.Path("starting").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.005)
"""


def test_ctrl_c_while_the_workers_start_is_as_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sitecustomize.py").write_text(HELD_UP.format(name="forkserver import main"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{Path.cwd()}")
    with _started(*COUNT, "in.txt") as process:
        _until(Path("starting").exists)
        os.killpg(process.pid, signal.SIGINT)
        Path("go").touch()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "asyncmr: interrupted"


def test_ctrl_c_ends_a_command_whose_reader_has_stopped_reading() -> None:
    Path("many.txt").write_text("".join(f"word-{n:06}\n" for n in range(50_000)))
    waiting = array.array("i", [0])
    with _started(*COUNT, "many.txt") as process:
        assert process.stdout is not None

        def full() -> bool:
            fcntl.ioctl(process.stdout, termios.FIONREAD, waiting)
            return waiting[0] >= 60_000

        _until(full)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 130


def test_a_reader_that_leaves_is_status_141_and_silence() -> None:
    Path("many.txt").write_text("".join(f"word-{n:06}\n" for n in range(50_000)))
    with _started(*COUNT, "many.txt") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_full_disk_behind_standard_output_is_status_1_and_named() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *COUNT, "in.txt"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
        )
    assert done.returncode == 1
    assert done.stderr.strip() == "asyncmr: standard output could not be written: No space left on device"


def test_a_full_disk_behind_the_report_is_status_1_and_the_output_stays() -> None:
    done = _asyncmr(*COUNT, "in.txt", "-o", "out", "--report", "/dev/full")
    assert done.returncode == 1
    assert "the job is done, but its report could not be written to /dev/full: No space left" in done.stderr
    assert Path("out/_SUCCESS").exists()


@pytest.mark.parametrize(("flags", "shown"), [((), False), (("--progress",), True)])
def test_progress_bars_are_only_drawn_unasked_on_a_terminal(flags: tuple[str, ...], shown: bool) -> None:
    done = _asyncmr(*COUNT, "in.txt", "-o", "out", *flags)
    assert done.returncode == 0
    assert ("map" in done.stderr) is shown


@pytest.mark.parametrize(("flags", "shown"), [((), True), (("--no-progress",), False)])
def test_a_terminal_gets_progress_bars_unless_told_not_to(flags: tuple[str, ...], shown: bool) -> None:
    assert ("map" in _on_terminal(*COUNT, "in.txt", "-o", "out", *flags)) is shown


def _on_terminal(*args: str) -> str:
    """What a person sees on a terminal that shows standard error."""
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with open(screen, "rb", buffering=0) as master:
        try:
            subprocess.run([*COMMAND, *args], check=True, stderr=terminal, timeout=50)
            os.write(terminal, b"end")
            seen = b""
            while not seen.endswith(b"end"):
                seen += master.read(65_536)
        finally:
            os.close(terminal)
    return seen.decode()


def test_help_shows_examples_and_every_exit_status() -> None:
    assert "asyncmr run words.py:job books/" in _asyncmr("--help").stdout
    text = _asyncmr("run", "--help").stdout
    assert [status for status in ("0", "1", "2", "130", "141", "143") if f"\n    {status} " not in text] == []


def test_version_is_one_line() -> None:
    done = _asyncmr("--version")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("asyncmr")


SKIPPING = ("--on-error", "skip")


def _write_fragile_job() -> str:
    Path("numbers.txt").write_text("1\ntwo\n3\nfour\n")
    return _write_job("yield int(line), 1")


def test_what_is_skipped_is_told_on_standard_error_and_the_status_is_0() -> None:
    done = _asyncmr("run", _write_fragile_job(), "numbers.txt", *SKIPPING, "--report", "report.json")
    assert (done.returncode, done.stdout) == (0, "1\t1\n3\t1\n")
    assert done.stderr.startswith("asyncmr: 2 records and keys were skipped; ")
    assert "numbers.txt, line 2: ValueError: invalid literal" in done.stderr
    told = json.loads(Path("report.json").read_text())["skipped"]
    assert [(one["line"], one["record"]) for one in told] == [(2, "two"), (4, "four")]


def test_dead_letters_go_to_a_file() -> None:
    done = _asyncmr(
        "run", _write_fragile_job(), "numbers.txt", "-o", "out", *SKIPPING, "--dead-letters", "dead"
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "dead tells of all" in done.stderr
    assert [json.loads(line)["record"] for line in Path("dead").read_text().splitlines()] == ["two", "four"]


@pytest.mark.parametrize(("limit", "status"), [("1", 1), ("0.2", 1), ("2", 0), ("0.5", 0)])
def test_more_than_the_limit_is_status_1(limit: str, status: int) -> None:
    done = _asyncmr("run", _write_fragile_job(), "numbers.txt", *SKIPPING, "--skip-limit", limit)
    assert done.returncode == status
    assert (f"skip_limit={limit} allows" in done.stderr) is (status == 1)
    assert ('mine.py", line 4, in mapper' in done.stderr) is (status == 1)


@pytest.mark.parametrize(
    "flags", [("--skip-limit", "3"), ("--dead-letters", "dead"), (*SKIPPING, "--skip-limit", "x")]
)
def test_skipping_options_without_a_meaning_are_status_2(flags: tuple[str, ...]) -> None:
    assert _asyncmr("run", _write_fragile_job(), "numbers.txt", *flags).returncode == 2


def test_a_run_that_is_killed_goes_on_from_its_journal() -> None:
    """It waits in the middle of its input until it is killed; run again, it maps only what was not mapped."""
    Path("in.txt").write_text("word\n" * 5_000_000)
    Path("wait").touch()
    job = _write_job(
        "yield line, 1",
        "import operator, os, signal\n\n"
        "def waiting(key, lines):\n"
        "    with open('calls', 'a') as calls:\n"
        "        calls.write('.')\n"
        "    if os.path.exists('wait') and os.path.getsize('calls') > 2:\n"
        "        open('waits', 'w').close()\n"
        "        signal.pause()\n"
        "    return ['word'], [len(lines)]\n\n"
        "job = asyncmr.Job(mapper=asyncmr.batch(size='8 MiB')(waiting), fold=operator.add)\n",
    )
    command = ["run", job, "in.txt", "-o", "out", "--resume", "journal"]
    with _started(*command, "--workers", "1") as process:
        _until(Path("waits").exists)
        process.kill()
    Path("wait").unlink()
    calls = Path("calls").stat().st_size
    refused = _asyncmr(*command, "--partitions", "2")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "partitions was None and is 2 now" in refused.stderr
    done = _asyncmr(*command, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "tasks were done before, says the journal in journal" in done.stderr
    assert "".join(part.read_text() for part in Path("out").glob("part-*")) == "word\t5000000\n"
    assert Path("calls").stat().st_size == calls + 1
    again = _asyncmr(*command)
    assert (again.returncode, again.stderr) == (
        0,
        "asyncmr: all tasks were done before, says the journal in journal\n",
    )


def test_resuming_needs_an_output_folder() -> None:
    done = _asyncmr(*COUNT, "in.txt", "--resume", "journal")
    assert done.returncode == 2
    assert "--resume needs -o" in done.stderr
    assert not Path("journal").exists()
