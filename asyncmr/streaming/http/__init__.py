"""A stream over HTTP: lines in, answers, subscriptions, metrics and a live page.

Read `application.py` first (the routes), then `guard.py` and `connections.py` (who may ask, and for how long),
`ingest.py` with `push_feed.py` (the way in), `answers.py`, `broadcast.py` and `subscribe.py` (the ways out). Needs
`asyncmr[web]`.
"""

from __future__ import annotations

from asyncmr.streaming.http.application import Application, application
from asyncmr.streaming.http.limits import Limits
from asyncmr.streaming.http.push_feed import PushFeed
from asyncmr.streaming.http.serving import Address, serving
from asyncmr.streaming.http.token_file import read_token

__all__ = [
    "Address",
    "Application",
    "Limits",
    "PushFeed",
    "application",
    "read_token",
    "serving",
]
