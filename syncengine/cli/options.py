"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def paths(command: Command) -> Command:
    """PATH…: files, folders, or `-` for standard input; and which of their specs are meant.

    --env, --select.
    """
    env = "An environment of syncengine.yaml, whose keys are laid over the others."
    select = "Only this spec: NAME, +NAME with what it depends on, or all of tag:TAG. May be repeated."
    for decorate in (
        click.option("--select", "select", multiple=True, metavar="NAME", help=select),
        click.option("--env", metavar="NAME", help=env),
        click.argument("paths", nargs=-1, metavar="[PATH]..."),
    ):
        command = decorate(command)
    return command


def connection(command: Command) -> Command:
    text = "The target database's URL, or a connection's name from syncengine.yaml."
    return click.option("--connection", metavar="URL", help=text)(command)


def jobs(command: Command) -> Command:
    text = "How many specs run at the same time, where none waits for another."
    most = min(4, os.cpu_count() or 1)
    number = click.IntRange(min=1)
    return click.option("--jobs", type=number, default=most, show_default=True, metavar="N", help=text)(
        command
    )


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
