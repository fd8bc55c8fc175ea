"""bytewax in blocks, nothing durable."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.bytewax_stream import count
from benchmarks.peers.task import Peer

PEER = Peer(
    "bytewax in blocks, nothing durable",
    {"W8": partial(count, form="blocks", durable=False)},
    modules=("bytewax",),
)
