"""The last module that the forkserver imports: what it has imported by then is for good.

Frozen, these objects are never visited by a worker's garbage collector, whose marks would make a private copy of
every page that they lie on.
"""

from __future__ import annotations

import gc

gc.collect()
gc.freeze()
