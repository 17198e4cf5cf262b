"""syncengine init"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

import click

from syncengine.errors import OptionError

_IGNORED = ".syncengine/\n"


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("--from", "file", metavar="FILE", help="Write a spec for this file instead of the example.")
@click.option(
    "--target", metavar="TABLE", help="With --from: the table. Default: public. and the file's name."
)
def command(folder: str, file: str | None, target: str | None) -> int:
    """Write a project that runs as it stands, or a spec for a file.

    Without options: an example project, in DIR or here.  With --from: a spec in DIR or here, with keys and types as
    the rows of FILE tell them.  No file is overwritten.  Exit codes: 0 written, 1 FILE can't be read, 3 a file is
    there already, or an option is wrong.
    """
    if file is not None:
        return _spec_for(Path(file), Path(folder), target)
    if target is not None:
        raise OptionError("--target goes with --from", hint="syncengine init --from FILE --target TABLE")
    return _example(Path(folder))


def _example(folder: Path) -> int:
    from syncengine.cli import starter

    files = {folder / name: text for name, text in starter.example().items()}
    starter.refuse_existing(files)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        files[ignore] = _IGNORED
    starter.write(files)
    _say_written(files)
    if ignore not in files:
        click.echo(f"kept  {ignore}: see that it has the line {_IGNORED.strip()}")
    click.echo("\nnext:")
    for line in _next_steps(folder):
        click.echo(f"  {line}")
    click.echo("\nThen change a price in data/products.csv and run it again: that row alone is updated.")
    return 0


def _next_steps(folder: Path) -> list[str]:
    """Return the commands that come next."""
    from syncengine.targets import VARIABLES

    named = next((name for name in VARIABLES if os.environ.get(name)), None)
    where = f"in the database of ${named}" if named else "in a PostgreSQL of its own, under .syncengine/"
    enter = [f"cd {shlex.quote(str(folder))}"] if folder.resolve() != Path.cwd() else []
    look = [] if named else ["syncengine db psql -c 'TABLE products'"]
    return [
        *enter,
        "syncengine plan   # what a run would do, and why",
        f"syncengine run    # does it, {where}",
        *look,
    ]


def _spec_for(file: Path, folder: Path, target: str | None) -> int:
    from syncengine.cli import starter
    from syncengine.propose import propose, spec_file
    from syncengine.spec.project import load_project

    spec = folder / spec_file(file)
    starter.refuse_existing([spec])
    project = load_project(folder, os.environ)
    schema = project.folder / starter.SPEC_SCHEMA
    proposal = propose(file, folder=folder, project=project, environ=os.environ, schema=schema, target=target)
    files = {spec: proposal.text}
    if not schema.exists():
        files[Path(os.path.relpath(schema))] = starter.schemas()[starter.SPEC_SCHEMA]
    starter.write(files)
    _say_written(files)
    click.echo(f"\n{proposal.rows} of {file}; {proposal.key}.\n\nnext, after a look at {spec}:")
    for verb in ("validate", "plan", "run"):
        click.echo(f"  syncengine {verb} {shlex.quote(str(spec))}")
    return 0


def _say_written(files: Iterable[Path]) -> None:
    for path in files:
        click.echo(f"wrote {path}")
