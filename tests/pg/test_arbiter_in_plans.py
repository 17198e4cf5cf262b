"""The arbiter that a plan names is the one that the server infers for the hand-written INSERT … ON CONFLICT."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import pytest

import syncengine
from syncengine.errors import NoArbiterIndex
from tests.features import needs
from tests.servers import Database

pytestmark = pytest.mark.every_server

TABLE = "CREATE TABLE t (a int, b int, c text, v varchar(9), d timestamptz, live boolean, j jsonb)"
X = f"{TABLE}; CREATE UNIQUE INDEX t_x ON t "
PARTS = "CREATE TABLE t (a int, b int, c text) PARTITION BY LIST (a); CREATE TABLE t_1 PARTITION OF t DEFAULT"
BASE = "CREATE TABLE base (a int, b int, c text); CREATE UNIQUE INDEX t_x ON base "
VIEW = "; CREATE VIEW t AS SELECT * FROM base"
INSTEAD = (
    "; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;"
    "CREATE TRIGGER x INSTEAD OF INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A table and a conflict target; `on_conflict` is how one writes it by hand, if not each key in parentheses."""

    ddl: str
    keys: list[str]
    where: str | None = None
    on_conflict: str | None = None

    @property
    def statement(self) -> str:
        target = self.on_conflict or ", ".join(f"({key})" for key in self.keys)
        where = f" WHERE {self.where}" if self.where else ""
        return f"INSERT INTO t DEFAULT VALUES ON CONFLICT ({target}){where} DO NOTHING"


def on(ddl: str, *keys: str, where: str | None = None, on_conflict: str | None = None) -> Case:
    return Case(ddl=ddl, keys=list(keys), where=where, on_conflict=on_conflict)


