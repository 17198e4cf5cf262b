"""Foreign keys between given tables, as the order of specs needs them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

import psycopg
from msgspec import Struct

from syncengine.catalog.session import pinned
from syncengine.catalog.tables import schemas_to_search

# A table stands for its partitions as well; of a constraint's copies for partitions the original is named.
_FOUND = """
WITH RECURSIVE wanted AS (
    SELECT w.number, w.name, s.schema, s.position
    FROM jsonb_to_recordset(%s::jsonb) AS w (number int, name text, schemas text[]),
         unnest(w.schemas) WITH ORDINALITY AS s (schema, position)),
found AS (
    SELECT DISTINCT ON (w.number) w.number, c.oid
    FROM wanted AS w JOIN pg_namespace AS n ON n.nspname = w.schema
         JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    ORDER BY w.number, w.position),
part AS (
    SELECT f.number, f.oid FROM found AS f
    UNION SELECT f.number, p.relid FROM found AS f, pg_partition_tree(f.oid) AS p),
link AS (
    SELECT child.number AS child, parent.number AS parent, o.conname, o.conparentid
    FROM pg_constraint AS o JOIN part AS child ON child.oid = o.conrelid
         JOIN part AS parent ON parent.oid = o.confrelid
    WHERE o.contype = 'f' AND child.number <> parent.number
    UNION
    SELECT l.child, l.parent, o.conname, o.conparentid
    FROM link AS l JOIN pg_constraint AS o ON o.oid = l.conparentid)
SELECT coalesce((SELECT jsonb_object_agg(f.number, f.oid) FROM found AS f), '{}'),
       coalesce((SELECT jsonb_agg(jsonb_build_array(l.child, l.parent, l.conname) ORDER BY l.child, l.parent, l.conname)
                 FROM link AS l WHERE l.conparentid = 0), '[]')"""


class References(Struct, frozen=True, kw_only=True):
    """What each of some tables is, equal for two names of one; and (child, parent, constraint) by their numbers."""

    tables: tuple[Hashable, ...]
    keys: tuple[tuple[int, int, str], ...]


def references(conn: psycopg.Connection, tables: Sequence[tuple[str | None, str]]) -> References:
    """Look up tables, by exact schema and name, and the foreign keys between them; none need exist."""
    with pinned(conn, doing="looking for foreign keys") as path:
        places = [(schemas_to_search(schema, path), name) for schema, name in tables]
        wanted = [
            {"number": number, "name": name, "schemas": schemas}
            for number, (schemas, name) in enumerate(places)
        ]
        row = conn.execute(_FOUND, [json.dumps(wanted)]).fetchone()
    assert row is not None  # aggregates have one row
    found, keys = row
    missing = [(schemas[-1], name) for schemas, name in places]
    return References(
        tables=tuple(found.get(str(number), place) for number, place in enumerate(missing)),
        keys=tuple((child, parent, name) for child, parent, name in keys),
    )
