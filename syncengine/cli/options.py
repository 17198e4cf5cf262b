"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from msgspec import Struct

if TYPE_CHECKING:
    from syncengine.model.spec import Limit

Command = TypeVar("Command", bound=Callable[..., Any])


def paths(command: Command) -> Command:
    """PATH…: files, folders, or `-` for standard input; and which of their specs are meant.

    --env, --select.
    """
    select = "Only this spec: NAME, +NAME with what it depends on, or all of tag:TAG. May be repeated."
    for decorate in (
        click.option("--select", "select", multiple=True, metavar="NAME", help=select),
        environment,
        click.argument("paths", nargs=-1, metavar="[PATH]..."),
    ):
        command = decorate(command)
    return command


def environment(command: Command) -> Command:
    text = "An environment of syncengine.yaml, whose keys are laid over the others."
    return click.option("--env", metavar="NAME", help=text)(command)


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


def approve(command: Command) -> Command:
    """--approve LIMIT=N, handed over as limits by name."""
    text = (
        "Put this limit in place of the specs' own for this call, such as max_deletes=1200. May be repeated."
    )
    return click.option("--approve", multiple=True, metavar="LIMIT=N", callback=_limits, help=text)(command)


def _limits(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Limit]:
    from syncengine.errors import OptionError
    from syncengine.job import approvals

    try:
        return approvals(
            {name.strip(): number for name, _, number in (text.partition("=") for text in values)}
        )
    except OptionError as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from error


class Logging(Struct, frozen=True, kw_only=True):
    """What goes to standard error, and how."""

    form: str
    level: str
    quiet: bool


def logs(command: Command) -> Command:
    """--log-format, --log-level, --quiet, handed over as `logging`."""

    @wraps(command)
    def with_logging(*args: Any, log_format: str, log_level: str, quiet: bool, **more: Any) -> Any:
        return command(*args, logging=Logging(form=log_format, level=log_level, quiet=quiet), **more)

    form = click.Choice(["console", "json"])
    level = click.Choice(["debug", "info", "warning", "error"])
    quiet = "No progress and no log but errors."
    for option in (
        click.option("--quiet", "-q", is_flag=True, help=quiet),
        click.option("--log-level", type=level, default="info", show_default=True),
        click.option("--log-format", type=form, default="console", show_default=True),
    ):
        with_logging = option(with_logging)
    return cast("Command", with_logging)
