"""Where a stream writes what changes.

    from asyncmr.streaming.sinks import JsonLinesFile

    Stream(job, feeds, state="counts", sinks=[JsonLinesFile("changes.jsonl")])

json_lines_file.py      JSON lines, appended exactly once: output_file.py (an open file, and how it is known again)
"""

from __future__ import annotations

from asyncmr.streaming.sinks.json_lines_file import JsonLinesFile

__all__ = ["JsonLinesFile"]
