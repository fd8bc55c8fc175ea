"""The command line: `asyncmr run`.

Exit status: 0 done; 1 the job failed; 2 the command line or JOB is wrong, and nothing was started;
130 interrupted; 143 terminated; 141 whoever read standard output went away (`| head`), as a tool killed by
SIGPIPE has it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

import asyncmr
from asyncmr.cli.console import Bars, print_pairs, user_frames
from asyncmr.cli.inputs import inputs_of
from asyncmr.cli.job_spec import load_job
from asyncmr.cli.messages import in_options, log_messages
from asyncmr.cli.serve import serve
from asyncmr.cli.standard_streams import open_if_closed, standard_output
from asyncmr.cli.state import state
from asyncmr.cli.termination import Terminated, until_terminated
from asyncmr.connectors.sources import AnySource, OneSource, documents, json_lines, pairs, source_of
from asyncmr.errors import (
    AsyncMRError,
    OutputError,
    RemoteTraceback,
    StorageError,
    UsageError,
    UserCodeError,
    WorkerError,
)
from asyncmr.excerpt import traceback_of
from asyncmr.kernel.formats import format_of

if TYPE_CHECKING:
    from asyncmr.job import Job
    from asyncmr.report import Report

EXAMPLE = "asyncmr run asyncmr.jobs:wordcount books/*.txt"


INPUT_FORMATS: dict[str, Callable[[list[str]], OneSource]] = {
    "lines": source_of,
    "jsonl": json_lines,
    "documents": documents,
    "pairs": pairs,
    "jsonl-pairs": partial(pairs, format="jsonl"),
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line `args` (by default the process's own) and returns its exit status."""
    open_if_closed(0)
    try:
        return int(commands.main(args, prog_name="asyncmr", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.MissingParameter):
            click.echo(f"For example: {EXAMPLE}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return 130
    except Terminated:
        _complain("terminated")
        return 143
    except UserCodeError as error:
        _complain(f"{error}{_notes(error)}")
        if error.__cause__ is not None:
            cause = error.__cause__
            trace = str(cause) if isinstance(cause, RemoteTraceback) else traceback_of(cause)
            click.echo(f"\n{user_frames(trace).strip()}", err=True)
        return 1
    except AsyncMRError as error:
        _complain(f"{in_options(str(error))}{_notes(error)}")
        return 2 if isinstance(error, UsageError) else 1


def _notes(error: AsyncMRError) -> str:
    return "".join(f"\n  {in_options(note)}" for note in getattr(error, "__notes__", ()))


def _complain(message: str) -> None:
    click.echo(f"asyncmr: {message}", err=True)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


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
        pass
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a number of records, such as 100, nor a share, such as 0.01"
        ) from None


class Commands(click.Group):
    """Knows what somebody means who leaves out `run`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if ":" in args[0] or args[0].endswith(".py"):
            raise click.UsageError(
                f"No such command {args[0]!r}. Did you mean: asyncmr run {' '.join(args)}", ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    Run a job of your own, here one that counts words, from a file words.py:
      asyncmr run words.py:job books/

    \b
      import asyncmr
      def words(_key, line):              # called with each line, yields pairs
          for word in line.lower().split():
              yield word, 1
      def total(word, counts):            # called with each word and all its counts
          yield word, sum(counts)
      job = asyncmr.Job(mapper=words, combiner=total, reducer=total)

    The jobs asyncmr.jobs:wordcount and asyncmr.jobs:sort are there already. `asyncmr run --help` lists the options.
    """


commands.add_command(serve)
commands.add_command(state)


@commands.command()
@click.argument("job")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="DIR", help="Write part files and _SUCCESS there; DIR must be new.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    show_default=True,
    help="How pairs are written: text is key<TAB>value lines, with \\\\, \\t and \\n escaped; jsonl is "
    'lines of {"key": ..., "value": ...}, which keep the types.',
)
@click.option(
    "--input-format",
    type=click.Choice(list(INPUT_FORMATS)),
    default="lines",
    show_default=True,
    help="What a record of the input is: a line; a JSON value a line (jsonl); a whole file, whose key is its path "
    "(documents); or a pair that --format text or jsonl wrote (pairs, jsonl-pairs).",
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
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="What is shown of the log messages of your functions.  [default: warning]",
)
def run(
    job: str,
    inputs: tuple[str, ...],
    output: str | None,
    format_: str,
    input_format: str,
    partitions: int | None,
    dead_letters: Path | None,
    resume: str | None,
    report_file: Path | None,
    progress: bool | None,
    log_level: str | None,
    **engine_options: Any,
) -> int:
    """Run a job over files.

    JOB is path/to/file.py:job or package.module:job. INPUT is a file, a folder, a quoted glob such as
    'logs/**/*.txt', or - for standard input; for a job with a mapper for each of its inputs it is NAME=INPUT,
    as in users=users.csv. Names that end in .gz, .bz2, .xz or .zst are decompressed. Without -o the pairs go
    to standard output, partition by partition, and nothing else does: what your functions print or log is
    shown on standard error.

    \b
    For example, with the word count that ships with asyncmr, or a job of your own:
      asyncmr run asyncmr.jobs:wordcount books/*.txt
      asyncmr run words.py:job books/ -o counts --report report.json

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
    if progress is None:
        # Bars and pairs on one terminal would write over each other.
        progress = _is_terminal(sys.stderr) and (output is not None or not _is_terminal(sys.stdout))
    options = {name: value for name, value in engine_options.items() if value is not None}
    with standard_output():
        chosen = load_job(job)
    if partitions is not None:
        chosen = chosen.replace(partitions=partitions)
    try:
        with ExitStack() as stack:
            descriptor = stack.enter_context(standard_output())
            stack.enter_context(log_messages(log_level, bars=progress))
            bars = stack.enter_context(Bars()) if progress else None
            read, paths = INPUT_FORMATS[input_format], inputs_of(chosen, inputs)
            source: AnySource = (
                {name: read(some) for name, some in paths.items()} if isinstance(paths, dict) else read(paths)
            )
            work = _run(chosen, source, output, format_, resume, bars, dead_letters, options, descriptor)
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
    source: AnySource,
    output: str | None,
    format_: str,
    resume: str | None,
    bars: Bars | None,
    dead_letters: Path | None,
    options: dict[str, Any],
    descriptor: int,
) -> Report:
    show = bars.show if bars is not None else None
    async with asyncmr.Engine(**options) as engine:
        if output is not None:
            return await engine.run(
                job, source, output, progress=show, format=format_, dead_letters=dead_letters, resume=resume
            )
        async with engine.stream(job, source, progress=show, dead_letters=dead_letters) as pairs:
            await print_pairs(pairs, format_of(format_), descriptor)
        return pairs.report
