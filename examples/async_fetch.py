"""Fetches pages, many at a time, and counts the words in them.

The mapper is an `async def`: it runs on the event loop and waits for the network. What it gives is counted in worker
processes. The pages come from a small server that this file starts itself: one of them is slow, one fails at first,
and one is not there.

    python examples/async_fetch.py
"""

import asyncio
import operator
from collections import Counter
from urllib.parse import urlsplit

import asyncmr

PAGES = {f"/page-{number}": f"page {number} of many pages" for number in range(1, 101)}


async def fetch(_key, url):
    """The words of a page. Whatever it raises is tried again; in the end the page is left out."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(f"GET {place.path} HTTP/1.0\r\nHost: {place.hostname}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    status = int(head.split(None, 2)[1])
    asyncmr.counter("http", str(status)).increment()
    if status != 200:
        raise ConnectionError(f"{url} answered {status}")
    return Counter(body.decode().split()).items()


job = asyncmr.Job(mapper=fetch, fold=operator.add, concurrency=20, name="fetch")


class Server:
    """Serves the pages."""

    def __init__(self) -> None:
        self._asked = Counter[str]()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self._asked[path] += 1
            if path == "/slow":
                await reader.read()  # says nothing until the client goes away
            busy = path == "/page-7" and self._asked[path] < 3
            status = 503 if busy else 200 if path in PAGES else 404
            writer.write(f"HTTP/1.0 {status}\r\n\r\n{PAGES.get(path, '')}".encode())
        finally:
            writer.close()


async def main() -> None:
    server = await asyncio.start_server(Server().answer, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    paths = [*PAGES, "/slow", "/missing"]
    urls = asyncmr.records([f"http://localhost:{port}{path}" for path in paths])
    async with server, asyncmr.Engine(retries=2, task_timeout=0.5, on_error="skip") as engine:
        result = await engine.collect(job, urls)
    for word, count in sorted(result, key=lambda pair: (-pair[1], pair[0]))[:3]:
        print(word, count)
    stage = result.report.stages["map"]
    print(f"{stage.records_in} pages, {stage.retries} attempts in vain, {stage.skipped} left out:")
    for skipped in result.report.skipped:
        print(" ", urlsplit(skipped.record or "").path, skipped.error)


if __name__ == "__main__":
    asyncio.run(main())
