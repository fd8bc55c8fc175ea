"""The blocks of the README and of pages of the docs, and the examples, do what they say.

In each of `PAGES`, ```python and ```bash blocks are run in order, in one empty folder, and a ```text block behind
one is what it prints. A Python block that begins with a comment such as `# words.py` is kept under that name.
```sh blocks are not run: they are about the repository itself.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "docs/async-functions.md",
    "docs/embedding.md",
    "docs/feeds.md",
    "docs/jobs.md",
    "docs/sinks.md",
    "docs/sources-and-sinks.md",
    "docs/state.md",
]


class Block(NamedTuple):
    """A fenced block of a page, and what it should print."""

    language: str
    text: str
    output: str | None


def _blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    behind = [*found[1:], ("", "")]
    return [
        Block(language, text, following if after == "text" else None)
        for (language, text), (after, following) in zip(found, behind, strict=True)
        if language in ("python", "bash")
    ]


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in, the package on the path, and the command as an installed one would be."""
    commands = tmp_path / "bin"
    commands.mkdir()
    made = [("asyncmr", "-m asyncmr"), ("python", "")]
    if shutil.which("nc") is None:
        made.append(("nc", str(ROOT / "tests/netcat.py")))
    for name, arguments in made:
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        command.chmod(0o700)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("PATH", f"{commands}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def _run(*command: str) -> str:
    process = subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True)
    try:
        printed, said = process.communicate(timeout=50)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it began in the background and did not end
        process.wait()
    assert process.returncode == 0, said
    return printed


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_blocks_and_says_what_they_print(page: str) -> None:
    """Guards the extraction: without blocks the next test would promise nothing."""
    blocks = _blocks(page)
    assert len(blocks) >= 2
    assert any(block.output for block in blocks)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs_and_prints_what_is_shown(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {port: _free_port() for port in ("8080", "9000")}
    monkeypatch.setenv("ASYNCMR_LISTEN", f"127.0.0.1:{ports['8080']}")
    for number, block in enumerate(_blocks(page)):
        if block.language == "bash":
            text = re.sub("|".join(ports), lambda port: ports[port[0]], block.text)
            printed = _run("bash", "-euo", "pipefail", "-c", text)
        else:
            name = re.match(r"# (\w+\.py)\n", block.text)
            script = Path(name[1] if name else f"block_{number}.py")
            script.write_text(block.text)
            printed = _run(sys.executable, str(script))
        if block.output is not None:
            assert printed == block.output, f"block {number}:\n{block.text}"


def test_the_word_count_example_shows_the_most_frequent_words() -> None:
    Path("in.txt").write_text("to be or not to be that is to be\n")
    lines = _run(sys.executable, str(ROOT / "examples/word_count.py"), "in.txt").splitlines()
    assert [line.split() for line in lines[1:3]] == [["3", "to"], ["3", "be"]]
    assert "10 words, 6 of them different" in lines


def test_the_inverted_index_example_lists_the_documents_of_each_word() -> None:
    Path("in.tsv").write_text("b\tTo be\na\tto be or not\n")
    _run(sys.executable, str(ROOT / "examples/inverted_index.py"), "in.tsv", "out")
    lines = [line for part in Path("out").glob("part-*") for line in part.read_text().splitlines()]
    assert sorted(lines) == ["be\ta b", "not\ta", "or\ta", "to\ta b"]


def test_the_async_application_keeps_beating() -> None:
    Path("in.txt").write_text("to be or not to\n" * 20_000)
    printed = _run(sys.executable, str(ROOT / "examples/in_an_async_app.py"), "in.txt")
    assert "the most frequent of 4 words is 'to', 40,000 times" in printed
    beats = re.search(r"(\d+) heartbeats", printed)
    assert beats is not None
    assert int(beats[1]) > 0


def test_the_async_fetch_example_counts_what_it_could_fetch() -> None:
    printed = _run(sys.executable, str(ROOT / "examples/async_fetch.py"))
    assert printed.startswith("many 100\nof 100\npage 100\n102 pages, 6 attempts in vain, 2 left out:")
    assert "/slow TaskTimeout\n  /missing ConnectionError" in printed
