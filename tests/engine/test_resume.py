"""Jobs with a journal: killed, run again, and refused."""

from __future__ import annotations

import asyncio
import json
import operator
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import asyncmr
from asyncmr import Engine, Job, ResumeError
from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import (
    AsyncMRError,
    MapperError,
    OutputError,
    PartitionerError,
    SkipLimitError,
    UsageError,
)
from asyncmr.kernel.formats import TextFormat
from asyncmr.kernel.passing import passed
from asyncmr.pipeline.limits import Limits
from asyncmr.storage.journal import Journal
from tests.engine.kill_points import SHAPES
from tests.engine.trail import Trail
from tests.family import total
from tests.workers.talking import ROOT, run_script, until

STAGED = Limits(fused=0, least_partitions=3)
SPLIT = 100


async def kill_points(
    shape: str, folder: Path, kills: int, mutant: str = "none"
) -> tuple[int | None, str, str]:
    folder.mkdir()
    script = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.kill_points", shape, str(folder), str(kills), mutant),
        stdout=-1,
        stderr=-1,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    out, err = await script.communicate()
    return script.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("shape", SHAPES)
async def test_killed_at_any_step_a_job_gives_the_same_bytes_and_runs_no_task_again(tmp_path, shape):
    status, out, err = await kill_points(shape, tmp_path / "job", 6)
    assert status == 0, err
    seen = json.loads(out)
    assert seen["kills"] == 6
    assert seen["resumed"]


@pytest.mark.parametrize("mutant", ["commit before the data", "trust late data"])
async def test_a_wrong_order_of_commits_is_found(tmp_path, mutant):
    status, _, err = await kill_points("fold", tmp_path / "job", 40, mutant)
    assert status == 1
    assert "AssertionError" in err


# Marks the records that it maps and the keys that it reduces; the last record of each run waits until it is killed.
DRIVER = """
import asyncio, os, signal, sys
import asyncmr
from asyncmr.connectors.journaled_parts import JournaledParts
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel.formats import TextFormat
from asyncmr.kernel.passing import passed
from asyncmr.pipeline.limits import Limits
from asyncmr.storage.journal import Journal

folder, wait_at, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])

def mark(text):
    with open(f"{folder}/marks", "a") as marks:
        marks.write(text + "\\n")

class Mapper:
    def __call__(self, _key, line):
        if os.path.exists(f"{folder}/wait-{line}"):
            mark("waits")
            while True:
                signal.pause()
        mark(f"map {line}")
        yield int(line) % 8, line

class Reducer:
    def __call__(self, key, values):
        if os.path.exists(f"{folder}/wait-key-{key}"):
            mark("waits")
            while True:
                signal.pause()
        mark(f"reduce {key}")
        yield key, ",".join(values)

class Partitioner:
    def __call__(self, key, partitions):
        return key % partitions

JOB = asyncmr.Job(mapper=Mapper(), reducer=Reducer(), partitioner=Partitioner(), partitions=8, name="marked")

async def main():
    report = await asyncmr.run(
        JOB, TextFiles(f"{folder}/in.txt", split_bytes=40), f"{folder}/out", resume=f"{folder}/journal",
        workers=workers, limits=Limits(fused=0),
    )
    print({name: [stage.tasks, stage.resumed] for name, stage in report.stages.items()})

if __name__ == "__main__":
    asyncio.run(main())
"""


