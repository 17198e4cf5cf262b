"""The command `syncengine db`: the project's embedded PostgreSQL.  Results on stdout, notes on stderr."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from syncengine.errors import EmbeddedError

if TYPE_CHECKING:
    from syncengine.embedded import Embedded


@click.group()
def db() -> None:
    """Start, stop and look into the project's embedded PostgreSQL."""


@db.command()
def start() -> None:
    """Start the server; it runs until `syncengine db stop`."""
    from syncengine import embedded

    click.echo(_described(embedded.start(_project())))


@db.command()
def stop() -> None:
    """Stop the server, whoever uses it."""
    from syncengine import embedded

    stopped = embedded.stop(_project())
    click.echo("stopped" if stopped else "not running")


@db.command()
def status() -> None:
    """Tell whether the server runs, and where."""
    from syncengine import embedded

    running = embedded.status(_project())
    click.echo(_described(running) if running else "not running")


@db.command()
def url() -> None:
    """Print the running server's URL, with its password."""
    from syncengine import embedded

    running = embedded.status(_project())
    if running is None:
        raise EmbeddedError("the embedded server is not running", hint="syncengine db start")
    click.echo(running.url)


@db.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql, which gets all ARGUMENTS; the server is started for it if need be."""
    from syncengine import embedded

    with embedded.acquire(_project()) as server:
        _say_note(server)
        # Ctrl-C cancels psql's statement; we stay until psql ends.
        signal.signal(signal.SIGINT, lambda *_: None)
        done = subprocess.run([embedded.psql(), *arguments], env=_psql_environment(server))
    raise SystemExit(done.returncode)


def _psql_environment(server: Embedded) -> dict[str, str]:
    """Return the environment in which psql meets the server: the password is not for the process list."""
    parts = urlsplit(server.url)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {
        **ours,
        "PGHOST": parts.hostname or "",
        "PGPORT": str(server.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
        "PGSSLMODE": "disable",
    }


def _described(server: Embedded) -> str:
    _say_note(server)
    until = "until `syncengine db stop`" if server.persistent else "while it is used"
    return f"running {until}: PostgreSQL {server.version} on port {server.port}, data in {server.folder}"


def _say_note(server: Embedded) -> None:
    if server.note:
        click.echo(f"note: {server.note}", err=True)


def _project() -> Path:
    from syncengine.spec.project import project_folder

    return project_folder(Path.cwd())
