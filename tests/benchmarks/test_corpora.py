"""The inputs, and what is right for them."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import corpora, functions, oracle
from benchmarks.checking import Checksum

SIZE = 100_000


def text(paths: list[Path]) -> bytes:
    return b"".join(path.read_bytes() for path in paths)


@pytest.mark.parametrize("kind", corpora.KINDS)
def test_a_corpus_is_whole_lines_of_the_size_asked_for(kind, tmp_path: Path):
    made = text(corpora.corpus(tmp_path, kind, SIZE))
    assert made.endswith(b"\n")
    assert kind == "tasks" or SIZE - 4096 < len(made) <= SIZE


@pytest.mark.parametrize("kind", ["documents", "log", "hot"])
def test_a_small_corpus_is_the_beginning_of_a_large_one(kind, tmp_path: Path):
    small = text(corpora.corpus(tmp_path, kind, SIZE))
    assert text(corpora.corpus(tmp_path, kind, 2 * SIZE)).startswith(small)


def test_processes_make_the_same_blocks_as_one_process(tmp_path: Path):
    made = text(corpora.corpus(tmp_path, "records", 5_000_000))
    assert made == b"".join(map(corpora._records, range(3)))[:5_000_000]


def test_a_corpus_is_made_once(tmp_path: Path):
    (first,) = corpora.corpus(tmp_path, "records", SIZE)
    first.write_text("kept\n")
    assert text(corpora.corpus(tmp_path, "records", SIZE)) == b"kept\n"


def test_files_have_at_most_their_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(corpora, "FILE_SIZE", 30_000)
    paths = corpora.corpus(tmp_path, "log", SIZE)
    assert len(paths) == 4
    assert all(path.stat().st_size <= 30_000 and path.read_bytes().endswith(b"\n") for path in paths)


def test_a_file_that_ends_where_a_block_does_is_not_the_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(corpora, "FILE_SIZE", len(corpora._records(0)))
    made = corpora.corpus(tmp_path, "records", 3 * corpora.FILE_SIZE)
    assert [path.stat().st_size for path in made] == [corpora.FILE_SIZE] * 3


def test_one_key_is_hot_or_every_key_is_unique(tmp_path: Path):
    def keys(kind: str) -> Counter[bytes]:
        return Counter(
            line.split(b"\t")[0] for line in text(corpora.corpus(tmp_path, kind, SIZE)).splitlines()
        )

    assert keys("hot").most_common(1) == [(b"the hot key", 990)]
    assert set(keys("unique").values()) == {1}


@pytest.mark.parametrize(
    ("work", "kind", "lines", "right"),
    [
        ("W1", "words", b"a b\nb\n", [b"a\t1", b"b\t2"]),
        ("W2", "documents", b"3\ta b a\n11\tb\n", [b"a\t3", b"b\t3 11"]),
        ("index", "documents", b"3\ta b a\n11\tb\n", [b"a\t1 3", b"b\t2 14"]),
        (
            "W3",
            "log",
            b'{"user": "u", "bytes": 1}\n{"user": "u", "bytes": 2}\n',
            [b"u\t3 1.500 2"],
        ),
        ("W4", "records", b"b\na\n", [b"a", b"b"]),
        ("hot", "hot", b"k\t000002..\nj\t000001..\nk\t000003..\n", [b"k\t2 5", b"j\t1 1"]),
    ],
)
def test_the_oracle_knows_what_is_right(work, kind, lines, right, tmp_path: Path):
    (tmp_path / kind).mkdir()
    (tmp_path / kind / "part-00000.txt").write_bytes(lines)
    assert oracle.expected([tmp_path / kind / "part-00000.txt"], work) == Checksum.of(right)


def test_the_oracle_of_the_tasks_agrees_with_the_loop():
    (found,) = oracle._burnt([b"17"])
    ((line, state),) = functions.burn("17")
    assert found == f"{line}\t{state}".encode()
