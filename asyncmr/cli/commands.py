"""The command line: `asyncmr run`.

Exit status: 0 done; 1 the job failed; 2 the command line or JOB is wrong, and nothing was started;
130 interrupted; 143 terminated; 141 whoever read standard output went away (`| head`), as a tool killed by
SIGPIPE has it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import asyncmr
from asyncmr.cli.console import Bars, print_pairs, user_frames
from asyncmr.cli.inputs import inputs_of
from asyncmr.cli.job_spec import load_job
from asyncmr.cli.termination import Terminated, until_terminated
from asyncmr.errors import AsyncMRError, OutputError, StorageError, UsageError, UserCodeError, WorkerError

if TYPE_CHECKING:
    from asyncmr.job import Job
    from asyncmr.report import Report


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line `args` (by default the process's own) and returns its exit status."""
    try:
        return int(commands.main(args, prog_name="asyncmr", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return 130
    except Terminated:
        _complain("terminated")
        return 143
    except UserCodeError as error:
        _complain(str(error))
        if error.__cause__ is not None:
            click.echo(f"\n{user_frames(str(error.__cause__)).strip()}", err=True)
        return 1
    except AsyncMRError as error:
        _complain(str(error))
        return 2 if isinstance(error, UsageError) else 1


def _complain(message: str) -> None:
    click.echo(f"asyncmr: {message}", err=True)


def _show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"asyncmr {version('asyncmr')}")
    except PackageNotFoundError:
        click.echo("asyncmr, not installed (run from its sources)")
    context.exit()


def _skip_limit(text: str) -> int | float:
    """A number of records, or a share of them."""
    try:
        return int(text)
    except ValueError:
        return float(text)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def commands() -> None:
    """MapReduce over files far larger than memory, on all cores of this machine.

    \b
    Count the words of some books, most frequent first:
      asyncmr run asyncmr.jobs:wordcount books/*.txt | sort -t "$(printf '\\t')" -k2,2nr | head

    \b
    Write the result to a folder of part files instead, and a report of what was done:
      asyncmr run asyncmr.jobs:wordcount 'books/**/*.txt' -o counts --report report.json

    \b
    Run a job of your own, from a file words.py:
      import asyncmr
      def words(_key, line):
          for word in line.lower().split():
              yield word, 1
      def total(word, counts):
          yield word, sum(counts)
      job = asyncmr.Job(mapper=words, combiner=total, reducer=total)
    \b
      asyncmr run words.py:job books/

    `asyncmr run --help` lists the options.
    """


@commands.command()
@click.argument("job")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="DIR", help="Write part files and _SUCCESS there; DIR must be new.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text"]),
    default="text",
    show_default=True,
    help="How pairs are written: text is key<TAB>value lines, with \\\\, \\t and \\n escaped.",
)
@click.option(
    "--workers", metavar="N", type=click.IntRange(min=1), help="Worker processes.  [default: the CPUs]"
)
@click.option("--memory", metavar="SIZE", help="What the whole run may use, such as 512MiB or 2GiB.")
@click.option(
    "--partitions", metavar="N", type=click.IntRange(min=1), help="Reduce partitions, and so part files."
)
@click.option(
    "--retries", metavar="N", type=click.IntRange(min=0), help="Attempts after a worker's death or timeout."
)
@click.option(
    "--task-timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Kill a task that takes longer, and try it again.",
)
@click.option(
    "--backup-tasks",
    is_flag=True,
    help="Give slow tasks a rival on an idle worker; the first to finish counts.",
)
@click.option(
    "--verify",
    metavar="SHARE",
    type=click.FloatRange(min=0, max=1),
    help="Check combiners, folds and aggregators on this share of the keys, such as 0.01.",
)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="Whether a record or key on which a function fails ends the job, or is left out.",
)
@click.option(
    "--skip-limit",
    metavar="N|SHARE",
    type=_skip_limit,
    help="Fail when more is skipped: a number, or a share of the records such as 0.01.",
)
@click.option(
    "--dead-letters",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was skipped to FILE, as JSON lines; FILE must be new.",
)
@click.option(
    "--resume",
    metavar="DIR",
    help="Keep a journal in DIR: after a crash or kill the same command goes on. Needs -o.",
)
@click.option(
    "--report",
    "report_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write what was done to FILE, as JSON.",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress bars on standard error.  [default: when a person is watching]",
)
def run(
    job: str,
    inputs: tuple[str, ...],
    output: str | None,
    format_: str,
    partitions: int | None,
    dead_letters: Path | None,
    resume: str | None,
    report_file: Path | None,
    progress: bool | None,
    **engine_options: Any,
) -> int:
    """Run a job over files.

    JOB is path/to/file.py:job or package.module:job. INPUT is a file, a folder, or a quoted glob such as
    'logs/**/*.txt'; for a job with a mapper for each of its inputs it is NAME=INPUT, as in users=users.csv.
    Without -o the pairs go to standard output as key<TAB>value, partition by partition.

    \b
    Exit status:
      0    done
      1    the job failed
      2    the command line or JOB is wrong; nothing was started
      130  interrupted (Ctrl-C); nothing is left behind
      143  terminated (SIGTERM); nothing is left behind
      141  the reader of standard output went away, as in `asyncmr run ... | head`
    """
    import uvloop

    if report_file is not None and not report_file.absolute().parent.is_dir():
        raise UsageError(f"--report {report_file}: there is no folder {report_file.parent}; make it first")
    if resume is not None and output is None:
        raise UsageError("--resume needs -o: what went to standard output cannot be taken up again")
    chosen = load_job(job)
    if partitions is not None:
        chosen = chosen.replace(partitions=partitions)
    if progress is None:
        # Bars and pairs on one terminal would write over each other.
        progress = sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())
    options = {name: value for name, value in engine_options.items() if value is not None}
    try:
        with ExitStack() as stack:
            bars = stack.enter_context(Bars()) if progress else None
            work = _run(
                chosen, inputs_of(chosen, inputs), output, format_, resume, bars, dead_letters, options
            )
            report = uvloop.run(until_terminated(work))
    except BrokenPipeError:
        return 141
    except (KeyboardInterrupt, Terminated, WorkerError, StorageError, OutputError):
        if resume is not None and os.path.isdir(resume):
            _complain(f"run the same command again to go on from the journal in {resume}")
        raise
    if resume is not None:
        _tell_resumed(report, resume)
    _tell_skipped(report, dead_letters)
    if report_file is not None:
        _write_report(report, report_file)
    return 0


