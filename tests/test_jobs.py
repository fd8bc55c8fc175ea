"""The ready-made word count counts what `str.split` finds in each line, by every way there is."""

import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr import jobs
from asyncmr.jobs import wordcount, words, words_by_arrow, words_of_records

LINE = st.text(
    "ab \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000\ufeff\u180e\u200b\u00e9\0"
)
BLOCK = st.one_of(LINE.map(str.encode), st.text().map(str.encode), st.binary())


def expected(block):
    """Counted line by line, as a mapper would."""
    lines = block.decode("utf-8", "replace").split("\n")
    return Counter(word for line in lines for word in line.split())


@given(BLOCK)
def test_words(block):
    found, nothing = words(None, block)
    assert (Counter(found), nothing) == (expected(block), None)


@given(st.lists(LINE))
def test_words_of_records(records):
    found, nothing = words_of_records(None, records)
    assert (Counter(found), nothing) == (Counter(word for line in records for word in line.split()), None)


@given(BLOCK, st.integers(1, 9))
@settings(deadline=None)  # the first example imports pyarrow
def test_words_by_arrow(block, piece):
    pytest.importorskip("pyarrow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "_WORTH_ARROW", 0)
        patch.setattr(jobs, "_PIECE", piece)
        got = words_by_arrow(None, block)
    assert got == expected(block)


def test_arrow_takes_for_white_space_what_python_does_in_all_of_unicode(monkeypatch):
    """Its library has a Unicode database of its own; that of this Python may be older or newer."""
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(jobs, "_WORTH_ARROW", 0)
    characters = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    block = "\n".join(f"{ord(character):x}a{character}b" for character in characters).encode()
    assert words_by_arrow(None, block) == expected(block)


def test_little_text_is_not_worth_an_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert words_by_arrow(None, b"a b a\n") == {"a": 2, "b": 1}


def test_the_job_uses_arrow_where_it_is_installed():
    pytest.importorskip("pyarrow")
    assert vars(wordcount)["mapper"] is words_by_arrow
