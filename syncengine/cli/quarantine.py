"""syncengine quarantine list, export, retry"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncengine.cli import options

if TYPE_CHECKING:
    from syncengine.again import KeptRow

_RUN = "Only the rows of this run."
_LONGEST = 200


@click.group()
def quarantine() -> None:
    """The rows that could not be loaded, with their places, the reasons and their own text."""


def _chosen(command: options.Command) -> options.Command:
    for decorate in (
        click.option("--spec", metavar="NAME", help="Only the rows of this spec."),
        click.option("--run", "run_id", metavar="RUN", help=_RUN),
        options.environment,
        options.connection,
        options.logs,
    ):
        command = decorate(command)
    return command


@quarantine.command("list")
@_chosen
@options.view
def list_rows(
    env: str | None,
    connection: str | None,
    run_id: str | None,
    spec: str | None,
    view: str,
    logging: options.Logging,
) -> int:
    """List what is in quarantine.

    The text of rows of a spec with `sensitive` columns is masked.
    """
    from syncengine.cli.output import say
    from syncengine.model.explain import FORMAT

    with _rows(logging, connection, env, run=run_id, spec=spec) as rows:
        if view == "json":
            document = {"format": FORMAT, "rows": [row.document() for row in rows]}
            say(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            return 0
        for row in rows:
            say(_shown(row))
    return 0


def _shown(row: KeptRow) -> str:
    from syncengine.model.explain import visible

    place = f"{row.place}:{row.line}" if row.line else row.place
    column = f"column {row.column}: " if row.column else ""
    state = f", loaded by run {row.retried}" if row.retried else ""
    text = row.text or ""
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    head = f"{row.id}  {row.spec} into {row.target}, run {row.run}{state}"
    return (
        visible(f"{head}\n    {place}: {column}{row.message}\n")
        + f"    {visible(json.dumps(text, ensure_ascii=False))}\n"
    )


@quarantine.command("export")
@_chosen
@click.option("--to", "path", metavar="FILE", help="A .csv or .jsonl file; without it, standard output.")
def export(
    env: str | None,
    connection: str | None,
    run_id: str | None,
    spec: str | None,
    path: str | None,
    logging: options.Logging,
) -> int:
    """Write rows as they stood in their files, the header first, to be mended and loaded.

    Rows that were loaded since are left out.  Nothing is masked.
    """
    from syncengine.again import as_file
    from syncengine.errors import OptionError

    form = "csv" if path is None else Path(path).suffix.lower().removeprefix(".")
    if path is not None and form not in ("csv", "tsv", "jsonl"):
        raise OptionError(f"`{path}` is neither a .csv nor a .jsonl file")
    with _rows(logging, connection, env, run=run_id, spec=spec, open_only=True) as rows:
        data = as_file(rows, "csv" if form == "csv" and path is not None else "jsonl")
    if path is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        Path(path).write_bytes(data)
    return 0


@contextmanager
def _rows(
    logging: options.Logging, connection: str | None, env: str | None, **which: Any
) -> Iterator[Iterator[KeptRow]]:
    """Yield the chosen rows of the quarantine; what keeps them from being read is raised as in other commands."""
    from syncengine import api
    from syncengine.cli.output import listening

    with (
        listening("quarantine", logging) as (_, announce),
        api.ledger_of(connection=connection, env=env, announce=announce) as ledger,
    ):
        yield ledger.kept_rows(**which)


@quarantine.command("retry")
@options.paths
@options.connection
@options.view
@options.logs
@click.option("--run", "run_id", metavar="RUN", help=_RUN)
def retry(
    paths: tuple[str, ...],
    env: str | None,
    select: tuple[str, ...],
    connection: str | None,
    view: str,
    logging: options.Logging,
    run_id: str | None,
) -> int:
    """Have the specs read their rows in quarantine once more, as they stood in their files.

    What is good now is loaded and marked; what is still bad stays.  Nothing is deleted, whatever the mode.  Exit
    codes: 0 all are loaded, 4 some are still bad, else as `run`.
    """
    from syncengine import api, registry
    from syncengine.again import retried
    from syncengine.cli.output import exit_code, listening, refuse, say
    from syncengine.errors import SyncError
    from syncengine.loading import load

    shown = registry.view(view)
    own = api.new_run_id()
    try:
        with listening(own, logging) as (emit, announce):
            jobs = [retried(job, run_id) for job in load(paths, env=env)]
            reports = api.run_all(
                jobs, connection=connection, select=select, run_id=own, emit=emit, announce=announce
            )
    except SyncError as error:
        return refuse(shown, own, error, logging.form)
    say(shown.reports(own, reports))
    return exit_code(report.exit_code for report in reports)
