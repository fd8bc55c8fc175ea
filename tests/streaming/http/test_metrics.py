"""Prometheus reads the metrics, and finds no word, path or peer among their labels."""

from __future__ import annotations

import asyncio
import shutil
from subprocess import PIPE

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncmr.streaming.view import QueueInfo


async def samples(service) -> dict[str, list]:
    answer = await service.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family.samples for family in text_string_to_metric_families(answer.body.decode())}


async def test_the_stream_is_described(service):
    service.view.add({"be": 1})
    service.view.records = 7
    found = await samples(service)
    assert found["asyncmr_stream_records"][0].value == 7
    assert found["asyncmr_stream_keys"][0].value == 1
    assert (found["asyncmr_stream_queue_ratio"][0].labels, found["asyncmr_stream_queue_ratio"][0].value) == (
        {"queue": "mapper"}, 0.25,
    )  # fmt: skip


async def test_nothing_from_outside_becomes_a_label(service):
    service.view.queues = (QueueInfo('evil"} 1\nforged 1', 1, 1),)
    await service.get("/v1/count/aword")
    await service.get("/a/path?with=query")
    await service.raw(b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n")
    text = (await service.get("/metrics")).body.decode()
    assert 'route="/v1/count"' in text
    assert 'kind="tail"' in text
    for outside in ("aword", "query", "BREW", "pot", "secret", "127.0.0.1", "forged"):
        assert outside not in text


async def test_requests_are_counted_by_what_became_of_them(service):
    for path in ("/v1/top", "/v1/top", "/v1/top?k=x"):
        await service.get(path)
    found = (await samples(service))["asyncmr_http_requests"]
    counted = {
        tuple(sample.labels.values()): sample.value for sample in found if sample.name.endswith("_total")
    }
    assert counted["GET", "/v1/top", "200"] == 2
    assert counted["GET", "/v1/top", "400"] == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
async def test_promtool_has_nothing_to_say(service):
    text = (await service.get("/metrics")).body
    promtool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    _, said = await promtool.communicate(text)
    assert (promtool.returncode, said) == (0, b"")
