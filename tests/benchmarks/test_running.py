"""The measurement itself: what a run took, and whether its output is right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import corpora, oracle
from benchmarks.cgroups import MemoryGroup, NoCgroup
from benchmarks.checking import Checksum
from benchmarks.running import ROOT, measure, run_peer

MIB = 1 << 20
BURN = "import time\nwhile time.process_time() < 0.6: pass"
# The one in the middle ends at once, so that the last becomes an orphan.
ORPHAN = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
HOLD = f"data = bytearray(b'x') * {64 * MIB}\n{BURN}"


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-c", *arguments]


def test_processor_time_includes_grandchildren(tmp_path: Path):
    usage = measure(python(PARENT, PARENT, BURN), tmp_path / "log")
    assert usage.exit == 0
    assert usage.cpu >= 0.6
    assert not usage.sampled


def test_processor_time_and_wall_time_differ_for_one_who_waits(tmp_path: Path):
    """The control of the test above: a process that does little takes little."""
    assert measure(python("pass"), tmp_path / "log").cpu < 0.6


def test_processor_time_includes_orphans(tmp_path: Path):
    usage = measure(python(PARENT, ORPHAN, BURN), tmp_path / "log")
    assert usage.cpu >= 0.6
    assert usage.left == 0


def test_processor_time_of_children_that_nobody_waits_for_comes_from_samples(tmp_path: Path):
    ignoring = f"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); {PARENT}"
    usage = measure(python(ignoring, BURN), tmp_path / "log")
    assert usage.sampled
    assert usage.cpu > 0.2


def test_peak_memory_includes_grandchildren(tmp_path: Path):
    assert measure(python(PARENT, HOLD), tmp_path / "log").peak >= 64 * MIB
    assert measure(python(PARENT, BURN), tmp_path / "log").peak < 64 * MIB


def test_a_tree_above_its_limit_is_killed(tmp_path: Path):
    usage = measure(python(PARENT, HOLD), tmp_path / "log", limit=48 * MIB)
    assert usage.killed.startswith("killed at")


def test_a_tree_that_takes_too_long_is_killed(tmp_path: Path):
    usage = measure(python(PARENT, "while True: pass"), tmp_path / "log", timeout=0.3)
    assert usage.killed == "killed after 0 s"
    assert usage.left == 0


def test_processes_left_behind_are_counted_and_killed(tmp_path: Path):
    usage = measure(python(ORPHAN, "while True: pass"), tmp_path / "log", grace=0.1)
    assert usage.exit == 0
    assert usage.left == 1


def test_what_a_command_prints_goes_to_its_log(tmp_path: Path):
    assert measure(python("raise SystemExit('alas')"), tmp_path / "log").exit == 1
    assert (tmp_path / "log").read_text() == "alas\n"


@pytest.fixture
def lines(tmp_path: Path) -> list[Path]:
    (tmp_path / "words").mkdir()
    path = tmp_path / "words" / "part-00000.txt"
    path.write_text("to be or not to be\n" * 100)
    return [path]


def test_a_right_output_is_right(lines: list[Path], tmp_path: Path):
    run = run_peer("plain", "W1", lines, workers=2, expected=oracle.expected(lines, "W1"), scratch=tmp_path)
    assert run.status == "ok"
    assert run.checksum.endswith("/4")


def test_a_wrong_output_is_reported_as_such(lines: list[Path], tmp_path: Path):
    other = Checksum.of([b"to\t200", b"be\t200", b"or\t100", b"not\t101"])
    run = run_peer("plain", "W1", lines, workers=2, expected=other, scratch=tmp_path)
    assert run.status.startswith("wrong output: checksum ")
    assert run.checksum == ""


def test_a_contender_that_fails_is_reported_with_its_last_words(tmp_path: Path):
    missing = [tmp_path / "missing"]
    run = run_peer("plain", "W1", missing, workers=2, scratch=tmp_path)
    assert run.status.startswith("failed, exit status 1: FileNotFoundError")


def test_work_that_a_contender_cannot_do_is_not_supported(lines: list[Path], tmp_path: Path):
    run = run_peer("pool_fold", "W2", lines, workers=2, scratch=tmp_path)
    assert run.status.startswith("not supported")


def test_memory_that_asyncmr_refuses_is_shown_as_refused(lines: list[Path], tmp_path: Path):
    run = run_peer("asyncmr_classic", "wordcount", lines, workers=2, memory=MIB, scratch=tmp_path)
    assert run.status.startswith("refused: memory=")


def test_what_a_contender_adds_leaves_out_what_was_there_before(tmp_path: Path):
    inputs = corpora.corpus(tmp_path, "hot", 100_000)
    run = run_peer("pool_classic", "W4", inputs, workers=2, scratch=tmp_path)
    assert run.usage is not None
    assert run.notes["before"] > MIB
    assert run.added == max(0, run.usage.peak - run.notes["before"])


def test_a_cgroup_tells_of_processes_killed_for_want_of_memory(tmp_path: Path):
    try:
        with MemoryGroup(32 * MIB) as group:
            usage = measure(python(HOLD), tmp_path / "log", group=group)
            assert usage.exit == -9
            assert group.kills() == 1
    except NoCgroup as error:
        pytest.skip(str(error))


def test_where_no_cgroup_can_be_made_the_reason_is_said(tmp_path: Path):
    """A folder that is no cgroup: it takes no limit, and nothing is left of the attempt."""
    with pytest.raises(NoCgroup, match="takes no memory limit"), MemoryGroup(MIB, tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_the_monitor_ends_with_its_caller(tmp_path: Path):
    """Killed without a chance to clean up, the caller leaves nothing that runs on."""
    log = tmp_path / "log"
    os.mkfifo(log)
    measured = f"print(1, flush=True)\n{BURN.replace('0.6', '20')}\nprint('survived')"
    script = (
        "import sys; from pathlib import Path; from benchmarks.running import measure\n"
        "measure([sys.executable, '-c', sys.argv[1]], Path(sys.argv[2]))"
    )
    with subprocess.Popen(python(script, measured, str(log)), cwd=ROOT) as caller, open(log, "rb") as reading:
        assert reading.readline() == b"1\n"
        caller.kill()
        assert reading.read() == b""  # the pipe ends when the last process that holds it is gone
