"""Types: canonical names, base types, and which equality they have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL

from syncengine.catalog.session import own_path, pinned
from syncengine.connect import wrap
from syncengine.errors import SpecError, SpecErrors, SyncError, TargetError
from syncengine.model.facts import ColumnFacts

# Modifiers that round: a scale, fewer than six digits of a second, the fields of an interval.
_ROUNDS = SQL("""({typmod} >= 0 AND (
    {unit} = 'numeric' OR {unit} IN ('time', 'timetz', 'timestamp', 'timestamptz') AND {typmod} < 6
    OR {unit} = 'interval' AND ({typmod} & 65535 < 6 OR ({typmod} >> 16) & 32767 <> 32767)))""")
# Follows a CTE `used (typid, typmod, coll)` without repeats, and adds `described`, with what ColumnFacts say
# of a type.  Needs the pinned path, under which format_type qualifies all but the built-in names.
#   chain: a domain and what it stands on, down to the base type.  part: all that a type is made of.
#   equal: the `=` of the default btree operator class, found as the server does (GetDefaultOpClass): that of
#   the type, of its polymorphic kin, or of a type it is binary-coercible to; elements of arrays need one too.
# A domain over an enum has no `=` at all: anyenum does not take it.
# Typmod -1 and not NULL for the base type: NULL makes "character" of bpchar, and a cast to that cuts to one.
#   base: `unit` is the built-in type of a value, or of an array's elements; `typmod` is the one in a domain.
DESCRIBED = SQL("""
chain (root, oid, typmod) AS (
    SELECT DISTINCT typid, typid, -1 FROM used
    UNION
    SELECT c.root, t.typbasetype, greatest(c.typmod, t.typtypmod)
    FROM chain AS c JOIN pg_type AS t ON t.oid = c.oid WHERE t.typtype = 'd'),
