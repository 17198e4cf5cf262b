"""Which rights a role has, whoever is connected, and what else its rights hang on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import psycopg
from msgspec.structs import asdict

from syncengine.catalog.session import pinned
from syncengine.catalog.tables import schemas_to_search
from syncengine.errors import OptionError
from syncengine.model.rights import Right

# What does not exist can't be had: NULL, which counts as no.
_HELD = """
SELECT coalesce(CASE w.kind
    WHEN 'database' THEN has_database_privilege(r.oid, d.oid, w.privilege)
    WHEN 'schema' THEN has_schema_privilege(r.oid, s.oid, w.privilege)
    WHEN 'sequence' THEN has_sequence_privilege(r.oid, c.oid, w.privilege)
    WHEN 'table' THEN has_table_privilege(r.oid, c.oid, w.privilege)
    ELSE has_column_privilege(r.oid, c.oid, w.column, w.privilege) END, false)
FROM pg_roles AS r
     CROSS JOIN jsonb_to_recordset(%s::jsonb)
         AS w (number int, kind text, schema text, name text, "column" text, privilege text)
     LEFT JOIN pg_database AS d ON w.kind = 'database' AND d.datname = w.name
     LEFT JOIN pg_namespace AS s ON w.kind = 'schema' AND s.nspname = w.name
     LEFT JOIN pg_namespace AS n ON n.nspname = w.schema
     LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
WHERE r.rolname = %s ORDER BY w.number"""

_SEQUENCES = """
SELECT DISTINCT m.nspname::text, s.relname::text
FROM pg_namespace AS n JOIN pg_class AS t ON t.relnamespace = n.oid
     JOIN pg_attrdef AS f ON f.adrelid = t.oid
     JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = f.adnum
     JOIN pg_depend AS p ON p.classid = 'pg_attrdef'::regclass AND p.objid = f.oid
          AND p.refclassid = 'pg_class'::regclass
     JOIN pg_class AS s ON s.oid = p.refobjid AND s.relkind = 'S'
     JOIN pg_namespace AS m ON m.oid = s.relnamespace
WHERE n.nspname = %s AND t.relname = %s AND a.attname = ANY (%s) ORDER BY 1, 2"""

_TABLES = """
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition ORDER BY 1"""

_RELATIONS = """
SELECT DISTINCT ON (w.number) s.schema, w.name
FROM jsonb_to_recordset(%s::jsonb) AS w (number int, name text, schemas text[])
     CROSS JOIN LATERAL unnest(w.schemas) WITH ORDINALITY AS s (schema, position)
     JOIN pg_namespace AS n ON n.nspname = s.schema
     JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
ORDER BY w.number, s.position"""

_SECURED = """
SELECT t.relrowsecurity AND NOT (r.rolsuper OR r.rolbypassrls)
       AND (t.relforcerowsecurity OR NOT pg_has_role(r.oid, t.relowner, 'USAGE'))
FROM pg_roles AS r, pg_namespace AS n JOIN pg_class AS t ON t.relnamespace = n.oid
WHERE r.rolname = %s AND n.nspname = %s AND t.relname = %s"""


def role_named(conn: psycopg.Connection, name: str | None) -> str:
    """Return the role of this name, or the connected one.  Raises OptionError where there is none."""
    with pinned(conn, doing="looking for the role"):
        row = conn.execute(
            "SELECT rolname::text FROM pg_roles WHERE rolname = coalesce(%s, CURRENT_USER::text)", [name]
        ).fetchone()
    if row is None:
        raise OptionError(f"there is no role {name!r}", hint="create it first: CREATE ROLE … LOGIN;")
    return str(row[0])


def held(conn: psycopg.Connection, role: str, rights: Iterable[Right]) -> list[bool]:
    """Tell of each right whether a role has it; a right to columns is one to a single column here."""
    wanted = [
        {**asdict(right), "number": number}
        | ({"kind": "column", "column": right.columns[0]} if right.columns else {})
        for number, right in enumerate(rights)
    ]
    with pinned(conn, doing="looking at rights"):
        return [row[0] for row in conn.execute(_HELD, [json.dumps(wanted), role]).fetchall()]


def default_sequences(
    conn: psycopg.Connection, table: tuple[str, str], columns: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the sequences that the columns' defaults draw on; identity columns have theirs without a right."""
    with pinned(conn, doing="looking for sequences"):
        return conn.execute(_SEQUENCES, [*table, list(columns)]).fetchall()


def tables_in(conn: psycopg.Connection, schema: str) -> list[str]:
    """Return the tables of a schema that are there to stay: staging tables are unlogged."""
    with pinned(conn, doing=f"looking into schema {schema}"):
        return [row[0] for row in conn.execute(_TABLES, [schema]).fetchall()]


def existing(conn: psycopg.Connection, names: Sequence[tuple[str | None, str]]) -> list[tuple[str, str]]:
    """Return where the relations of these names are, of those that exist."""
    with pinned(conn, doing="looking for tables") as path:
        wanted = [
            {"number": number, "name": name, "schemas": schemas_to_search(schema, path)}
            for number, (schema, name) in enumerate(names)
        ]
        return conn.execute(_RELATIONS, [json.dumps(wanted)]).fetchall()


def is_secured(conn: psycopg.Connection, role: str, table: tuple[str, str]) -> bool:
    """Tell whether row-level security of a table applies to a role."""
    with pinned(conn, doing="looking at row-level security"):
        row = conn.execute(_SECURED, [role, *table]).fetchone()
    return bool(row and row[0])