class Driven:
    """A driver of its own process, whose workers wait where they are told to, and are killed there with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "in.txt").write_text("".join(f"{number:03}\n" for number in range(120)))

    async def run(self, wait_at: str = "", workers: int = 2) -> tuple[int | None, str, str, list[str]]:
        """Ends it by SIGKILL where `wait_at` is reached, if that is given; returns also what was mapped and reduced."""
        marks = self.folder / "marks"
        marks.write_text("")
        waits = self.folder / f"wait-{wait_at}"
        if wait_at:
            waits.write_text("")
        driver = await run_script(self.folder / "driver.py", DRIVER, str(self.folder), wait_at, str(workers))
        if wait_at:
            await until(lambda: "waits" in marks.read_text() or driver.returncode is not None, 30)
            driver.kill()
            waits.unlink()
        out, err = await driver.communicate()
        return driver.returncode, out.decode(), err.decode(), marks.read_text().split("\n")[:-1]

    def written(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted((self.folder / "out").glob("part-*")))


async def test_what_a_killed_driver_had_committed_runs_in_no_worker_again(tmp_path):
    """Killed while it maps, twice while it reduces, and gone on with each time with other workers."""
    driven = Driven(tmp_path)
    expected = b"".join(
        f"{key}\t{','.join(f'{n:03}' for n in range(120) if n % 8 == key)}\n".encode() for key in range(8)
    )
    runs = [
        await driven.run("095", workers=2),
        await driven.run("key-3", workers=1),  # another worker might go as far as the next key to wait at
        await driven.run("key-6", workers=2),
    ]
    assert [status for status, *_ in runs] == [-signal.SIGKILL] * 3
    status, out, err, marks = await driven.run(workers=1)
    assert (status, err) == (0, "")
    assert driven.written() == expected
    mapped = [mark for *_, marked in runs for mark in marked if mark.startswith("map")]
    # Ten records make a split; the one that was being mapped when the driver was killed is mapped again.
    assert len(mapped) - len(set(mapped)) < 30
    assert not any(mark.startswith("map") for *_, marked in runs[2:] for mark in marked)
    assert not any(mark.startswith("map") for mark in marks)
    reduced = {mark for *_, marked in runs for mark in marked if mark.startswith("reduce")}
    assert reduced
    figures = json.loads(out.replace("'", '"'))
    assert figures["map"] == [12, 12]
    assert figures["reduce"][0] == 8
    assert figures["reduce"][1] >= 3
    assert len([mark for mark in marks if mark.startswith("reduce")]) == 8 - figures["reduce"][1]


async def test_a_second_driver_on_the_same_journal_is_refused(tmp_path):
    driven = Driven(tmp_path)
    marks, waits = tmp_path / "marks", tmp_path / "wait-050"
    waits.write_text("")
    first = await run_script(tmp_path / "driver.py", DRIVER, str(tmp_path), "", "1")
    await until(lambda: marks.exists() and "waits" in marks.read_text(), 30)
    second = await run_script(tmp_path / "driver.py", DRIVER, str(tmp_path), "", "1")
    _, err = await second.communicate()
    assert second.returncode == 1
    assert "ResumeError" in err.decode()
    assert "is in use" in err.decode()
    first.kill()
    await first.communicate()
    waits.unlink()
    assert (await driven.run())[0] == 0


def words(_key, line):
    for word in line.split():
        yield word, 1


def other_words(_key, line):
    for word in line.split():
        yield word.lower(), 1


class Broken:
    """Words, until it comes to one that breaks it."""

    def __init__(self, folder: Path) -> None:
        self.marker = str(folder / "broken")

    def __call__(self, _key, line):
        if line.endswith("200") and os.path.exists(self.marker):
            raise ValueError("broken")
        yield from words(None, line)


class BrokenPairs(Broken):
    """Pairs as they are, until it comes to one that breaks it."""

    def __call__(self, key, value):
        if os.path.exists(self.marker):
            raise ValueError("broken")
        yield key, value


class Story:
    """A job in a folder that fails in its middle, until it is mended; nothing of it changes by that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.input, self.output, self.journal = folder / "in.txt", folder / "out", folder / "journal"
        self.input.write_text("".join(f"a w{n % 7} {n}\n" for n in range(240)))
        self.job = Job(mapper=Broken(folder), fold=operator.add, name="story", partitions=3)
        (folder / "broken").touch()

    async def run(self, **changes) -> asyncmr.Report:
        job, output = changes.pop("job", self.job), changes.pop("output", self.output)
        source = changes.pop("source", None) or TextFiles(str(self.input), split_bytes=SPLIT)
        options: dict[str, Any] = {"workers": 1, "executor": "inline", "limits": STAGED}
        options |= {"resume": self.journal} | changes
        return await asyncmr.run(job, source, output, **options)

    async def fail(self) -> None:
        with pytest.raises(MapperError):
            await self.run()

    def mend(self) -> None:
        (self.folder / "broken").unlink()

    def written(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.output.glob("part-*")))

    async def undisturbed(self) -> bytes:
        """What it gives without a journal."""
        await self.run(resume=None, output=self.folder / "undisturbed")
        return b"".join(path.read_bytes() for path in sorted((self.folder / "undisturbed").glob("part-*")))


@pytest.fixture
async def story(tmp_path) -> Story:
    story = Story(tmp_path)
    await story.fail()
    story.mend()
    return story


async def test_a_job_that_failed_goes_on_when_the_cause_is_gone(story):
    assert not list(story.output.glob("part-*"))
    report = await story.run(workers=2, executor="thread")
    assert 5 < report.stages["map"].resumed < report.stages["map"].tasks
    assert report.stages["map"].records_in == 240
    assert story.written() == await story.undisturbed()
    assert not list(story.journal.rglob("*.spill"))


async def test_a_finished_job_is_not_run_again(story):
    first = await story.run()
    before = story.written()
    again = await story.run(job=story.job, workers=2)
    assert again.stages["map"].resumed == again.stages["map"].tasks == first.stages["map"].tasks
    assert again.counters == first.counters
    assert story.written() == before


async def test_a_finished_job_whose_output_is_gone_is_run_from_the_beginning(story):
    await story.run()
    before = story.written()
    shutil.rmtree(story.output)
    report = await story.run()
    assert report.stages["map"].resumed == 0
    assert story.written() == before


