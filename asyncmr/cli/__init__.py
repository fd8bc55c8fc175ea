"""The command line.

commands.py: the commands and their exit status. job_spec.py: from a JOB argument to a Job. console.py: pairs
on standard output, progress bars on standard error. standard_streams.py: where those are closed, or kept apart.
messages.py: log records on standard error. termination.py: SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line `args` (by default the process's own) and returns its exit status."""
    # Imported late: every worker process imports the installed script, and so this module, but runs nothing.
    try:
        from asyncmr.cli.commands import main
    except KeyboardInterrupt:
        sys.stderr.write("asyncmr: interrupted\n")
        return 130
    return main(args)
