"""`asyncmr serve`: a job that never ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asyncmr.cli.job_spec import load_job
from asyncmr.cli.messages import log_messages
from asyncmr.cli.option_groups import GroupedCommand, option_group
from asyncmr.errors import AsyncMRError, UsageError

WORD_COUNT = "asyncmr.jobs:wordcount"

_of_job = option_group("What is counted")
_of_state = option_group("What is kept")
_of_http = option_group("Who may ask")
_of_process = option_group("The process")


@click.command(cls=GroupedCommand)
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@_of_job(
    "--job",
    metavar="JOB",
    default=WORD_COUNT,
    show_default=True,
    envvar="ASYNCMR_JOB",
    help="What to do with each line: path/to/file.py:job or package.module:job; it has a fold or an aggregator.",
)
@_of_job(
    "--window",
    metavar="WINDOW",
    envvar="ASYNCMR_WINDOW",
    help='Count by stretches of time: "1m", or "10m/1m", the last ten minutes each minute.  [default: over all time]',
)
@_of_job(
    "--timestamp",
    metavar="WHERE",
    envvar="ASYNCMR_TIMESTAMP",
    help="Windows go by the time in the lines: a regular expression, whose first group it is, or json:PATH.  "
    "[default: by when a line is read]",
)
@_of_job(
    "--lateness",
    metavar="TIME",
    envvar="ASYNCMR_LATENESS",
    help='With --timestamp: how long a window waits for lines that come out of order, such as "30s".  [default: 0s]',
)
@_of_job(
    "--emit",
    type=click.Choice(["updates", "final"]),
    envvar="ASYNCMR_EMIT",
    help="Tell subscribers of each change, or of each window once, when it is over.  [default: updates]",
)
@_of_job(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    envvar="ASYNCMR_ON_ERROR",
    help="Whether a line on which the mapper fails ends the daemon, or is set aside and counted.",
)
@_of_job(
    "--skip-limit",
    metavar="N",
    type=click.IntRange(min=0),
    envvar="ASYNCMR_SKIP_LIMIT",
    help="With --on-error skip: end when it has failed on more lines, in the life of the state.  [default: any number]",
)
@_of_job(
    "--task-timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    envvar="ASYNCMR_TASK_TIMEOUT",
    help="After how long the mapper hangs, on some megabytes of lines: its worker is killed.  [default: never]",
)
@_of_state(
    "--state",
    metavar="DIR",
    envvar="ASYNCMR_STATE",
    help="Keep the state there: after a stop, a crash or a kill the same command goes on. Without it, it begins anew.",
)
@_of_state(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    envvar="ASYNCMR_OUTPUT",
    help="Append what changes to FILE as JSON lines; with --state, each change exactly once.",
)
@_of_state(
    "--retain",
    metavar="TIME",
    envvar="ASYNCMR_RETAIN",
    help='How long a window that is over is kept, such as "7d", or "all".  [default: 1d]',
)
@_of_state(
    "--max-keys",
    metavar="N",
    type=click.IntRange(min=1),
    envvar="ASYNCMR_MAX_KEYS",
    help="Keep so many keys at most, in each stretch of time; new ones beyond that are left out, and counted.",
)
@_of_state(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=0.2,
    show_default=True,
    envvar="ASYNCMR_INTERVAL",
    help="How often to commit what was read.",
)
@_of_http(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    envvar="ASYNCMR_LISTEN",
    help="Where to serve HTTP; port 0 is any that is free.",
)
@_of_http(
    "--token-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    envvar="ASYNCMR_TOKEN_FILE",
    help="What clients must know; needed to listen beyond this machine. Only its owner may read it.",
)
@_of_http(
    "--allow-host",
    "names",
    metavar="NAME",
    multiple=True,
    envvar="ASYNCMR_ALLOW_HOST",
    help="What the server is called in URLs, beside localhost and addresses; may be repeated.",
)
@_of_process(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    envvar="ASYNCMR_WORKERS",
    help="Worker processes.  [default: the CPUs]",
)
@_of_process(
    "--keepers",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="ASYNCMR_KEEPERS",
    help="More processes, which hold the results; another number at each start is fine.",
)
@_of_process(
    "--memory",
    metavar="SIZE",
    envvar="ASYNCMR_MEMORY",
    help="What the whole daemon may use, such as 512MiB or 2GiB.",
)
@_of_process(
    "--drain-timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    envvar="ASYNCMR_DRAIN_TIMEOUT",
    help="How long SIGTERM or Ctrl-C wait for what was read to be committed; a second one does not wait.",
)
def serve(
    sources: tuple[str, ...],
    job: str,
    window: str | None,
    timestamp: str | None,
    lateness: str | None,
    emit: str | None,
    output: str | None,
    retain: str | None,
    listen: str,
    token_file: Path | None,
    names: tuple[str, ...],
    drain_timeout: float,
    **options: Any,
) -> int:
    """Run a job for ever over lines that keep coming, and answer questions about it meanwhile.

    SOURCE is tail:PATH (a log, through its rotations), dir:PATH (the files of a folder, new ones too), stdin:,
    tcp://HOST:PORT or unix:PATH. Lines can be posted to /v1/ingest as well, or only. With --state, files and posts that
    have an Idempotency-Key are counted exactly once, whatever is killed when; sockets and standard input at most once.

    \b
    Count the words of a log, and ask:
      asyncmr serve tail:/var/log/syslog --state counts
      curl http://127.0.0.1:8080/v1/top?k=5
      curl --data-binary @more.txt http://127.0.0.1:8080/v1/ingest
    and open http://127.0.0.1:8080/ in a browser.

    \b
    Count the answers of a web server by the minute, whatever the order of the lines:
      asyncmr serve tail:access.log --job web.py:answers --window 1m --timestamp '\\[([^]]+)\\]' --lateness 10s

    Each option may be given as ASYNCMR_..., too: ASYNCMR_STATE=counts for --state counts.

    \b
    Exit status:
      0    ended in order, by SIGTERM, SIGHUP or Ctrl-C
      1    failed, or was ended before all that was read was committed
      2    the command line or JOB is wrong; nothing was started
    """
    import uvloop

    try:
        from asyncmr.streaming.daemon import Aborted
    except ImportError as error:
        raise UsageError(
            f"serving needs packages that are not installed ({error}); pip install 'asyncmr[web]'"
        ) from error

    from asyncmr.streaming.sinks import JsonLinesFile
    from asyncmr.streaming.windowing import Windowing

    windowing = Windowing.of(
        window or "none", timestamp=timestamp, lateness=lateness, emit=emit, retain=retain
    )
    sinks = [] if output is None else [JsonLinesFile(output)]
    with log_messages("INFO", bars=False):
        work = _serve(
            sources,
            job,
            listen,
            token_file,
            names,
            drain_timeout,
            {"window": windowing, "sinks": sinks, **options},
        )
        try:
            uvloop.run(work)
        except Aborted as error:
            raise AsyncMRError(f"{error}; with --state it is read again, where that can be") from None
    return 0


async def _serve(
    sources: tuple[str, ...],
    job: str,
    listen: str,
    token_file: Path | None,
    names: tuple[str, ...],
    drain_timeout: float,
    options: dict[str, Any],
) -> None:
    from asyncmr.streaming import Stream
    from asyncmr.streaming.daemon import run_daemon
    from asyncmr.streaming.feeds import feed_of
    from asyncmr.streaming.http import Address, PushFeed, read_token

    def started(address: Address) -> None:
        inputs = [*sources, f"POST http://{address}/v1/ingest"]
        kept = f"kept in {options['state']}" if options["state"] else "not kept: there is no --state"
        click.echo(f"asyncmr: {job} over {', '.join(inputs)}; its results are {kept}", err=True)
        click.echo(f"asyncmr: serving http://{address}/", err=True)

    push = PushFeed()
    token = None if token_file is None else read_token(str(token_file))
    feeds = [feed_of(source, token=None if token is None else token.decode()) for source in sources]
    await run_daemon(
        Stream(load_job(job), [*feeds, push], **options),
        Address.parse(listen),
        push=push,
        token=token,
        names=names,
        noun="word" if job == WORD_COUNT else "key",
        drain_timeout=drain_timeout,
        started=started,
    )