def fragile(_key, line):
    if "13" in line:
        raise ValueError("unlucky")
    yield from words(None, line)


def refusing(_key, record):
    raise ValueError("refused")


class BrokenPartitioner(Broken):
    """A part for each key, until it comes to one that breaks it; that is not skipped."""

    def __call__(self, key, partitions):
        if key == "200" and os.path.exists(self.marker):
            raise ValueError("broken")
        return len(key) % partitions


async def test_letters_of_a_job_that_failed_for_them_are_written_anew_when_it_is_resumed(tmp_path):
    """Also where nothing else was committed."""
    story = Story(tmp_path)
    story.job = story.job.replace(mapper=refusing)
    options = {"on_error": "skip", "skip_limit": 0, "dead_letters": tmp_path / "letters"}
    for _ in range(2):
        with pytest.raises(SkipLimitError):
            await story.run(**options)
        assert (tmp_path / "letters").exists()


async def test_what_was_skipped_before_is_told_in_the_end(tmp_path):
    """The same letters, figures and output as without a kill."""
    story = Story(tmp_path)
    story.job = story.job.replace(mapper=fragile, partitioner=BrokenPartitioner(tmp_path))
    options = {"on_error": "skip", "dead_letters": tmp_path / "letters"}
    with pytest.raises(PartitionerError):
        await story.run(**options)
    assert not (tmp_path / "letters").exists()
    story.mend()
    report = await story.run(**options)
    letters = (tmp_path / "letters").read_bytes()
    assert 0 < report.stages["map"].resumed < report.stages["map"].tasks
    whole = await story.run(
        **options | {"dead_letters": tmp_path / "others"}, resume=None, output=tmp_path / "whole"
    )
    assert (report.stages["map"].skipped, report.skipped) == (whole.stages["map"].skipped, whole.skipped)
    assert len(report.skipped) == sum("13" in str(number) for number in range(240))
    assert letters == (tmp_path / "others").read_bytes()
    assert story.written() == b"".join(
        path.read_bytes() for path in sorted((tmp_path / "whole").glob("part-*"))
    )
    again = await story.run(**options)
    assert again.skipped == report.skipped
    assert (tmp_path / "letters").read_bytes() == letters
    with pytest.raises(ResumeError, match="on_error was skip and is fail now"):
        await story.run()


class Unread(TextFiles):
    """Files whose lines nobody may ask for."""

    def splits(self, buffers):
        raise AssertionError("the input of a finished step was read")


async def test_the_input_of_a_finished_step_is_not_read_again(tmp_path):
    story = Story(tmp_path)
    story.job = Job(mapper=words, fold=operator.add, partitions=2).then(
        Job(mapper=BrokenPairs(tmp_path), reducer=total, partitions=2)
    )
    await story.fail()
    with pytest.raises(AssertionError, match="was read"):
        await story.run(source=Unread(str(story.input)), resume=None, output=tmp_path / "other")
    story.mend()
    report = await story.run(source=Unread(str(story.input), split_bytes=SPLIT))
    assert report.stages["1.map"].resumed == report.stages["1.map"].tasks > 5
    assert report.stages["2.map"].resumed < report.stages["2.map"].tasks
    assert story.written() == await story.undisturbed()


async def test_a_job_that_fails_before_anything_is_committed_leaves_nothing(tmp_path):
    story = Story(tmp_path)
    story.input.write_text("a 200\n")
    await story.fail()
    assert not story.journal.exists()
    assert not story.output.exists()


class Waiting:
    """Words, until it comes to one at which it waits to be killed."""

    def __init__(self, story: Story, trail: Trail) -> None:
        self._marker = str(story.folder / "broken")
        self._trail = trail

    def __call__(self, _key, line):
        if line.endswith("200") and os.path.exists(self._marker):
            self._trail.mark()
            while True:
                signal.pause()
        yield from words(None, line)


async def test_a_cancelled_job_goes_on(tmp_path, trail):
    story = Story(tmp_path)
    job = story.job.replace(mapper=Waiting(story, trail))
    running = asyncio.create_task(story.run(job=job, executor="process"))
    await trail.reach(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    story.mend()
    report = await story.run(job=job)
    assert 0 < report.stages["map"].resumed < report.stages["map"].tasks
    assert story.written() == await story.undisturbed()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mapper": words}, r"the mapper was 'Broken' and is 'words' now"),
        ({"fold": max}, r"the fold was 'add' and is 'max' now"),
        ({"fold": None, "reducer": total}, r"the reducer was none and is 'total' now"),
        ({"partitions": 4}, r"partitions was 3 and is 4 now"),
        ({"sort": True}, r"sort was False and is True now"),
        ({"name": "novel"}, r"the job was story and is novel now"),
    ],
)
async def test_the_journal_of_another_job_is_refused(story, changes, reason):
    with pytest.raises(ResumeError, match=reason) as caught:
        await story.run(job=story.job.replace(**changes))
    assert caught.value.path == str(story.journal)
    assert caught.value.differences
    await story.run()


