"""The process that is measured: runs one contender on one piece of work, and leaves notes on how that went."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers import Task, Unsupported, peer
from benchmarks.peers.task import Refused


def main() -> int:
    """Runs what the JSON object in the last argument describes."""
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    task = Task(
        work=arguments["work"],
        inputs=[Path(path) for path in arguments["inputs"]],
        output=Path(arguments["output"]),
        scratch=Path(arguments["scratch"]),
        workers=arguments["workers"],
        memory=arguments["memory"],
    )
    run = peer(arguments["peer"]).runs.get(task.work)
    try:
        if run is None:
            raise Unsupported("it has nothing for this work")
        run(task)
    except Unsupported as error:
        task.notes["unsupported"] = str(error)
    except Refused as error:
        task.notes["refused"] = str(error)
    Path(arguments["notes"]).write_text(json.dumps(task.notes), encoding="utf-8")
    if task.notes.get("leave"):
        sys.stdout.flush()
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
