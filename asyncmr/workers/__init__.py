"""Supervised workers behind `await`: sessions on programs, in processes, threads or inline.

The host side: `pool.py` owns the workers and shares them out (`fairness.py`), `session.py` is one conversation
with one worker, `slot.py` one worker process, `executor.py` calls it over a socket (`wire.py`), `threads.py` the
two executors without processes, `segments.py` the shared input buffers, `program.py` what a worker is sent to
run, `descriptors.py` what workers need of the host's open files, `output.py` what they print and log, `failures.py` and
`memory_kills.py` why one died.
The worker side: `entry.py` starts the child, `worker.py` answers the calls of the host, `running.py` advances the
generators, `redirection.py` and `forwarding.py` send what they print and log.

Names are loaded on first use, since every worker process imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmr.lazy import loading

if TYPE_CHECKING:
    from asyncmr.workers.failures import RemoteError, SlotDied, SlotTimeout
    from asyncmr.workers.fairness import Account
    from asyncmr.workers.output import Said
    from asyncmr.workers.pool import Pool, PoolStats
    from asyncmr.workers.program import Program
    from asyncmr.workers.segments import Segment, SegmentRange, Segments
    from asyncmr.workers.session import Buffer, Reply, Session
    from asyncmr.workers.wire import Received

__all__ = [
    "Account",
    "Buffer",
    "Pool",
    "PoolStats",
    "Program",
    "Received",
    "RemoteError",
    "Reply",
    "Said",
    "Segment",
    "SegmentRange",
    "Segments",
    "Session",
    "SlotDied",
    "SlotTimeout",
]

_HOME = {
    "Account": "workers.fairness",
    "Buffer": "workers.session",
    "Pool": "workers.pool",
    "PoolStats": "workers.pool",
    "Program": "workers.program",
    "Received": "workers.wire",
    "RemoteError": "workers.failures",
    "Reply": "workers.session",
    "Said": "workers.output",
    "Segment": "workers.segments",
    "SegmentRange": "workers.segments",
    "Segments": "workers.segments",
    "Session": "workers.session",
    "SlotDied": "workers.failures",
    "SlotTimeout": "workers.failures",
}

__getattr__ = loading(__name__, _HOME)
