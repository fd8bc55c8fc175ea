"""The files in which guarded attempts leave marks: one an attempt, gone with it."""

from __future__ import annotations

import os

from asyncmr.kernel.marks import Marks
from asyncmr.pipeline.suspects import Suspects
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.pipeline.trails import Trails
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.workers import SlotDied


async def test_the_last_mark_is_known_when_the_attempt_has_ended(tmp_path):
    suspects = Suspects(Tolerance(skips=True))
    folder = SpillFolder(str(tmp_path))
    async with Disk() as disk:
        trails = Trails(folder, disk)
        async with trails.trail(suspects, 50, None) as unguarded:
            assert unguarded.guard is None
        assert os.listdir(tmp_path) == [], "an attempt that is not guarded makes no file"
        suspects.died(SlotDied(-9), None)
        async with trails.trail(suspects, 50, 7) as trail, trails.trail(suspects, 50, 7) as other:
            assert trail.guard is not None
            assert other.guard is not None
            assert (trail.guard.keep, trail.guard.most) == (50, 7)
            marks = Marks(trail.guard.trail)
            marks.set(("mapper", 3))
            marks.set(("keys", 1 << 40))
            marks.close()
        assert trail.mark is not None
        assert (trail.mark.place, other.mark) == (("keys", 1 << 40), None)
        assert os.listdir(folder.open()) == ["lock"]
        await disk.run(folder.close)
