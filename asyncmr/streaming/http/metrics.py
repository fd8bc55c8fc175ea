"""GET /metrics, for Prometheus. No label is a word, a path or a peer: there are as many series tomorrow as today."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from asyncmr.streaming.http.broadcast import Broadcast
from asyncmr.streaming.http.connections import Lobby
from asyncmr.streaming.http.push_feed import PushFeed
from asyncmr.streaming.view import StreamStats, View

_METHODS = frozenset({"GET", "HEAD", "POST"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_OF_OURS = re.compile(r"[a-z][a-z0-9_.-]{0,31}")


class Metrics:
    """What Prometheus is told. `route_of`: the route that answered a request, as it is written down in the program."""

    def __init__(
        self,
        view: View,
        broadcast: Broadcast,
        lobby: Lobby,
        feed: PushFeed | None,
        route_of: Callable[[Scope], str],
    ) -> None:
        self._view = view
        self._broadcast = broadcast
        self._lobby = lobby
        self._feed = feed
        self._route_of = route_of
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "asyncmr_http_requests", "Answers given.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "asyncmr_http_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._registry.register(self)

    async def __call__(self, _request: Request) -> Response:
        """All of them, as they are now."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Counts an answer. `status`: 0 when the client had gone before there was one."""
        route = self._route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        if route != "/v1/subscribe":  # it takes as long as somebody watches
            self._seconds.labels(route).observe(seconds)

    def describe(self) -> Iterator[Metric]:
        """None ahead of time: what `collect` gives is known only once the stream runs."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        yield from _of_stream(self._view.stats())
        lobby = self._lobby
        yield _counter("http_connections_refused", "Connections that found no room.", lobby.refused)
        yield _counter("http_connections_evicted", "Idle connections that made room.", lobby.evicted)
        yield _counter(
            "http_connections_timed_out", "Connections whose request came too slowly.", lobby.timed_out
        )
        yield _gauge("http_subscribers", "Clients that are subscribed.", self._broadcast.subscribers)
        yield _counter(
            "http_subscribers_dropped", "Subscribers that read too slowly.", self._broadcast.dropped
        )
        if self._feed is not None:
            yield _gauge("ingest_held_bytes", "Lines taken in and not yet durable.", self._feed.held)
            yield _gauge("ingest_capacity_bytes", "How much of that there may be.", self._feed.capacity)


def _of_stream(stats: StreamStats) -> Iterator[Metric]:
    yield _counter("stream_records", "Records in committed epochs, since the state was made.", stats.records)
    yield _counter("stream_bytes", "Bytes of those records.", stats.bytes)
    yield _counter("stream_pairs", "What the mapper made of them: of a word count, the words.", stats.pairs)
    yield _counter("stream_late_records", "Records that came behind the watermark.", stats.late)
    yield _counter("stream_skipped_records", "Records on which the mapper failed.", stats.skipped)
    yield _gauge("stream_overflow_keys", "Keys that found no room, about so many.", stats.overflow)
    yield _gauge("stream_commit_seconds", "What the last commit took.", stats.commit_seconds)
    yield _gauge("stream_epoch", "The last committed epoch.", stats.epoch)
    yield _gauge("stream_keys", "Keys in the state.", stats.keys)
    yield _gauge("stream_state_bytes", "Size of the state.", stats.state_bytes)
    if stats.committed_at is not None:
        yield _gauge(
            "stream_committed_timestamp_seconds", "When the last epoch was committed.", stats.committed_at
        )
    if stats.watermark is not None:
        yield _gauge(
            "stream_watermark_timestamp_seconds", "No record older than this is expected.", stats.watermark
        )
    fill = GaugeMetricFamily(
        "asyncmr_stream_queue_ratio", "How full a queue is: 1 is full.", labels=["queue"]
    )
    fullest: dict[str, float] = {}
    for queue in stats.queues:
        name = _label(queue.name)
        fullest[name] = max(fullest.get(name, 0.0), queue.held / max(1, queue.capacity))
    for name, ratio in fullest.items():
        fill.add_metric([name], ratio)
    yield fill
    kinds: Tally[str] = Tally(_label(source.name.partition(":")[0]) for source in stats.sources)
    sources = GaugeMetricFamily("asyncmr_stream_sources", "Sources of a kind.", labels=["kind"])
    for kind, number in kinds.items():
        sources.add_metric([kind], number)
    yield sources
    lags: Tally[str] = Tally()
    for source in stats.sources:
        if source.lag is not None:
            lags[_label(source.name.partition(":")[0])] += source.lag
    lag = GaugeMetricFamily(
        "asyncmr_stream_source_lag_bytes", "Bytes not read yet, by kind.", labels=["kind"]
    )
    for kind, number in lags.items():
        lag.add_metric([kind], number)
    yield lag


def _label(text: str) -> str:
    """Text that can only be a name of ours."""
    return text if _OF_OURS.fullmatch(text) else "other"


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"asyncmr_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"asyncmr_{name}", text, value=value)
