"""The contenders, one a file. Each file has a `PEER`; its imports of other packages happen inside its functions, so
that the list can be had where they are not installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from shutil import which

from benchmarks.peers.task import Peer, Task, Unsupported

__all__ = ["NAMES", "Peer", "Task", "Unsupported", "missing", "peer"]

NAMES = (
    "asyncmr_classic",
    "asyncmr_fold",
    "asyncmr_builtin",
    "pool_classic",
    "pool_fold",
    "pool_expert",
    "plain",
    "joblib",
    "pymapreduce",
    "dask",
    "ray",
    "pyspark",
    "bytewax",
    "mrjob",
    "duckdb",
    "polars",
    "gnu_sort",
    "asyncmr_tail",
    "asyncmr_tail_fold",
    "asyncmr_tcp",
    "pool_stream",
    "bytewax_blocks",
    "bytewax_blocks_durable",
    "bytewax_stateful",
)


def peer(name: str) -> Peer:
    """The contender of that name."""
    found: Peer = import_module(f"benchmarks.peers.{name}_peer").PEER
    return found


def missing(found: Peer) -> list[str]:
    """What a contender needs and this environment does not have."""
    modules = [name for name in found.modules if find_spec(name) is None]
    return modules + [command for command in found.commands if which(command) is None]
