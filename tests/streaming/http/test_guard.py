"""Who may ask: not other pages, not other names, nobody without the token."""

from __future__ import annotations

import pytest

from tests.streaming.http.client import request

TOKEN = b"0123456789abcdef"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:80", "localhost.", "stats.example"]
)
async def test_a_name_of_ours_is_answered(serve, host):
    async with serve(names=["stats.example"]) as service:
        assert (await service.get("/v1/top", Host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "evil@localhost"]
)
async def test_a_name_that_was_rebound_to_us_is_not(service, host):
    answer = await service.get("/v1/top", Host=host)
    assert answer.status == 421
    assert set(answer.json) == {"error"}


async def test_a_request_with_no_host_or_with_two_is_not(service):
    assert (await service.raw(b"GET /v1/top HTTP/1.0\r\n\r\n")).status == 421
    assert (await service.raw(b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n")).status == 400


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "localhost", "http://localhost/"]
)
async def test_another_page_may_not_ask(service, origin):
    assert (await service.post(b"to be\n", Origin=origin)).status == 403
    assert service.view.epoch == 0


async def test_the_page_itself_may_ask(service):
    assert (
        await service.post(b"to be\n", Origin="http://localhost", Sec_Fetch_Site="same-origin")
    ).status == 202


async def test_a_script_of_another_page_may_not_load_anything_and_a_link_may_lead_here(service):
    assert (await service.get("/v1/top", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")).status == 403
    assert (await service.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")).status == 200


async def test_the_token_opens_everything_but_the_page_and_the_health(serve):
    async with serve(token=TOKEN) as service:
        for path in ("/v1/top", "/v1/subscribe", "/metrics", "/nothing", "/v1/count/a"):
            refused = await service.get(path)
            assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="asyncmr"')
        for path in ("/", "/healthz", "/readyz"):
            assert (await service.get(path)).status == 200
        assert (await service.get("/v1/top", Authorization=f"Bearer {TOKEN.decode()}")).status == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "Bearer \xe9"]
)
async def test_another_token_opens_nothing(serve, given):
    async with serve(token=TOKEN) as service:
        assert (await service.get("/v1/top", Authorization=given)).status == 401
        assert (await service.post(b"to be\n", Authorization=given)).status == 401


async def test_every_answer_forbids_what_a_browser_would_do_with_it(service):
    for path in ("/", "/v1/top", "/nothing", "/metrics"):
        headers = (await service.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        assert "server" not in headers


async def test_what_a_client_writes_cannot_write_a_line_of_the_log(service, caplog):
    caplog.set_level("DEBUG", "asyncmr.http")
    await service.get("/x%0aERROR%20forged%1b[31m")
    (record,) = [record for record in caplog.records if record.name == "asyncmr.http"]
    assert record.getMessage().startswith("GET /x\\nERROR forged\\x1b[31m: 404")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        request("GET", "/v1/top", {"X": "y" * 20_000}),
        b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000,
        request("POST", "/v1/ingest", {"Content-Length": "x"}),
        request("POST", "/v1/ingest", {"Content-Length": "1", "Transfer-Encoding": "what"}),
        request("POST", "/v1/ingest", {"Transfer-Encoding": "chunked"}) + b"zz\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_told_so(service, data):
    answer = await service.raw(data)
    assert answer.status in (400, 431, 501)
    assert set(answer.json) == {"error"}
    assert (await service.get("/healthz")).status == 200