EXPRESSIONS = {
    "column-in-parentheses": on(f"{X}(a)", "(a)"),
    "quoted-column": on(f'{X}(a); ALTER TABLE t RENAME a TO "A"', '"A"'),
    "column-named-as-a-function": on(f'{X}(a); ALTER TABLE t RENAME a TO "lower"', '"lower"'),
    "function-and-column": on(f"{X}(c, lower(c))", "lower(c)", "c"),
    "function-of-more": on(f"{X}(c, lower(c))", "lower(c)"),
    "function-twice": on(f"{X}(lower(c))", "lower(c)", "LOWER(c)"),
    "coalesce": on(f"{X}(a, coalesce(c, ''))", "coalesce(c, '')", "a"),
    "coalesce-to-another-case": on(f"{X}(coalesce(c, 'X'))", "coalesce(c, 'x')"),
    "case": on(
        f"{X}((CASE WHEN live THEN a ELSE b END))", "case when live then a else b end"
    ),
    "cast": on(f"{X}((a::text))", "CAST(a AS text)"),
    "cast-to-another-type": on(f"{X}((a::numeric))", "a::int8"),
    "cast-to-another-length": on(f"{X}((c::varchar(3)))", "c::varchar(4)"),
    "cast-that-is-implied": on(f"{X}((v || '-' || c))", "v || '-' || c"),
    "literal-of-another-scale": on(f"{X}((a * 1.50))", "a * 1.5"),
    "literal-with-a-cast": on(f"{X}((d > '2024-01-01 00:00+00'::timestamptz), a)", "a", "d > '2024-01-01 00:00+00'"),
    "precedence": on(f"{X}(((a + b) * a))", "a + b * a"),
    "precedence-kept": on(f"{X}(((a + b) * a))", "(a+b)*a"),
    "boolean": on(f"{X}((a > 5), (b IS NULL))", "b is null", "a > 5"),
    "time-zone": on(f"{X}(date_trunc('day', d AT TIME ZONE 'UTC'))", "date_trunc('day', d at time zone 'UTC')"),
    "json-operator": on(f"{X}((j ->> 'k'))", "j->>'k'"),
    "domain": on(
        "CREATE DOMAIN name_of AS text; CREATE TABLE t (c name_of); CREATE UNIQUE INDEX t_x ON t (lower(c))", "lower(c)"
    ),
    "after-dropped-columns": on(
        "CREATE TABLE t (x int, a int, y int, b int); ALTER TABLE t DROP x, DROP y;"
        "CREATE UNIQUE INDEX t_x ON t (b, (a + 1))",
        "a + 1",
        "b",
    ),
}  # fmt: skip
COLLATIONS = {
    "index-of-another": on(f'{X}(c COLLATE "C")', "c"),
    "asked-for": on(f'{X}(c COLLATE "C")', 'c COLLATE "C"', on_conflict='c COLLATE "C"'),
    "asked-for-with-its-schema": on(
        f'{X}(c COLLATE "C")', 'c COLLATE pg_catalog."C"', on_conflict='c COLLATE pg_catalog."C"'
    ),
    "asked-for-but-not-there": on(f"{X}(c)", 'c COLLATE "C"', on_conflict='c COLLATE "C"'),
    "asked-for-another": on(f'{X}(c COLLATE "C")', 'c COLLATE "POSIX"', on_conflict='c COLLATE "POSIX"'),
    "asked-for-of-two": on(
        f'{X}(c); CREATE UNIQUE INDEX t_y ON t (c COLLATE "C")', 'c COLLATE "C"', on_conflict='c COLLATE "C"'
    ),
    "either-of-two": on(f'{X}(c); CREATE UNIQUE INDEX t_y ON t (c COLLATE "C")', "c"),
    "of-an-expression": on(f'{X}(lower(c) COLLATE "C")', "lower(c)"),
    "of-an-expression-asked-for": on(
        f'{X}(a, lower(c) COLLATE "C")', "a", 'lower(c) COLLATE "C"', on_conflict='a, lower(c) COLLATE "C"'
    ),
    "within-an-expression": on(f'{X}(lower(c COLLATE "C"))', 'lower(c COLLATE "C")'),
    "within-the-index-only": on(f'{X}(lower(c COLLATE "C"))', "lower(c)"),
    "one-column-by-two": on(f'{X}(c, c COLLATE "C")', "c"),
    "operator-class": on(f"{X}(c text_pattern_ops)", "c"),
    "operator-class-of-an-expression": on(f"{X}(lower(c) text_pattern_ops)", "lower(c)"),
    "one-column-by-two-operator-classes": on(f"{X}(c, c text_pattern_ops)", "c"),
    "two-operator-classes": on(f"{X}(c); CREATE UNIQUE INDEX t_y ON t (c text_pattern_ops)", "c"),
}
PARTIAL = {
    "same": on(f"{X}(a) WHERE c LIKE '%berry'", "a", where="c LIKE '%berry'"),
    "none-stated": on(f"{X}(a) WHERE live", "a"),
    "narrower": on(f"{X}(a) WHERE b > 5", "a", where="b > 6"),
    "wider": on(f"{X}(a) WHERE b > 5", "a", where="b > 4"),
    "and-more": on(f"{X}(a) WHERE c LIKE '%berry'", "a", where="c LIKE '%berry' AND b = 1"),
    "and-in-another-order": on(f"{X}(a) WHERE b > 5 AND live", "a", where="live AND b > 5"),
    "or-more": on(f"{X}(a) WHERE b > 5", "a", where="b > 5 OR live"),
    "one-of-a-list": on(f"{X}(a) WHERE b IN (1, 2)", "a", where="b = 1"),
    "not-null-by-a-strict-operator": on(f"{X}(a) WHERE b IS NOT NULL", "a", where="b = 5"),
    "boolean-spelt-out": on(f"{X}(a) WHERE live", "a", where="live = true"),
    "boolean-tested": on(f"{X}(a) WHERE live IS TRUE", "a", where="live"),
    "always": on(f"{X}(a) WHERE true", "a"),
    "never": on(f"{X}(a) WHERE live", "a", where="false"),
    "another-letter-case": on(f"{X}(a) WHERE c = 'X'", "a", where="c = 'x'"),
    "full-index": on(f"{X}(a)", "a", where="c LIKE '%x'"),
    "of-an-expression": on(f"{X}(lower(c)) WHERE live", "lower(c)", where="live"),
    "one-of-two": on(f"{X}(a) WHERE live; CREATE UNIQUE INDEX t_y ON t (a) WHERE b > 5", "a", where="b > 7"),
    "both-of-two": on(
        f"{X}(a) WHERE live; CREATE UNIQUE INDEX t_y ON t (a) WHERE b > 5", "a", where="live AND b > 5"
    ),
    "beside-a-full-index": on(f"{X}(a) WHERE live; CREATE UNIQUE INDEX t_y ON t (a)", "a", where="live"),
}
SEVERAL = {
    "alike": on(f"{X}(a); CREATE UNIQUE INDEX t_y ON t (a)", "a"),
    "in-another-order": on(f"{X}(a, b); CREATE UNIQUE INDEX t_y ON t (b, a)", "a", "b"),
    "of-every-kind": on(
        f"{X}(a) INCLUDE (b); CREATE UNIQUE INDEX t_y ON t (a DESC);"
        "ALTER TABLE t ADD UNIQUE (a); ALTER TABLE t ADD PRIMARY KEY (a)",
        "a",
    ),
    "one-deferrable": on(f"{X}(a); ALTER TABLE t ADD UNIQUE (a) DEFERRABLE", "a"),
    "one-exclusion": on(f"{X}(a); ALTER TABLE t ADD EXCLUDE (a WITH =)", "a"),
    "one-invalid": on(
        f"{X}(a); CREATE UNIQUE INDEX t_y ON t (a);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_x'::regclass",
        "a",
    ),
    "one-with-nulls-not-distinct": on(f"{X}(a); CREATE UNIQUE INDEX t_y ON t (a) NULLS NOT DISTINCT", "a"),
}
PARTITIONS = {
    "by-hash": on(
        "CREATE TABLE t (a int, b int) PARTITION BY HASH (a);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE UNIQUE INDEX t_x ON t (a)",
        "a",
    ),
    "partial": on(f"{PARTS}; CREATE UNIQUE INDEX t_x ON t (a) WHERE b > 5", "a", where="b > 5"),
    "expression": on(f"{PARTS}; CREATE UNIQUE INDEX t_x ON t (a, lower(c))", "lower(c)", "a"),
    "index-of-one-partition": on(f"{PARTS}; CREATE UNIQUE INDEX t_x ON t_1 (a)", "a"),
    "index-of-the-parent-only": on(f"{PARTS}; CREATE UNIQUE INDEX t_x ON ONLY t (a)", "a"),
    "index-attached-later": on(
        f"{PARTS}; CREATE UNIQUE INDEX t_x ON ONLY t (a); CREATE UNIQUE INDEX t_1x ON t_1 (a);"
        "ALTER INDEX t_x ATTACH PARTITION t_1x",
        "a",
    ),
    "columns-in-another-order": on(
        "CREATE TABLE t (a int, b int, c text) PARTITION BY LIST (a);"
        "CREATE TABLE t_1 (x int, c text, b int, a int); ALTER TABLE t_1 DROP x;"
        "ALTER TABLE t ATTACH PARTITION t_1 DEFAULT; CREATE UNIQUE INDEX t_x ON t (a, b)",
        "b",
        "a",
    ),
    "two-levels": on(
        "CREATE TABLE t (a int, b int) PARTITION BY LIST (a);"
        "CREATE TABLE t_1 PARTITION OF t DEFAULT PARTITION BY LIST (b); CREATE TABLE t_2 PARTITION OF t_1 DEFAULT;"
        "CREATE UNIQUE INDEX t_x ON t (a, b)",
        "a",
        "b",
    ),
    "partition-as-target": on(
        "CREATE TABLE parent (a int, b int) PARTITION BY LIST (a); CREATE TABLE t PARTITION OF parent DEFAULT;"
        "CREATE UNIQUE INDEX ON parent (a)",
        "a",
    ),
}
RELATIVES = {
    "parent": on(f"{X}(a); CREATE TABLE child () INHERITS (t)", "a"),
    "index-of-the-child": on(
        f"{TABLE}; CREATE TABLE child () INHERITS (t); CREATE UNIQUE INDEX t_x ON child (a)", "a"
    ),
    "child": on(f"{BASE}(a); CREATE TABLE t () INHERITS (base)", "a"),
    "child-of-its-own-index": on(
        f"{BASE}(a); CREATE TABLE t () INHERITS (base); CREATE UNIQUE INDEX ON t (a, b)", "a", "b"
    ),
    "view": on(f"{BASE}(a){VIEW}", "a"),
    "view-of-a-view": on(f"{BASE}(a); CREATE VIEW v AS SELECT * FROM base; CREATE VIEW t AS SELECT * FROM v", "a"),
    "view-with-other-names": on(f"{BASE}(b); CREATE VIEW t AS SELECT b AS a, c FROM base", "a"),
    "view-that-filters": on(f"{BASE}(a) WHERE b > 5; CREATE VIEW t AS SELECT * FROM base WHERE b > 5", "a"),
    "view-with-triggers": on(f"{BASE}(a){VIEW}{INSTEAD}", "a"),
}  # fmt: skip
GROUPS = {
    "expression": EXPRESSIONS,
    "collation": COLLATIONS,
    "predicate": PARTIAL,
    "several": SEVERAL,
    "partitions": PARTITIONS,
    "relatives": RELATIVES,
}
CASES = [
    pytest.param(case, id=f"{group}-{name}", marks=needs(case.ddl))
    for group, cases in GROUPS.items()
    for name, case in cases.items()
]
VALUES = {"c": "x", "v": "y", "d": "2024-01-01 00:00+00", "live": True, "j": "{}"}


