"""What the server is, what the role may do there, and how its functions behave."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from syncengine.catalog.session import pinned
from syncengine.connect import wrap
from syncengine.errors import TargetError
from syncengine.model.facts import ServerFacts
from syncengine.sql.ledger import TABLES, version_of

OLDEST = 140000

# Runs under the role's own path, because it reports it: all names and operators are qualified.
_SERVER = """
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_database()::pg_catalog.text,
       CURRENT_USER::pg_catalog.text,
       pg_catalog.current_setting('search_path'),
       pg_catalog.current_setting('transaction_read_only'),
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP'),
       engine.oid IS NOT NULL,
       pg_catalog.has_schema_privilege(engine.oid, 'USAGE')
           AND pg_catalog.has_schema_privilege(engine.oid, 'CREATE'),
       runs.oid IS NOT NULL,
       pg_catalog.obj_description(runs.oid, 'pg_class'),
       pg_catalog.has_table_privilege(runs.oid, 'SELECT') AND pg_catalog.has_table_privilege(runs.oid, 'INSERT')
           AND pg_catalog.has_table_privilege(runs.oid, 'UPDATE'),
       pg_catalog.version(),
       (SELECT owner.rolname::pg_catalog.text
        FROM pg_catalog.pg_roles AS owner, pg_catalog.pg_database AS base
        WHERE base.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
          AND (owner.oid OPERATOR(pg_catalog.=) (SELECT n.nspowner FROM pg_catalog.pg_namespace AS n
                                                 WHERE n.oid OPERATOR(pg_catalog.=) engine.oid)
               OR EXISTS (SELECT FROM pg_catalog.pg_class AS c
                          WHERE c.relnamespace OPERATOR(pg_catalog.=) engine.oid
                            AND c.relowner OPERATOR(pg_catalog.=) owner.oid
                            AND c.relname OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.name[])))
          AND NOT (owner.rolsuper OR owner.oid OPERATOR(pg_catalog.=) base.datdba
                   OR owner.rolname OPERATOR(pg_catalog.=) 'pg_database_owner'
                   OR pg_catalog.pg_has_role(owner.oid, 'MEMBER'))
        LIMIT 1),
       pg_catalog.current_setting('server_encoding')
FROM (SELECT pg_catalog.to_regnamespace(pg_catalog.quote_ident(%s))::pg_catalog.oid) AS engine (oid),
     LATERAL (SELECT CASE WHEN pg_catalog.has_schema_privilege(engine.oid, 'USAGE')
        THEN pg_catalog.to_regclass(pg_catalog.format('%%I.runs', %s::pg_catalog.text)) END::pg_catalog.oid
         ) AS runs (oid)"""

_VOLATILITY = """
SELECT n.nspname || '.' || p.proname, max(array_position('{i,s,v}', p.provolatile::text))
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prokind = 'f' AND n.nspname || '.' || p.proname = ANY (%s)
GROUP BY 1"""


# Not to_regtype(): that refuses names in schemas which are closed to the role.
_OPERATORS = """
SELECT t.name, o.oprname, n.nspname
FROM unnest(%s::text[]) AS t (name), pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE t.name IN (format_type(o.oprleft, -1), format_type(o.oprright, -1)) AND n.nspname <> 'pg_catalog'"""


def server_facts(conn: psycopg.Connection, *, engine_schema: str) -> ServerFacts:
    """Return the facts, by one query.  Raises TargetError for servers older than PostgreSQL 14."""
    _refuse_old(conn.info.server_version)
    try:
        row = conn.execute(_SERVER, (list(TABLES), engine_schema, engine_schema)).fetchone()
    except psycopg.Error as error:
        raise wrap(error, doing="looking at the server") from error
    assert row is not None  # one FROM row, always
    version, database, role, path, read_only, recovery, may_create, may_temp, *engine, encoding = row
    exists, writable, has_ledger, comment, ledger_rights, build, stranger = engine
    return ServerFacts(
        version=conn.info.server_version,
        version_text=version,
        database=database,
        role=role,
        search_path=path,
        read_only=read_only == "on",
        in_recovery=recovery,
        engine_schema=writable if exists else may_create,
        engine_schema_exists=exists,
        ledger=bool(ledger_rights) if has_ledger else bool(writable if exists else may_create),
        ledger_version=version_of(comment) if has_ledger else 0,
        ledger_stranger=stranger,
        notices_dead_clients="linux" in build,
        temporary=may_temp,
        encoding=encoding,
    )


def _refuse_old(version: int) -> None:
    # A connection that was lost a moment ago gives 0; the next query tells of the loss.
    if 0 < version < OLDEST:
        raise TargetError(
            f"the server is PostgreSQL {version // 10000}, which is too old",
            hint=f"use PostgreSQL {OLDEST // 10000} or newer",
        )


def operators(conn: psycopg.Connection, types: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the schema of each operator outside pg_catalog that takes one of the types, by type and operator.

    `types` are spelt as table_facts spells them.
    """
    if not types:
        return {}
    with pinned(conn, doing="looking up operators"):
        rows = conn.execute(_OPERATORS, (list(types),)).fetchall()
    found: dict[str, dict[str, str]] = {}
    for type_name, operator, schema in rows:
        found.setdefault(type_name, {})[operator] = schema
    return found


def function_volatility(conn: psycopg.Connection, names: Sequence[str]) -> dict[str, str]:
    """Return immutable, stable or volatile for each function "schema.name", the worst of its overloads.

    Names that the server does not have are absent.
    """
    if not names:
        return {}
    words = ("immutable", "stable", "volatile")
    with pinned(conn, doing="looking up functions"):
        rows = conn.execute(_VOLATILITY, (list(names),)).fetchall()
    return {name: words[worst - 1] for name, worst in rows}
