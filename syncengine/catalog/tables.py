"""One table as pg_catalog shows it: columns, unique indexes, triggers, rules, and what the role may do."""

from __future__ import annotations

from typing import Any, Literal

import psycopg
from psycopg.sql import SQL

from syncengine.catalog.foreign_keys import FOREIGN_KEYS, REFERENCED_BY, foreign_key
from syncengine.catalog.session import LOCK_TIMEOUT, pinned
from syncengine.catalog.types import DESCRIBED, type_fields
from syncengine.model.facts import (
    ColumnFacts,
    IndexFacts,
    Relation,
    TableFacts,
    TriggerFacts,
)

_KINDS: dict[str, tuple[Relation, str]] = {
    "r": ("table", "table"),
    "p": ("partitioned", "partitioned table"),
    "v": ("view", "view"),
    "f": ("foreign", "foreign table"),
    "m": ("other", "materialized view"),
    "S": ("other", "sequence"),
    "c": ("other", "composite type"),
    "i": ("other", "index"),
    "I": ("other", "partitioned index"),
    "t": ("other", "TOAST table"),
}

# Bits of pg_trigger.tgtype and of pg_relation_is_updatable(): 1 << CmdType, UPDATE being 2 and INSERT 3.
_ROW, _BEFORE, _INSTEAD = 1, 2, 64
_EVENTS = (("INSERT", 4), ("UPDATE", 16), ("DELETE", 8), ("TRUNCATE", 32))
_CAN_UPDATE, _CAN_INSERT = 4, 8

_HEAD = SQL("""
WITH RECURSIVE place AS (
    SELECT n.oid, s.name, s.position
    FROM unnest(%(schemas)s::text[]) WITH ORDINALITY AS s (name, position)
         LEFT JOIN pg_namespace AS n ON n.nspname = s.name),
target AS (
    SELECT c.*, p.name AS schema, p.oid AS nsp
    FROM place AS p JOIN pg_class AS c ON c.relnamespace = p.oid AND c.relname = %(name)s
    ORDER BY p.position LIMIT 1),
home AS (
    SELECT coalesce(t.schema, p.name) AS schema, coalesce(t.nsp, p.oid) AS oid
    FROM place AS p LEFT JOIN target AS t ON true ORDER BY p.position DESC LIMIT 1),
used (typid, typmod, coll) AS (
    SELECT DISTINCT a.atttypid, a.atttypmod, a.attcollation
    FROM target AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
""")

# A view's column that no UPDATE reaches is computed, which is what `generated` says of a table's; unless a trigger
# INSTEAD OF INSERT takes it.
_COLUMNS = SQL("""
    SELECT jsonb_agg(jsonb_build_object(
        'name', a.attname, 'type', d.type, 'base_type', d.base_type, 'identity_equal', d.identity_equal,
        'equality', d.equality, 'kind', d.kind, 'input_type', d.input_type, 'rounds', d.rounds,
        'rounds_inside', d.rounds_inside, 'spelt', d.spelt, 'not_null', a.attnotnull,
        'collation', (SELECT jsonb_build_array(m.nspname, l.collname)
                      FROM pg_collation AS l JOIN pg_namespace AS m ON m.oid = l.collnamespace
                      WHERE l.oid = a.attcollation AND a.attcollation <> y.typcollation),
        'has_default', a.atthasdef AND a.attgenerated = '' OR y.typdefault IS NOT NULL,
        'default', CASE WHEN a.attgenerated = '' AND a.attidentity = ''
                   THEN coalesce((SELECT pg_get_expr(f.adbin, f.adrelid) FROM pg_attrdef AS f
                                  WHERE f.adrelid = t.oid AND f.adnum = a.attnum), y.typdefault) END,
        'generated', a.attgenerated <> '' OR t.relkind = 'v'
                     AND pg_relation_is_updatable(t.oid, false) & 20 = 20
                     AND NOT pg_column_is_updatable(t.oid, a.attnum, false)
                     AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.oid AND g.tgtype & 68 = 68),
        'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'default' ELSE '' END,
        'privileges', ARRAY(SELECT right_name FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS right_name
                            WHERE has_column_privilege(t.oid, a.attnum, right_name))) ORDER BY a.attnum)
    FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid
         JOIN described AS d ON d.typid = a.atttypid AND d.typmod = a.atttypmod AND d.coll = a.attcollation
    WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped""")

