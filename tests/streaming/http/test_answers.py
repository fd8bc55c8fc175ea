"""What the server answers, over real connections."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest

from asyncmr.errors import ClosedError, UsageError


async def test_the_most_frequent_words_come_first(service):
    service.view.add({"to": 2, "be": 2, "or": 1})
    answer = await service.get("/v1/top?k=2")
    assert answer.status == 200
    assert answer.json == {
        "top": [{"key": "be", "value": 2}, {"key": "to", "value": 2}], "k": 2, "window": None, "epoch": 1,
    }  # fmt: skip


async def test_an_epoch_is_asked_once_for_the_same_top(service):
    service.view.add({"to": 2})
    await asyncio.gather(*(service.get("/v1/top?k=5") for _ in range(5)))
    assert service.view.asked == 1
    service.view.add({"to": 1})
    assert (await service.get("/v1/top?k=5")).json["top"] == [{"key": "to", "value": 3}]


@pytest.mark.parametrize(
    "word", ["be", "a/b", "..", "<script>", "é", "a b", "%", "\r\nSet-Cookie: x=1", "\0"]
)
async def test_a_word_is_counted_whatever_it_is_made_of(service, word):
    service.view.add({word: 3})
    answer = await service.get(f"/v1/count/{quote(word, safe='')}")
    assert answer.json == {"key": word, "count": 3, "window": None}
    assert "set-cookie" not in answer.headers


async def test_a_word_that_never_came_was_counted_no_times(service):
    assert (await service.get("/v1/count/never")).json["count"] == 0


async def test_the_windows_and_the_statistics_are_told(service):
    service.view.add({"be": 1})
    assert (await service.get("/v1/windows")).json == {
        "windows": [{"start": None, "end": None, "keys": 1, "exact": True, "state": "open"}]
    }
    assert (await service.get("/v1/stats")).json["queues"] == [
        {"name": "mapper", "held": 25, "capacity": 100}
    ]


@pytest.mark.parametrize(
    "query", ["k=0", "k=1001", "k=x", "k=-1", "k=99999999999", "k=²", "window=x", "window=nan"]
)
async def test_a_question_without_sense_is_refused(service, query):
    answer = await service.get(f"/v1/top?{query.replace('²', '%C2%B2')}")
    assert answer.status == 400
    assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/", "/v1/top/", "/../etc/passwd", "/..%2f..%2fetc/passwd", "//x/"]
)
async def test_there_is_nothing_else(service, path):
    answer = await service.get(path)
    assert answer.status == 404
    assert set(answer.json) == {"error"}
    assert "location" not in answer.headers


async def test_a_method_that_is_not_meant_is_refused(service):
    for answer, allowed in (
        (await service.post(b"", "/v1/top"), "GET"),
        (await service.get("/v1/ingest"), "POST"),
    ):
        assert answer.status == 405
        assert allowed in answer.json["error"]


async def test_an_error_of_the_stream_is_not_told_to_everybody(service, monkeypatch, caplog):
    async def fails(k, window=None):
        raise OSError("could not read /home/somebody/state")

    monkeypatch.setattr(service.view, "top", fails)
    answer = await service.get("/v1/top")
    assert answer.status == 500
    assert "somebody" not in answer.body.decode()
    assert "somebody" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UsageError("this stream has no windows"), 400, "this stream has no windows"),
        (ClosedError("of /home/somebody"), 503, "try again"),
    ],
)
async def test_what_the_stream_refuses_is_refused(service, monkeypatch, error, status, text):
    async def refuses(k, window=None):
        raise error

    monkeypatch.setattr(service.view, "top", refuses)
    answer = await service.get("/v1/top?window=3")
    assert (answer.status, text in answer.json["error"], b"somebody" in answer.body) == (status, True, False)


async def test_a_stream_that_is_ending_is_healthy_and_not_ready(service):
    assert (await service.get("/readyz")).status == 200
    service.app.ready = False
    assert (await service.get("/readyz")).status == 503
    assert (await service.get("/healthz")).status == 200
    answer = await service.post(b"to be\n")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