base AS (
    SELECT c.root, t.oid, t.typtype, t.typelem, t.typreceive, c.typmod, e.oid IS NOT NULL AS is_array,
           CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END AS builtin,
           CASE WHEN coalesce(e.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace
                THEN coalesce(e.typname, t.typname) ELSE '' END AS unit
    FROM chain AS c JOIN pg_type AS t ON t.oid = c.oid AND t.typtype <> 'd'
         LEFT JOIN pg_type AS e ON e.oid = t.typelem AND e.typarray = t.oid),
part (root, oid) AS (
    SELECT DISTINCT typid, typid FROM used
    UNION
    SELECT p.root, inner_type.oid
    FROM part AS p JOIN pg_type AS t ON t.oid = p.oid
         CROSS JOIN LATERAL (
             SELECT t.typbasetype WHERE t.typtype = 'd'
             UNION ALL
             SELECT e.oid FROM pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid
             UNION ALL
             SELECT a.atttypid FROM pg_attribute AS a
             WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
         ) AS inner_type (oid)),
equal AS (
    SELECT t.oid, found.operator
    FROM pg_type AS t LEFT JOIN LATERAL (
        SELECT jsonb_build_array(n.nspname, o.oprname) AS operator
        FROM pg_opclass AS k
             JOIN pg_am AS m ON m.oid = k.opcmethod AND m.amname = 'btree'
             JOIN pg_amop AS f ON f.amopfamily = k.opcfamily AND f.amopstrategy = 3
                  AND f.amoplefttype = k.opcintype AND f.amoprighttype = k.opcintype
             JOIN pg_operator AS o ON o.oid = f.amopopr
             JOIN pg_namespace AS n ON n.oid = o.oprnamespace
             JOIN pg_type AS i ON i.oid = k.opcintype
        WHERE k.opcdefault AND (
            k.opcintype = t.oid
            OR k.opcintype = CASE t.typtype WHEN 'e' THEN 'anyenum'::regtype WHEN 'r' THEN 'anyrange'::regtype
                   WHEN 'm' THEN 'anymultirange'::regtype WHEN 'c' THEN 'record'::regtype END
            OR k.opcintype = 'anyarray'::regtype AND EXISTS (
                SELECT FROM pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid)
            OR EXISTS (
                SELECT FROM pg_cast AS x WHERE x.castsource = t.oid AND x.casttarget = k.opcintype
                AND x.castmethod = 'b' AND x.castcontext = 'i'))
        ORDER BY k.opcintype = t.oid DESC, i.typispreferred DESC LIMIT 1
    ) AS found ON true
    WHERE t.oid IN (SELECT part.oid FROM part) AND t.typtype <> 'd'),
described AS (
    SELECT u.typid, u.typmod, u.coll,
           format_type(u.typid, u.typmod) AS type,
           format_type(b.oid, -1) AS base_type,
           b.typtype = 'e' AND b.oid = u.typid OR b.builtin IN (
               'bool', 'int2', 'int4', 'int8', 'oid', 'uuid', 'date', 'time', 'timetz', 'timestamp',
               'timestamptz', 'money', 'char', 'bytea', 'macaddr', 'macaddr8')
               OR b.builtin IN ('text', 'varchar', 'name') AND coalesce(l.collisdeterministic, true)
               AS identity_equal,
           CASE WHEN (b.typtype <> 'e' OR b.oid = u.typid) AND NOT EXISTS (
               SELECT FROM part AS p JOIN equal AS q ON q.oid = p.oid
               WHERE p.root = u.typid AND q.operator IS NULL) THEN e.operator END AS equality,
           CASE WHEN b.builtin IN ('json', 'jsonb') THEN 'json'
                WHEN b.is_array THEN CASE WHEN b.unit IN ('json', 'jsonb') THEN 'json array' ELSE 'array' END
                ELSE 'plain' END AS kind,
           format_type(b.oid, greatest(u.typmod, b.typmod)) AS input_type,
           EXISTS (SELECT FROM pg_proc AS r WHERE r.oid = b.typreceive AND r.prosrc IN ('textrecv', 'enum_recv'))
               AND b.builtin = '' AS spelt,
           {rounds} AS rounds,
           b.typtype = 'c' AND EXISTS (
               SELECT FROM part AS p JOIN pg_type AS t ON t.oid = p.oid AND t.typtype = 'c'
                    JOIN pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                    JOIN pg_type AS y ON y.oid = a.atttypid
               WHERE p.root = u.typid AND {rounds_inside})
           OR (b.typtype = 'c' OR b.is_array) AND EXISTS (
               SELECT FROM part AS p JOIN pg_type AS t ON t.oid = p.oid AND t.typtype = 'd'
                    JOIN pg_type AS y ON y.oid = t.typbasetype
               WHERE p.root = u.typid AND {rounds_within}) AS rounds_inside
    FROM used AS u JOIN base AS b ON b.root = u.typid JOIN equal AS e ON e.oid = b.oid
         LEFT JOIN pg_collation AS l ON l.oid = u.coll)""").format(
    rounds=_ROUNDS.format(unit=SQL("b.unit"), typmod=SQL("greatest(u.typmod, b.typmod)")),
    rounds_inside=_ROUNDS.format(unit=SQL("y.typname"), typmod=SQL("a.atttypmod")),
    rounds_within=_ROUNDS.format(unit=SQL("y.typname"), typmod=SQL("t.typtypmod")),
)

_TYPES = SQL("""
WITH RECURSIVE given AS (
    SELECT g.position, g.typmod, t.oid AS typid, t.typcollation AS coll
    FROM unnest(%s::oid[], %s::int[], %s::boolean[]) WITH ORDINALITY AS g (oid, typmod, is_array, position)
         JOIN pg_type AS a ON a.oid = g.oid
         JOIN pg_type AS t ON t.oid = CASE WHEN g.is_array THEN a.oid ELSE a.typelem END),
used (typid, typmod, coll) AS (SELECT DISTINCT g.typid, g.typmod, g.coll FROM given AS g),
{described}
SELECT jsonb_build_object('type', d.type, 'base_type', d.base_type, 'kind', d.kind,
                          'identity_equal', d.identity_equal, 'equality', d.equality, 'input_type', d.input_type,
                          'spelt', d.spelt, 'rounds', d.rounds, 'rounds_inside', d.rounds_inside)
FROM given AS g JOIN described AS d ON d.typid = g.typid AND d.typmod = g.typmod ORDER BY g.position
""").format(described=DESCRIBED)

_NAME = r'(?:[^\W\d][\w$]*|"(?:[^"\x00]|"")+")'
_FIELD = r"(?:year|month|day|hour|minute|second)"
_WORDS = (
    r"double\s+precision|bit\s+varying|(?:national\s+)?(?:character|char)\s+varying|national\s+(?:character|char)"
    rf"|interval\s+{_FIELD}(?:\s+to\s+{_FIELD})?"
)
_MODIFIER = rf"(?:-?\d+|{_NAME})"
# A type's name and nothing else.  Words in a row are spelled out: "int FROM t" must not get through.
_TYPE = re.compile(
    rf"\s*(?:{_WORDS}|{_NAME}(?:\s*\.\s*{_NAME})*)"
    rf"(?:\s*\(\s*{_MODIFIER}(?:\s*,\s*{_MODIFIER})*\s*\))?"
    r"(?:\s+with(?:out)?\s+time\s+zone)?(?:\s*\[\s*\d*\s*\])*\s*",
    re.IGNORECASE,
)


def types(conn: psycopg.Connection, texts: Mapping[str, str]) -> dict[str, ColumnFacts]:
    """Return what the server makes of type texts such as `numeric(12,2)`, under the same names.

    Unqualified types are found by the role's search_path.  Raises SpecError where a text is no type's name
    and TargetError where the server knows no such type; if there are several problems, all in SpecErrors.
    """
    if not texts:
        return {}
    _refuse(tuple(_not_a_type(name, text) for name, text in texts.items() if not _TYPE.fullmatch(text)))
    with own_path(conn, doing="looking up types"):
        found = _resolve(conn, texts)
    arrays = [_is_array(text) for text in texts.values()]
    with pinned(conn, doing="looking up types"):
        rows = conn.execute(_TYPES, ([oid for oid, _ in found], [mod for _, mod in found], arrays)).fetchall()
    return {
        name: ColumnFacts(name=name, **type_fields(row)) for name, (row,) in zip(texts, rows, strict=True)
    }


def type_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Turn the JSON of `described` into ColumnFacts' arguments."""
    return row | {"equality": tuple(row["equality"]) if row["equality"] else None}


def _not_a_type(name: str, text: str) -> SpecError:
    return SpecError(
        f"{text!r} is not the name of a type (column {name})",
        hint="write it as in CREATE TABLE, such as numeric(12,2) or shop.mood; no default, no constraint",
    )


def _is_array(text: str) -> bool:
    return text.rstrip().endswith("]")


def _resolve(conn: psycopg.Connection, texts: Mapping[str, str]) -> list[tuple[int, int]]:
    """Return OID and modifier of each type, or of the array of it, as the server's parser reads the text."""
    try:
        with conn.transaction():
            return _parsed(conn, list(texts.values()))
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError):
        problems = tuple(_unknown(conn, name, text) for name, text in texts.items())
        _refuse(tuple(problem for problem in problems if problem))
        raise


