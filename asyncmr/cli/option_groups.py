"""A command whose `--help` lists its options in groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class GroupedOption(click.Option):
    """An option that `--help` shows under the heading `group`."""

    def __init__(self, *args: Any, group: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.group = group


class GroupedCommand(click.Command):
    """Shows groups in the order of their first options, and at the end the options that have none."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        rest: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                group = getattr(parameter, "group", None)
                (rest if group is None else groups.setdefault(group, [])).append(record)
        for heading, records in (*groups.items(), ("Other", rest)):
            with formatter.section(heading):
                formatter.write_dl(records)


def option_group(group: str) -> Callable[..., Callable[[F], F]]:
    """`click.option` for the options of one group."""

    def option(*names: str, **settings: Any) -> Callable[[F], F]:
        return click.option(*names, cls=GroupedOption, group=group, **settings)

    return option
