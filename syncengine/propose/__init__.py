"""Propose a spec for a file by looking at its rows; nothing but the file is needed.

names: of tables and columns; look: types; keys: what is unique; reading: delimiter, header, encoding; text: the YAML.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from syncengine.errors import OptionError, SpecErrors, SyncError
from syncengine.propose.names import table_name
from syncengine.propose.reading import File, read
from syncengine.propose.text import key_of, rows_of, spec_text
from syncengine.spec.load import load_mapping
from syncengine.spec.project import Project


class Proposal(Struct, frozen=True, kw_only=True):
    """The text of a spec, and in words how many rows were looked at and what identifies one."""

    text: str
    rows: str
    key: str


def propose(
    file: Path,
    *,
    folder: Path,
    project: Project,
    environ: Mapping[str, str],
    schema: Path,
    target: str | None = None,
) -> Proposal:
    """Return a spec that is to stand in `folder`, for a file of rows; `schema` is the JSON Schema's file.

    Raises SyncError: the file can't be read, or not by specs in that folder.
    """
    _refuse_what_is_no_file(file)
    path = _path(file, folder)
    table = target or f"public.{table_name(file.name)}"
    said = {"source": path.replace("${", "$${"), "target": table}
    try:
        spec = load_mapping(said, folder=folder, project=project, environ=environ)
    except SyncError as error:
        raise _placed(error) from error.__cause__
    here = Path.cwd()
    reading = read(File(type=spec.source.type, path=_path(file, here), folder=str(here), roots=spec.roots))
    text = spec_text(reading, path=path, table=table, schema=os.path.relpath(schema, folder))
    return Proposal(text=text, rows=rows_of(reading), key=key_of(reading))


def spec_file(file: Path) -> str:
    """Return the name of the spec file for a file of rows."""
    return f"{table_name(file.name)}.yaml"


def _refuse_what_is_no_file(file: Path) -> None:
    if str(file) == "-" or ":/" in str(file):
        raise OptionError(
            f"{file} is no file, and its rows are read more than once", hint="save them to a file"
        )


def _path(file: Path, folder: Path) -> str:
    """Return the file's path from a folder, as a source takes it."""
    real = os.path.join(os.path.realpath(file.parent), file.name)
    path = os.path.relpath(real, os.path.realpath(folder))
    return os.path.join(".", path) if path.startswith(("~", "-")) else path


def _placed(error: SyncError) -> SyncError:
    """Return an error without the place in a spec that is not written yet."""
    singles = error.each()
    for single in singles:
        if single.location is not None and single.location.file.startswith("<spec>"):
            single.location = None
    return singles[0] if len(singles) == 1 else SpecErrors(singles)
