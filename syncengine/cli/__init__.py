"""The command line: parse, call the api, hand over to a view.  Errors become exit codes here and nowhere else."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TextIO

import click

from syncengine.cli import crash
from syncengine.cli.interrupts import Interrupts, code_of, leave, told
from syncengine.errors import SyncError

# Each command is imported when it is asked for: --help and validate need neither driver nor server.
_COMMANDS = {
    "db": "The embedded PostgreSQL: start, stop, status, url, psql.",
    "explain": "Tell what an error code means and how to mend it.",
    "gc": "Drop what dead runs left.",
    "grants": "Print the GRANT statements that specs need.",
    "history": "List what ran, newest first.",
    "init": "Write an example project, or a spec for a file.",
    "plan": "Show what a run would do and why; never writes.",
    "quarantine": "The rows that could not be loaded: list, export, retry.",
    "run": "Make the targets hold what the sources say.",
    "schema": "Print the JSON Schema of spec and project files, for editors.",
    "show": "Show one run in full.",
    "validate": "Check specs without any server.",
}
# Commands that have commands of their own.
_GROUPS = ("db", "quarantine")
INVALID = 3
# New objects between two looks for garbage: more than there are of what is imported.
_GARBAGE = 100_000


def _say(stop: BaseException) -> None:
    click.echo(told(stop), err=True)


INTERRUPTS = Interrupts(_say)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"syncengine.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name if cmd_name in _GROUPS else "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(_COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="syncengine")
def cli() -> None:
    """Keep PostgreSQL tables in step with data, from YAML specs kept in Git."""


def main() -> None:
    """Run the command line and leave with the exit code of docs/spec.md §6."""
    # What is imported stays: looking through it for garbage again and again is a tenth of a short run.
    gc.set_threshold(_GARBAGE)
    INTERRUPTS.watch()
    crash.install()
    code = _code(sys.argv[1:])
    _flush(sys.stdout, sys.stderr)
    # All of ours is closed by now.  Ending in order, the interpreter takes apart what was imported, a fifth of a short
    # run; it would wait for a spec that was interrupted and waits for its source; and one more signal is then deadly.
    leave(code)


def _flush(*streams: TextIO | None) -> None:
    """Write out what is still held back; nothing should be, so an error is told as one that nobody foresaw."""
    for stream in streams:
        if stream is not None and not stream.closed:
            try:
                stream.flush()
            except BrokenPipeError:
                silence(stream)


def _code(arguments: list[str]) -> int:
    try:
        # Not cli.main: it takes every interruption for Ctrl-C, and a reader that went away for a failure.
        with cli.make_context("syncengine", arguments) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.ClickException as error:
        error.show()
        return INVALID
    except SyncError as error:
        from syncengine import registry
        from syncengine.redact import redact

        click.echo(redact(registry.view("text").problems("", error)), err=True, nl=False)
        return error.each()[0].exit_code
    except KeyboardInterrupt as stop:
        INTERRUPTS.tell(stop)
        return code_of(stop)
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except Exception as error:
        click.echo(crash.told(error), err=True)
        return crash.FAILED
    return result if isinstance(result, int) else 0


def silence(stream: TextIO) -> None:
    """Let a stream whose reader went away, as `head` does, go nowhere; nothing can be said there, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