# How rows lie by a first key of which they share few values says nothing of how they lie by the others.
# indnullsnotdistinct is there from PostgreSQL 15 on.
_INDEXES = SQL("""
    SELECT jsonb_agg(jsonb_build_object(
        'name', c.relname, 'keys', k.keys, 'expressions', k.expressions, 'equality', k.equality,
        'collations', k.collations,
        'predicate', pg_get_expr(i.indpred, i.indrelid, true), 'unique', i.indisunique,
        'primary', i.indisprimary, 'immediate', i.indimmediate, 'valid', i.indisvalid AND i.indisready,
        'nulls_not_distinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
        'constraint', o.conname, 'exclusion', i.indisexclusion,
        'correlation', s.correlation) ORDER BY c.relname)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
         LEFT JOIN pg_constraint AS o ON o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')
         CROSS JOIN LATERAL (
             SELECT jsonb_agg(coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, n, true)) ORDER BY n)
                        AS keys,
                    jsonb_agg(a.attname IS NULL ORDER BY n) AS expressions,
                    jsonb_agg(jsonb_build_array(m.nspname, e.oprname) ORDER BY n) AS equality,
                    jsonb_agg(CASE WHEN l.oid <> coalesce(a.attcollation, 0)
                                        AND (NOT l.collisdeterministic OR EXISTS (
                                            SELECT FROM pg_attribute AS b JOIN pg_collation AS d
                                                             ON d.oid = b.attcollation
                                            WHERE b.attrelid = t.oid AND NOT d.collisdeterministic))
                                   THEN jsonb_build_array(h.nspname, l.collname) END ORDER BY n) AS collations
             FROM generate_series(1, i.indnkeyatts) AS n
                  LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]
                       AND i.indkey[n - 1] <> 0
                  JOIN pg_opclass AS z ON z.oid = i.indclass[n - 1]
                  LEFT JOIN pg_amop AS f ON f.amopfamily = z.opcfamily AND f.amopstrategy = 3
                       AND f.amoplefttype = z.opcintype AND f.amoprighttype = z.opcintype
                       AND NOT i.indisexclusion
                  JOIN pg_operator AS e ON e.oid = coalesce(o.conexclop[n], f.amopopr)
                  JOIN pg_namespace AS m ON m.oid = e.oprnamespace
                  LEFT JOIN pg_collation AS l ON l.oid = i.indcollation[n - 1]
                  LEFT JOIN pg_namespace AS h ON h.oid = l.collnamespace) AS k
         LEFT JOIN (SELECT a.attnum, s.correlation
                    FROM pg_stats AS s JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = s.attname
                    WHERE s.schemaname = t.schema AND s.tablename = t.relname AND NOT s.inherited
                          AND (s.n_distinct < -0.1 OR s.n_distinct > 0.1 * t.reltuples)) AS s
                   ON s.attnum = i.indkey[0]
    WHERE i.indrelid = t.oid AND (i.indisunique OR i.indisexclusion)""")

_TRIGGERS = SQL("""
    SELECT jsonb_agg(jsonb_build_object('name', g.tgname, 'type', g.tgtype) ORDER BY g.tgname)
    FROM pg_trigger AS g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')""")

_RULES = SQL("""
    SELECT jsonb_agg(r.rulename ORDER BY r.rulename)
    FROM pg_rewrite AS r WHERE r.ev_class = t.oid AND r.rulename <> '_RETURN'""")

# reltuples is -1 until the first VACUUM or ANALYZE; of a partitioned table it is that of its leaves.
_ROWS = SQL("""
    SELECT sum(l.reltuples)::bigint FROM pg_class AS l
    WHERE l.reltuples >= 0 AND t.relkind IN ('r', 'p', 'f', 'm') AND l.oid IN (
        SELECT t.oid WHERE t.relkind <> 'p' UNION ALL
        SELECT f.relid FROM pg_partition_tree(t.oid) AS f WHERE f.isleaf AND t.relkind = 'p')""")

