"""What the steps of a job run on."""

from __future__ import annotations

from dataclasses import dataclass

from asyncmr.kernel.hashing import KeyHasher
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.programs import Programs
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.pipeline.trails import Trails
from asyncmr.storage.budget import JobBudget
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import Disk
from asyncmr.storage.journal import Journal
from asyncmr.storage.runs import BlockStore
from asyncmr.workers import Pool


@dataclass(frozen=True, slots=True)
class Resources:
    """What an engine lends to a job. `verify`: the share of the keys on which its operators are checked."""

    pool: Pool
    disk: Disk
    store: BlockStore
    memory: JobBudget
    limits: Limits
    hasher: KeyHasher
    tolerance: Tolerance
    programs: Programs
    trails: Trails
    verify: float = 0.0
    codec: Codec | None = None
    journal: Journal | None = None