def inferred(db: Database, case: Case) -> list[str]:
    """Return the indexes that the server infers; none if it refuses the statement."""
    try:
        with db.conn.transaction(force_rollback=True):
            ((explained,),) = db.execute(f"EXPLAIN (FORMAT JSON) {case.statement}")
            with suppress(psycopg.errors.NotNullViolation):
                db.execute(case.statement)
    except (psycopg.errors.InvalidColumnReference, psycopg.errors.ObjectNotInPrerequisiteState):
        return []
    return list(explained[0]["Plan"]["Conflict Arbiter Indexes"])


def planned(db: Database, case: Case) -> list[str]:
    """Return the index that the plan names; none if it finds no arbiter."""
    columns = db.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    spec = {"name": "t", "target": "t", "conflict_keys": case.keys}
    spec |= {"conflict_where": case.where} if case.where else {}
    row = {str(name): VALUES.get(str(name), 1) for (name,) in columns}
    try:
        plan = syncengine.plan(spec, source=[row], connection=db.url)
    except NoArbiterIndex:
        return []
    return [
        match[1] for check in plan.checks if (match := re.match(r"conflicts are arbitrated by (\S+)", check))
    ]


@pytest.mark.parametrize("case", CASES)
def test_the_plan_names_the_index_that_the_server_infers(emptied: Database, case: Case) -> None:
    emptied.execute(case.ddl)
    server = inferred(emptied, case)

    ours = planned(emptied, case)

    assert len(ours) == min(len(server), 1)
    assert set(ours) <= set(server)


