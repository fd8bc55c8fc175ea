"""What a client of the HTTP server may take, so that none takes it from the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, seconds and numbers.

    `connections`: open at once; when there are more, one that has no request under way makes room. `header_bytes`: of
    one request; `header_seconds`: until they are complete, from the connection or the answer before on. `body_bytes`:
    of a request as sent; `text_bytes`: of its lines, which gzip may have made more of, by `gzip_ratio` at most.
    `piece_seconds`: between two pieces of a body; `body_seconds`: for all of it. `commit_seconds`: how long an ingest
    waits to be durable. `answer_seconds`: for any other answer. `write_seconds`: how long a client may leave unread
    what was sent to it. `subscribers`: at once; `subscriber_bytes`: may wait for one of them; `replay_bytes`: of past
    events, for those who come back. `most`: the largest `k`.
    """

    connections: int = 512
    header_bytes: int = 16 << 10
    header_seconds: float = 10.0
    body_bytes: int = 4 << 20
    text_bytes: int = 4 << 20
    gzip_ratio: int = 200  # deflate makes at most 1,032 of 1; logs, which repeat themselves, 10 to 30
    piece_seconds: float = 10.0
    body_seconds: float = 60.0
    commit_seconds: float = 30.0
    answer_seconds: float = 30.0
    write_seconds: float = 15.0
    subscribers: int = 64
    subscriber_bytes: int = 1 << 20
    replay_bytes: int = 4 << 20
    most: int = 1_000
