from __future__ import annotations

import pytest

from asyncmr.errors import UsageError
from asyncmr.streaming.feeds.spec import feed_of


@pytest.mark.parametrize(
    ("spec", "name", "guarantee"),
    [
        ("tail:/var/log/x", "tail:/var/log/x", "exactly-once"),
        ("dir:/srv/in/", "dir:/srv/in", "exactly-once"),
        ("stdin:", "stdin:", "at-most-once"),
        ("-", "stdin:", "at-most-once"),
        ("tcp://127.0.0.1:9000", "tcp://127.0.0.1:9000", "at-most-once"),
        ("tcp://[::1]:9000", "tcp://[::1]:9000", "at-most-once"),
        ("unix:/run/words.sock", "unix:/run/words.sock", "at-most-once"),
    ],
)
def test_a_feed_says_what_it_is(spec, name, guarantee):
    feed = feed_of(spec)
    assert (feed.name, feed.guarantee) == (name, guarantee)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "kafka:x",
            "'kafka:x' is no source of a stream; write tail:PATH, dir:PATH, stdin:, tcp://HOST:PORT or unix",
        ),
        ("tail:", "'tail:' names no path; write tail:PATH"),
        ("tail:/tmp", "'tail:/tmp': that is a folder; write dir:/tmp"),
        ("dir:/etc/passwd", "'dir:/etc/passwd': that is a file; write tail:/etc/passwd"),
        ("/etc/passwd", "is no source of a stream; .* for the file, write tail:/etc/passwd"),
        ("stdin:x", "standard input has no path; write stdin:, or tail:x"),
        ("tcp://:9000", "'tcp://:9000' is no address; write tcp://HOST:PORT"),
        ("tcp:9000", "'tcp:9000' is no address; write tcp://HOST:PORT"),
        ("tcp://127.0.0.1:90000", "Port out of range 0-65535; write tcp://HOST:PORT"),
        ("tcp://0.0.0.0:9000", "others than this machine can connect to '0.0.0.0', so a token is needed"),
    ],
)
def test_what_is_no_feed_is_refused_with_what_would_be(spec, message):
    with pytest.raises(UsageError, match=message):
        feed_of(spec)


def test_another_address_will_do_with_a_token():
    assert feed_of("tcp://0.0.0.0:9000", token="secret").name == "tcp://0.0.0.0:9000"
