"""Foreign keys from and to a table, as parts of the query that describes it."""

from __future__ import annotations

from typing import Any

from psycopg.sql import SQL

from syncengine.model.facts import ForeignKeyFacts

# A partition's own copies of its parent's keys have a parent themselves.
_KEYS = """
    SELECT jsonb_agg(jsonb_build_object(
        'name', k.conname, 'schema', m.nspname, 'table', c.relname,
        'columns', (SELECT jsonb_agg(a.attname ORDER BY p.place)
                    FROM unnest(k.conkey) WITH ORDINALITY AS p (attnum, place)
                         JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.attnum),
        'referenced', (SELECT jsonb_agg(a.attname ORDER BY p.place)
                       FROM unnest(k.confkey) WITH ORDINALITY AS p (attnum, place)
                            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = p.attnum),
        'on_delete', k.confdeltype, 'readable',
        has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(m.oid, 'USAGE')) ORDER BY k.conname)
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.{other}
         JOIN pg_namespace AS m ON m.oid = c.relnamespace
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.{own} = t.oid"""
FOREIGN_KEYS = SQL(_KEYS.replace("{other}", "confrelid").replace("{own}", "conrelid"))
REFERENCED_BY = SQL(_KEYS.replace("{other}", "conrelid").replace("{own}", "confrelid"))
_ON_DELETE = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}


def foreign_key(row: dict[str, Any]) -> ForeignKeyFacts:
    lists = {"columns": tuple(row["columns"]), "referenced": tuple(row["referenced"])}
    return ForeignKeyFacts(**(row | lists | {"on_delete": _ON_DELETE[row["on_delete"]]}))