def _parsed(conn: psycopg.Connection, texts: list[str]) -> list[tuple[int, int]]:
    # A result's column has the base type where a domain was asked for, but the array of a domain stays one.
    # The texts have passed _TYPE, and become SQL only here and in _unknown.
    nulls = [SQL("NULL::{}").format(SQL(text if _is_array(text) else text + "[]")) for text in texts]
    result = conn.execute(SQL("SELECT {} LIMIT 0").format(SQL(", ").join(nulls))).pgresult
    assert result is not None  # a SELECT that did not raise
    return [(result.ftype(number), result.fmod(number)) for number in range(len(texts))]


def _unknown(conn: psycopg.Connection, name: str, text: str) -> TargetError | None:
    try:
        with conn.transaction():
            conn.execute(SQL("SELECT NULL::{} LIMIT 0").format(SQL(text)))
            _parsed(conn, [text])
    except psycopg.Error as error:
        known = wrap(error, doing=f"looking up type {text}")
        missing = error.sqlstate in ("42704", "3F000")
        hint = (
            "create the type or its extension first, or write the type with its schema" if missing else None
        )
        return TargetError(f"column {name}: {known.message}", detail=known.detail, hint=known.hint or hint)
    return None


def _refuse(problems: tuple[SyncError, ...]) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SpecErrors(problems)
