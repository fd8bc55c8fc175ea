"""Whether an output is right."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.checking import Checksum, is_ordered, lines_of, output_files, verdict

LINES = st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line))


@given(LINES, st.randoms())
def test_the_checksum_does_not_depend_on_the_order(lines, rng):
    shuffled = lines[:]
    rng.shuffle(shuffled)
    assert Checksum.of(shuffled) == Checksum.of(lines)


@given(LINES, LINES)
def test_the_checksum_depends_on_every_line(left, right):
    assert (Checksum.of(left) == Checksum.of(right)) == (sorted(left) == sorted(right))


def test_lines_end_at_newlines_only(tmp_path: Path):
    (tmp_path / "part-0").write_bytes(b"a\r\nb\x0cc\n\nlast")
    assert list(lines_of(tmp_path / "part-0")) == [b"a\r", b"b\x0cc", b"", b"last"]


def test_an_output_is_its_part_files_in_order(tmp_path: Path):
    for name in ("part-00001", "part-00000", "_SUCCESS", ".part-00000.crc", "part-00002.crc"):
        (tmp_path / name).touch()
    assert [path.name for path in output_files(tmp_path)] == ["part-00000", "part-00001"]


def test_the_verdict_names_what_is_wrong(tmp_path: Path):
    (tmp_path / "part-00000").write_bytes(b"bbbbbbbbbb 1\n")
    (tmp_path / "part-00001").write_bytes(b"aaaaaaaaaa 2\n")
    right = Checksum.of([b"aaaaaaaaaa 2", b"bbbbbbbbbb 1"])
    assert verdict(tmp_path, right, ordered=False) == ""
    assert verdict(tmp_path, right, ordered=True) == "wrong output: the right lines, but not in order"
    assert verdict(tmp_path, Checksum.of([b"a"]), ordered=False).startswith("wrong output: checksum")


def test_equal_keys_are_in_order(tmp_path: Path):
    (tmp_path / "part-00000").write_bytes(b"aaaaaaaaaa 2\naaaaaaaaaa 1\n")
    assert is_ordered(output_files(tmp_path))
