"""The project that `syncengine init` writes: files by their paths in it, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from syncengine.errors import OptionError

SPEC_SCHEMA = ".schema/spec.json"
PROJECT_SCHEMA = ".schema/project.json"

_PROJECT = f"""\
# yaml-language-server: $schema={PROJECT_SCHEMA}
# The project file: what holds for all specs here and below.

# Where no connection is named, and neither $SYNCENGINE_URL nor $DATABASE_URL is set, specs go to the project's own
# PostgreSQL, which keeps its data in .syncengine/.
embedded: true

# The specs of a call that names none.
specs: [specs]

# Databases by name, for `--connection warehouse`, or in a spec `target: {{connection: warehouse, table: …}}`:
# connections:
#   warehouse: ${{WAREHOUSE_URL}}

# Editors complete and explain the keys by the files in .schema/; after an upgrade make them anew:
#   syncengine schema > {SPEC_SCHEMA}
#   syncengine schema --project > {PROJECT_SCHEMA}
"""

_SPEC = f"""\
# yaml-language-server: $schema=../{SPEC_SCHEMA}
# Keeps the table public.products in step with a file: new rows are inserted, changed ones updated, others left alone.
source: ../data/products.csv
target:
  table: public.products
  create: true        # the first run makes the table, with types inferred from the file
conflict_keys: [sku]  # what identifies a row
"""

_ROWS = """\
sku,name,price,available_from
TEA-01,Darjeeling,6.80,2026-03-01
TEA-02,Sencha,8.20,2026-03-15
CUP-01,"Cup, blue",4.50,2026-01-10
CUP-02,"Cup, green",4.50,2026-01-10
POT-01,Teapot,29.00,
"""


def schemas() -> dict[str, str]:
    """Return the files that editors go by."""
    from syncengine.spec.editor import project_schema_for_editors, spec_schema_for_editors, text

    return {SPEC_SCHEMA: text(spec_schema_for_editors()), PROJECT_SCHEMA: text(project_schema_for_editors())}


def example() -> dict[str, str]:
    """Return the files of the example project."""
    return {
        "syncengine.yaml": _PROJECT,
        "specs/products.yaml": _SPEC,
        "data/products.csv": _ROWS,
        **schemas(),
    }


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise OptionError if any of the files is there; nothing is ever overwritten."""
    there = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if there:
        verb = "exists" if len(there) == 1 else "exist"
        raise OptionError(
            f"{', '.join(there)} {verb}; nothing was written",
            hint="name another folder, or move it away first",
        )


def write(files: Mapping[Path, str]) -> None:
    """Write new files, with the folders they lie in.  Raises OptionError, also if one was made in the meantime."""
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError as error:
            hint = "name a folder that can be written to"
            raise OptionError(f"cannot write {path}: {error.strerror}", hint=hint) from error
