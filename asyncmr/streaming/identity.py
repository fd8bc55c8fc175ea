"""What the state of a stream is bound to: all that decides what its accumulators mean, and where they are."""

from __future__ import annotations

from asyncmr.job import Job
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.pipeline.fingerprint import PYTHON, described, encoding
from asyncmr.protocols import Decoder
from asyncmr.streaming.mapping import key_groups
from asyncmr.streaming.windowing import Windowing

__all__ = ["PYTHON", "TIME", "WINDOWS", "identity_of", "python"]

WINDOWS = "the windows"
TIME = "the time of a record"


def identity_of(job: Job, windowing: Windowing, decoder: Decoder, hasher: KeyHasher) -> dict[str, str]:
    """What a state of this stream is bound to, in words: each with its value."""
    return {
        **encoding(hasher),
        **described(job),
        "the number of key groups": str(key_groups(job)),
        "the format of the input": repr(decoder),
        **windowing.fingerprint(),
    }


def python() -> str:
    """This Python, as an identity has it."""
    return encoding(KeyHasher())[PYTHON]
