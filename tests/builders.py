"""Builders with defaults: spec files, and what a database holds, down to the row versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from psycopg.sql import SQL, Identifier

from tests.servers import Database

# The relations of users, with those that a run may leave behind in any schema; TOAST tables have no names to keep.
_RELATIONS = """
SELECT n.nspname::text, c.relname::text, c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind <> 'i'
  AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT LIKE 'pg_toast_temp%' ORDER BY 1, 2"""


def a_spec(folder: Path, source: object = "rows.csv", target: object = "public.t", **keys: object) -> Path:
    """Write spec.yaml into `folder` and return its path."""
    path = folder / "spec.yaml"
    text = yaml.safe_dump({"source": source, "target": target, **keys}, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def contents(db: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return every relation of the database, tables with their row versions and rows."""
    found: dict[str, list[tuple[object, ...]]] = {}
    rows = SQL("SELECT ctid::text, xmin::text, t::text FROM ONLY {} AS t ORDER BY ctid")
    for schema, name, kind in db.execute(_RELATIONS):
        query = rows.format(Identifier(str(schema), str(name)))
        found[f"{schema}.{name}"] = db.conn.execute(query).fetchall() if kind in ("r", "m") else []
    return found


@contextmanager
def untouched(db: Database) -> Iterator[None]:
    """Check that the block changes no row, not even its version, and leaves no relation behind."""
    before = contents(db)
    yield
    assert contents(db) == before