async def test_an_edited_mapper_is_refused(story, monkeypatch):
    monkeypatch.setattr(words, "__code__", other_words.__code__)
    with pytest.raises(ResumeError, match="the mapper 'Broken' has changed since"):
        await story.run()


async def test_another_input_is_refused(story):
    text = story.input.read_text()
    story.input.write_text(text + "more\n")
    with pytest.raises(ResumeError, match=r"in\.txt.* was 2,\d+ bytes, .* and is 2,\d+ bytes"):
        await story.run()


async def test_an_input_that_changed_in_secret_is_refused(story):
    """Its size and time are the same."""
    status = story.input.stat()
    text = story.input.read_text()
    story.input.write_text("b" + text[1:])
    os.utime(story.input, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ResumeError, match="its input is not what it was"):
        await story.run()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"hash_key": 5}, "the key of the hash"),
        ({"spill_compression": "zstd"}, "the compression of blocks was none and is zstd now"),
        ({"limits": Limits(fused=0, least_partitions=3, fan_in=3)}, "the sizes that the stages work with"),
    ],
)
async def test_an_engine_that_would_give_other_blocks_is_refused(story, options, reason):
    with pytest.raises(ResumeError, match=reason):
        await story.run(**options)


async def test_another_output_is_refused(story):
    with pytest.raises(ResumeError, match=r"the output folder was .*out' and is .*new' now"):
        await story.run(output=story.folder / "new")


async def test_another_version_is_refused(story, monkeypatch):
    monkeypatch.setattr(asyncmr, "__version__", "99.9")
    with pytest.raises(ResumeError, match=r"the version of asyncmr was .* and is 99\.9 now"):
        await story.run()


async def test_a_source_that_cannot_say_what_it_is_is_refused(tmp_path):
    story = Story(tmp_path)
    with pytest.raises(UsageError, match="Records has no fingerprint"):
        await story.run(source=asyncmr.records(["a"]))
    assert not story.journal.exists()


async def test_only_runs_have_a_journal(tmp_path):
    async with Engine(workers=1, executor="inline") as engine:
        with pytest.raises(TypeError):
            await engine.collect(Job(mapper=words), [], resume=tmp_path)  # type: ignore[call-arg]


async def test_a_job_without_the_journal_leaves_its_output_alone(story):
    with pytest.raises(OutputError, match="run it again with its --resume"):
        await story.run(resume=None)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
@pytest.mark.parametrize("seed", range(6))
async def test_damaged_files_cost_the_work_that_was_in_them(tmp_path, damage, seed):
    """Blocks, parts, and the database: each region of each file. The job is exact, or says what is damaged."""
    story = Story(tmp_path)
    await story.fail()
    chance = random.Random(f"{seed}{damage}")
    files = [path for path in story.journal.rglob("*") if path.is_file() and path.name != "lock"]
    assert {path.suffix for path in files} >= {".spill", ".sqlite"}
    for path in chance.sample(files, chance.randint(1, len(files))):
        data = bytearray(path.read_bytes())
        if damage == "delete":
            path.unlink()
        elif damage == "truncate":
            path.write_bytes(data[: chance.randrange(len(data) + 1)])
        else:
            for _ in range(20):
                if data:
                    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
    story.mend()
    said = ""
    try:
        await story.run()
    except AsyncMRError as error:
        said = str(error)
    if said:
        assert str(story.folder) in said
    else:
        assert story.written() == await story.undisturbed()


class CancelsAsItOpens(Journal):
    """A journal whose job is cancelled while it is opened."""

    job: asyncio.Task
    loop: asyncio.AbstractEventLoop

    def open(self) -> None:
        super().open()
        self.loop.call_soon_threadsafe(self.job.cancel)


async def test_a_job_that_is_cancelled_while_its_journal_opens_lets_go_of_it(tmp_path):
    (tmp_path / "input").write_text("a line\n")
    journal = CancelsAsItOpens(tmp_path / "journal")
    journal.loop = asyncio.get_running_loop()
    sink = JournaledParts(str(tmp_path / "output"), TextFormat(), journal)
    source = TextFiles(tmp_path / "input")
    async with Engine(workers=1, executor="inline") as engine:
        execute = engine._backend.execute(Job(mapper=passed), source, sink, journal=journal)
        journal.job = asyncio.create_task(execute)
        with pytest.raises(asyncio.CancelledError):
            await journal.job
    again = Journal(tmp_path / "journal")
    again.open()
    again.close()
