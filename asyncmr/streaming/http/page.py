"""GET /: the live page, one file with all that it needs."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response


class Page:
    """The page; `noun` is what it calls a key. Its policy names the hashes of its own script and style; nothing else
    runs, and nothing is loaded."""

    def __init__(self, noun: str) -> None:
        text = files("asyncmr.streaming.http").joinpath("page.html").read_text("utf-8")
        for mark, name in (("{noun}", noun), ("{nouns}", f"{noun}s"), ("{Nouns}", f"{noun}s".capitalize())):
            text = text.replace(mark, escape(name))
        self._html = text.encode()
        self._headers = {
            "Content-Security-Policy": "; ".join((
                "default-src 'none'",
                f"script-src {_hashes(self._html, b'script')}",
                f"style-src {_hashes(self._html, b'style')}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )),
            "Cache-Control": "no-cache",
        }  # fmt: skip

    async def __call__(self, _request: Request) -> Response:
        """The page, without anything of the stream in it."""
        return Response(self._html, headers=self._headers, media_type="text/html")


def _hashes(html: bytes, tag: bytes) -> str:
    found = re.findall(b"<%b>(.*?)</%b>" % (tag, tag), html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in found)
