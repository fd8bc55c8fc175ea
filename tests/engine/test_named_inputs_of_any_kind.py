"""Named inputs of every kind, and lines among them that are no JSON."""

from __future__ import annotations

import json

import pytest

import asyncmr
from asyncmr import Engine, Job, RecordError
from tests.family import listed


def of_user(_key, line):
    number, name = line.split(",")
    yield int(number), name


def of_order(_key, order):
    yield order["user"], order["sum"]


def of_document(path, text):
    yield int(text), "document"


JOB = Job(mapper={"users": of_user, "orders": of_order, "notes": of_document}, reducer=listed)


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "users").write_text("1,ann\n2,bob\n")
    (tmp_path / "orders").write_text('{"user": 2, "sum": 5}\n{oops\n{"user": 1, "sum": 7}\n')
    (tmp_path / "note").write_text("2")
    return {
        "users": tmp_path / "users",
        "orders": asyncmr.json_lines(tmp_path / "orders"),
        "notes": asyncmr.documents(tmp_path / "note"),
    }


async def test_a_line_that_is_no_json_is_told_with_its_place(engine, sources):
    with pytest.raises(RecordError, match=r"orders, line 2"):
        await engine.collect(JOB, sources)


async def test_a_line_that_is_no_json_is_left_out(limits, sources, tmp_path):
    async with Engine(workers=2, limits=limits, on_error="skip") as engine:
        result = await engine.collect(JOB, sources, dead_letters=tmp_path / "letters")
    assert dict(result) == {1: ["ann", 7], 2: ["bob", 5, "document"]}
    (letter,) = map(json.loads, (tmp_path / "letters").read_text().splitlines())
    assert (letter["line"], letter["record"]) == (2, "{oops")
