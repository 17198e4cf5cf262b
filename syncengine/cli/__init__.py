"""The command line: parse, call the api, hand over to a view.  Errors become exit codes here and nowhere else."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import TextIO

import click

from syncengine.cli import crash
from syncengine.errors import SyncError
from syncengine.job import WORKER

# Each command is imported when it is asked for: --help and validate need neither driver nor server.
_COMMANDS = {
    "db": "The embedded PostgreSQL: start, stop, status, url, psql.",
    "explain": "Tell what an error code means and how to mend it.",
    "init": "Write an example project, or a spec for a file.",
    "plan": "Show what a run would do and why; never writes.",
    "run": "Make the targets hold what the sources say.",
    "schema": "Print the JSON Schema of spec and project files, for editors.",
    "validate": "Check specs without any server.",
}
INVALID = 3
INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came; like Ctrl-C it cancels the statement under way, so that transactions are rolled back in order."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"syncengine.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name if cmd_name == "db" else "command")
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
    signal.signal(signal.SIGTERM, _terminate)
    crash.install()
    code = _code(sys.argv[1:])
    if any(thread.name.startswith(WORKER) for thread in threading.enumerate()):
        # A spec that was interrupted waits for its source, and would keep the interpreter from ending in order.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


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
    except (KeyboardInterrupt, click.Abort) as stop:
        click.echo(interruption(stop), err=True)
        return stopped_by(stop)
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except Exception as error:
        click.echo(crash.told(error), err=True)
        return crash.FAILED
    return result if isinstance(result, int) else 0


def stopped_by(stop: BaseException) -> int:
    """Return the exit code of an interruption."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def interruption(stop: BaseException) -> str:
    """Say what an interruption did."""
    how = "terminated" if isinstance(stop, Terminated) else "interrupted"
    return f"{how}: what was not committed is rolled back; run it again to go on"


def silence(stream: TextIO) -> None:
    """Let a stream whose reader went away, as `head` does, go nowhere; nothing can be said there, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