_TABLE = SQL("""{head}{described}
SELECT h.schema, h.oid IS NOT NULL, coalesce(has_schema_privilege(h.oid, 'USAGE'), true),
       coalesce(has_schema_privilege(h.oid, 'CREATE'), false),
       CASE WHEN t.oid IS NOT NULL THEN jsonb_build_object(
           'kind', t.relkind, 'columns', ({columns}), 'indexes', ({indexes}), 'triggers', ({triggers}),
           'rules', ({rules}), 'foreign_keys', ({foreign_keys}), 'referenced_by', ({referenced_by}),
           'rows', ({rows}), 'row_security', row_security_active(t.oid),
           'inherited', t.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS s WHERE s.inhparent = t.oid),
           'updatable', pg_relation_is_updatable(t.oid, false),
           'privileges', ARRAY(SELECT right_name FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'])
                               AS right_name WHERE has_table_privilege(t.oid, right_name))) END
FROM home AS h LEFT JOIN target AS t ON true""").format(
    head=_HEAD,
    described=DESCRIBED,
    columns=_COLUMNS,
    indexes=_INDEXES,
    triggers=_TRIGGERS,
    rules=_RULES,
    foreign_keys=FOREIGN_KEYS,
    referenced_by=REFERENCED_BY,
    rows=_ROWS,
)


def table_facts(
    conn: psycopg.Connection, schema: str | None, name: str, *, lock_timeout: str = LOCK_TIMEOUT
) -> TableFacts:
    """Return what the catalog says of a table, found by its exact name.

    Without a schema the role's search_path decides; if no table is found, `schema` is where CREATE TABLE
    would put one, or public.  A missing table has the privilege CREATE if the role may make tables there.
    A schema that is closed to the role has `schema_usage` False, a missing one only `schema_exists`.
    """
    doing = f"looking at table {schema + '.' if schema else ''}{name}"
    with pinned(conn, doing=doing, lock_timeout=lock_timeout) as path:
        row = conn.execute(_TABLE, {"schemas": schemas_to_search(schema, path), "name": name}).fetchone()
    assert row is not None  # `home` has one row for any list of schemas
    home, exists, usage, create, found = row
    if found is None:
        rights = frozenset({"CREATE"} if create and usage else ())
        return TableFacts(
            schema=home, name=name, exists=False, schema_exists=exists, schema_usage=usage, privileges=rights
        )
    return _table(home, name, usage, found)


def schemas_to_search(schema: str | None, path: list[str]) -> list[str]:
    """Return where to look for a table, at last where CREATE TABLE would make it.

    A temporary table is none of them: behind a pooler somebody else may have left it in the session.
    """
    if schema:
        return [schema]
    lasting = [name for name in path if not name.startswith("pg_temp")]
    return [*lasting, next((name for name in lasting if name != "pg_catalog"), "public")]


def _table(schema: str, name: str, usage: bool, row: dict[str, Any]) -> TableFacts:
    relation, kind_text = _KINDS.get(row["kind"], ("other", "relation"))
    return TableFacts(
        schema=schema,
        name=name,
        relation=relation,
        kind_text=kind_text,
        columns=tuple(_column(column) for column in row["columns"] or ()),
        indexes=tuple(_index(index) for index in row["indexes"] or ()),
        triggers=tuple(_trigger(trigger) for trigger in row["triggers"] or ()),
        rules=tuple(row["rules"] or ()),
        foreign_keys=tuple(foreign_key(key) for key in row["foreign_keys"] or ()),
        referenced_by=tuple(foreign_key(key) for key in row["referenced_by"] or ()),
        privileges=frozenset(row["privileges"]),
        schema_usage=usage,
        row_security=row["row_security"],
        rows=row["rows"],
        inherited=row["inherited"],
        insertable=bool(row["updatable"] & _CAN_INSERT),
        updatable=bool(row["updatable"] & _CAN_UPDATE),
    )


def _column(row: dict[str, Any]) -> ColumnFacts:
    collation = tuple(row["collation"]) if row["collation"] else None
    own = {"collation": collation, "privileges": frozenset(row["privileges"])}
    return ColumnFacts(**(type_fields(row) | own))


def _index(row: dict[str, Any]) -> IndexFacts:
    equality = tuple((schema, name) for schema, name in row["equality"])
    lists = {"keys": tuple(row["keys"]), "expressions": tuple(row["expressions"]), "equality": equality}
    collations = tuple(tuple(name) if name else None for name in row["collations"])
    return IndexFacts(**(row | lists | {"collations": collations if any(collations) else ()}))


def _trigger(row: dict[str, Any]) -> TriggerFacts:
    bits = row["type"]
    timing: Literal["BEFORE", "AFTER", "INSTEAD OF"] = "AFTER"
    if bits & _BEFORE:
        timing = "BEFORE"
    elif bits & _INSTEAD:
        timing = "INSTEAD OF"
    events = tuple(event for event, bit in _EVENTS if bits & bit)
    return TriggerFacts(name=row["name"], timing=timing, events=events, row=bool(bits & _ROW))