@pytest.mark.parametrize(
    ("ddl", "name"),
    [
        pytest.param("CREATE TABLE t (a int CONSTRAINT x PRIMARY KEY)", "x", id="primary-key"),
        pytest.param("CREATE TABLE t (a int CONSTRAINT x UNIQUE)", "x", id="unique"),
        pytest.param("CREATE TABLE t (a int CONSTRAINT x UNIQUE DEFERRABLE)", "x", id="deferrable"),
        pytest.param(f"{PARTS}; ALTER TABLE t ADD CONSTRAINT x UNIQUE (a)", "x", id="partitioned"),
        pytest.param("CREATE TABLE t (a int CONSTRAINT x CHECK (a > 0))", "x", id="check"),
        pytest.param("CREATE TABLE t (a int CONSTRAINT x UNIQUE)", "y", id="missing"),
    ],
)
def test_a_constraint_by_its_name_is_taken_as_the_server_takes_it(
    emptied: Database, ddl: str, name: str
) -> None:
    emptied.execute(ddl)
    statement = f"INSERT INTO t (a) VALUES (1) ON CONFLICT ON CONSTRAINT {name} DO UPDATE SET a = excluded.a"
    try:
        emptied.execute(statement)
        server = True
    except psycopg.Error:
        server = False
    spec = {"name": "t", "target": "t", "conflict_constraint": name, "columns": {"a": "a"}}
    try:
        ours = bool(syncengine.plan(spec, source=[{"a": 1}], connection=emptied.url).checks)
    except NoArbiterIndex:
        ours = False

    assert ours == server
