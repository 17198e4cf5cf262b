"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def paths(command: Command) -> Command:
    """PATH…: files, folders, or `-` for standard input."""
    return click.argument("paths", nargs=-1, required=True, metavar="PATH...")(command)


def connection(command: Command) -> Command:
    text = "The target database's URL, or a connection's name from syncengine.yaml."
    return click.option("--connection", metavar="URL", help=text)(command)


def view(command: Command) -> Command:
    from syncengine import registry

    choice = click.Choice(registry.names("views"))
    return click.option("--format", "view", type=choice, default="text", show_default=True)(command)


def logs(command: Command) -> Command:
    """--log-format, --log-level, --quiet."""
    form = click.Choice(["console", "json"])
    level = click.Choice(["debug", "info", "warning", "error"])
    quiet = "No progress and no log but errors."
    for option in (
        click.option("--quiet", "-q", is_flag=True, help=quiet),
        click.option("--log-level", type=level, default="info", show_default=True),
        click.option("--log-format", type=form, default="console", show_default=True),
    ):
        command = option(command)
    return command