def _tell_skipped(report: Report, dead_letters: Path | None) -> None:
    if not report.skipped:
        return
    number = report.skipped_in_all
    what = "1 record or key was skipped" if number == 1 else f"{number:,} records and keys were skipped"
    where = (
        "--dead-letters FILE would tell of all" if dead_letters is None else f"{dead_letters} tells of all"
    )
    _complain(f"{what}; {where}. The first: {report.skipped[0]}")


def _tell_resumed(report: Report, journal: str) -> None:
    tasks = sum(stage.tasks for stage in report.stages.values())
    resumed = sum(stage.resumed for stage in report.stages.values())
    if resumed:
        which = "all tasks" if resumed == tasks else f"{resumed:,} of {tasks:,} tasks"
        _complain(f"{which} were done before, says the journal in {journal}")


def _write_report(report: Report, path: Path) -> None:
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"the job is done, but its report could not be written to {path}: {error.strerror}"
        ) from error


async def _run(
    job: Job,
    inputs: list[str] | dict[str, list[str]],
    output: str | None,
    format_: str,
    resume: str | None,
    bars: Bars | None,
    dead_letters: Path | None,
    options: dict[str, Any],
) -> Report:
    show = bars.show if bars is not None else None
    async with asyncmr.Engine(**options) as engine:
        if output is not None:
            return await engine.run(
                job, inputs, output, progress=show, format=format_, dead_letters=dead_letters, resume=resume
            )
        async with engine.stream(job, inputs, progress=show, dead_letters=dead_letters) as pairs:
            await print_pairs(pairs)
        return pairs.report
