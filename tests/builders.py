"""Builders with defaults: spec files, facts and tasks, and what a database holds, down to the row versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg.sql import SQL, Identifier

from syncengine import registry
from syncengine.errors import SpecErrors, SyncError
from syncengine.model.facts import (
    ColumnFacts,
    CsvFormat,
    Handover,
    IndexFacts,
    ServerFacts,
    SourceFacts,
    TableFacts,
)
from syncengine.model.spec import Spec
from syncengine.model.task import Task
from syncengine.prepare import parse_index
from syncengine.resolve import resolve
from syncengine.spec.expressions import of_catalog
from syncengine.spec.load import load_text
from syncengine.spec.project import Project
from tests.servers import Database

# The relations of users, with those that a run may leave behind in any schema, but for the ledger, in which failed runs
# are noted as well; TOAST tables have no names to keep.
_RELATIONS = """
SELECT n.nspname::text, c.relname::text, c.relkind::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind <> 'i'
  AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT LIKE 'pg_toast_temp%'
  AND NOT (n.oid = (SELECT relnamespace FROM pg_class WHERE obj_description(oid) LIKE 'syncengine ledger%')
           AND relname ~ '^(runs|chunks|published|leases|watermarks|quarantine)(_id_seq)?$') ORDER BY 1, 2"""


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


# The facts that unit tests resolve specs against.

_IDENTITY_EQUAL = {
    "smallint",
    "integer",
    "bigint",
    "uuid",
    "date",
    "text",
    "boolean",
    "timestamp with time zone",
}
_ALL_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})


def parsed(text: str, **project: Any) -> Spec:
    """Return the spec of a YAML text in the file s.yaml; what every spec needs is added where it lacks."""
    lacking = [f"{key}: {value}" for key, value in _DEFAULTS.items() if not re.search(f"^{key}:", text, re.M)]
    found = Project(folder=Path("/project"), **project)
    whole = "\n".join([text.rstrip(), *lacking])
    (spec,) = load_text(whole, file="s.yaml", folder=found.folder, project=found, environ={})
    return spec


_DEFAULTS = {"source": "rows.csv", "target": "shop.orders", "name": "orders"}


def a_column(declaration: str, **facts: Any) -> ColumnFacts:
    """Return a column from `name type`; its name holds no space unless `name` is given as well."""
    name, _, type_name = declaration.partition(" ")
    type_name = type_name or "text"
    base = type_name.partition("(")[0]
    kind = "json" if base in ("json", "jsonb") else "array" if base.endswith("[]") else "plain"
    without = {"equality": None} if base in ("json", "point") else {}
    known = {"name": name, "type": type_name, "base_type": base, "kind": kind, **without}
    return ColumnFacts(**{**known, "identity_equal": base in _IDENTITY_EQUAL, **facts})


def an_index(*keys: str, **facts: Any) -> IndexFacts:
    """Return a unique index; a key that is no word is an expression."""
    expressions = tuple(not key.isidentifier() for key in keys)
    name = "_".join(("orders", *(key for key in keys if key.isidentifier()), "key"))
    return IndexFacts(**{"name": name, "keys": keys, "expressions": expressions, **facts})


def a_table(*columns: str | ColumnFacts, **facts: Any) -> TableFacts:
    """Return the table shop.orders with these columns, on which the role has all rights; it has no index."""
    found = tuple(column if isinstance(column, ColumnFacts) else a_column(column) for column in columns)
    return TableFacts(
        **{"schema": "shop", "name": "orders", "columns": found, "privileges": _ALL_RIGHTS, **facts}
    )


def a_source(*fields: str, **facts: Any) -> SourceFacts:
    """Return rows.csv with these fields and a thousand rows, counted."""
    known = {"label": "rows.csv", "fields": fields, "handovers": Handover.ROWS | Handover.CSV_BYTES}
    return SourceFacts(**{**known, "rows": 1000, "exact": True, "csv": CsvFormat(), **facts})


def a_server(**facts: Any) -> ServerFacts:
    known = {
        "version": 180000,
        "version_text": "18.0",
        "database": "db",
        "role": "loader",
        "ledger_version": 2,
    }
    return ServerFacts(**{**known, "engine_schema_exists": True, **facts})


def a_task(
    spec: str | Spec,
    table: TableFacts,
    source: SourceFacts | None = None,
    server: ServerFacts | None = None,
    **more: Any,
) -> Task:
    """Resolve a spec as `prepare` does, without a server's opinion; the source has the table's columns by default."""
    found = parsed(spec) if isinstance(spec, str) else spec
    return resolve(
        found,
        source or a_source(*(column.name for column in table.columns)),
        table,
        server or a_server(),
        mode=registry.mode(found.mode),
        **{
            "run": "run",
            "declared": {
                item.column: a_column(f"{item.column} {item.type}") for item in found.columns if item.type
            },
            "parse": parse_index,
            "read_default": of_catalog,
            "infer_arbiter": lambda keys: None,
            **more,
        },
    )


def complaints(spec: str | Spec, table: TableFacts, *facts: Any, **more: Any) -> tuple[SyncError, ...]:
    """Return the problems for which a spec is refused."""
    with pytest.raises(SpecErrors) as caught:
        a_task(spec, table, *facts, **more)
    return caught.value.each()


# First lines of CSV files that make no table's columns as they stand.
ODD_HEADERS = {
    "spaces": "first name, last name ",
    "capitals": "ID,Name",
    "same-but-for-case": "id,ID,Id",
    "twice": "id,id,name",
    "empty": "id,,name,",
    "quotes": '"a ""b""",\'c\'',
    "reserved": "select,user,order,null,true,yes",
    "system": "ctid,xmin,tableoid",
    "long": f"{'x' * 70},{'x' * 71}",
    "unicode": "größe,名字,🦆,é",
    "line-break": '"a\nb",c',
    "reference": "${HOME},$${x},$1",
    "yaml": "a: b,- c,#d,[e],{f},*g,&h,!i,%j,@k,`l`",
    "engine": "target,excluded,source,_op",
    "numbers": "1,2,3.5,1e5",
}
