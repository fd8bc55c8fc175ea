"""`asyncmr serve`: a job that never ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from asyncmr.cli.job_spec import load_job
from asyncmr.cli.messages import log_messages
from asyncmr.errors import AsyncMRError, UsageError


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1)
@click.option(
    "--job",
    metavar="JOB",
    default="asyncmr.jobs:wordcount",
    show_default=True,
    envvar="ASYNCMR_JOB",
    help="What to do with each line: path/to/file.py:job or package.module:job; it has a fold or an aggregator.",
)
@click.option(
    "--state",
    metavar="DIR",
    envvar="ASYNCMR_STATE",
    help="Keep the state there: after a stop, a crash or a kill the same command goes on. Without it, it begins anew.",
)
@click.option(
    "--window",
    metavar="WINDOW",
    envvar="ASYNCMR_WINDOW",
    help='Count by stretches of time: "1m", "10m/1m" (the last ten minutes, each minute), or by the time in the lines: '
    '"1h late 30s event REGEX". Without it, over all time.',
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    envvar="ASYNCMR_LISTEN",
    help="Where to serve HTTP; port 0 is any that is free.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    envvar="ASYNCMR_TOKEN_FILE",
    help="What clients must know; needed to listen beyond this machine. Only its owner may read it.",
)
@click.option(
    "--allow-host",
    "names",
    metavar="NAME",
    multiple=True,
    envvar="ASYNCMR_ALLOW_HOST",
    help="What the server is called in URLs, beside localhost and addresses; may be repeated.",
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=0.2,
    show_default=True,
    envvar="ASYNCMR_INTERVAL",
    help="How often to commit what was read.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    envvar="ASYNCMR_WORKERS",
    help="Worker processes.  [default: the CPUs]",
)
@click.option(
    "--memory",
    metavar="SIZE",
    envvar="ASYNCMR_MEMORY",
    help="What the workers may use, such as 512MiB or 2GiB.",
)
@click.option(
    "--drain-timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    envvar="ASYNCMR_DRAIN_TIMEOUT",
    help="How long SIGTERM or Ctrl-C wait for what was read to be committed; a second one does not wait.",
)
def serve(
    sources: tuple[str, ...],
    job: str,
    state: str | None,
    window: str | None,
    listen: str,
    token_file: Path | None,
    names: tuple[str, ...],
    interval: float,
    workers: int | None,
    memory: str | None,
    drain_timeout: float,
) -> int:
    """Run a job for ever over lines that keep coming, and answer questions about it meanwhile.

    SOURCE is tail:PATH (a log, through its rotations), dir:PATH (the files of a folder, new ones too), stdin:,
    tcp://HOST:PORT or unix:PATH. Lines can be posted to /v1/ingest as well. With --state, files and posts that have an
    Idempotency-Key are counted exactly once, whatever is killed when; sockets and standard input at most once.

    \b
    Count the words of a log, and ask:
      asyncmr serve tail:/var/log/syslog --state counts
      curl http://127.0.0.1:8080/v1/top?k=5
      curl --data-binary @more.txt http://127.0.0.1:8080/v1/ingest
    and open http://127.0.0.1:8080/ in a browser. Each option may be given as ASYNCMR_..., too.

    \b
    Exit status:
      0    ended in order, by SIGTERM or Ctrl-C
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

    with log_messages("INFO", bars=False):
        work = _serve(
            sources,
            job,
            listen,
            token_file,
            names,
            drain_timeout,
            {"state": state, "window": window, "interval": interval, "workers": workers, "memory": memory},
        )
        try:
            uvloop.run(work)
        except Aborted:
            raise AsyncMRError(
                "ended before all that was read was committed; with --state it is read again, where that can be"
            ) from None
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
        drain_timeout=drain_timeout,
        started=started,
    )
