"""bytewax, a state for each word, with recovery."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.bytewax_stream import count
from benchmarks.peers.task import Peer

PEER = Peer(
    "bytewax, a state for each word, with recovery",
    {"W8": partial(count, form="words", durable=True)},
    modules=("bytewax",),
)
