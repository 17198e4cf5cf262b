"""docs/spec.md §5 and §11, mode `mirror`: what is deleted, what stays, softly or for good (rules 4, 5 and 7)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import syncengine
from tests.modecases import METHODS, Case, Record, Refusal, by_id, judge, judge_refusal, refusals
from tests.runs import counts, refused, sync
from tests.servers import Database

BASE: dict[str, Any] = {"mode": "mirror", "conflict_keys": ["id"], "limits": {"max_deletes": "100%"}}


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


def row(*values: object, names: str = "id v") -> Record:
    return dict(zip(names.split(), values, strict=True))


PLAIN = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
MARKED = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, gone boolean NOT NULL DEFAULT false);"
    "INSERT INTO t VALUES (1, 'a', false), (2, 'b', true), (3, 'c', false)"
)
TIMED = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, deleted_at timestamptz);"
    "INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', '2024-01-01'), (3, 'c', NULL)"
)
TIMED_LOOK = "SELECT id, v, deleted_at IS NULL, deleted_at = '2024-01-01' FROM t ORDER BY 1"
PARTIAL = (
    "CREATE TABLE t (id int, v text, deleted_at timestamptz);"
    "CREATE UNIQUE INDEX ON t (id) WHERE deleted_at IS NULL;"
    "INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', '2024-01-01'), (3, 'c', NULL)"
)
TREE = (
    "CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t {action});"
    "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, NULL)"
)
CHILD = (
    "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE child (n int, t int REFERENCES t {action});"
    "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO child VALUES (10, 1), (20, 2)"
)
SOFT_TIME = {"delete": {"soft": {"deleted_at": "now()"}}}
SOFT_MARK = {"delete": {"soft": {"gone": "true"}}}

CASES: dict[str, Case] = {
    "gone-rows-are-deleted": Case(
        ddl=PLAIN,
        rows=[row(1, "a"), row(2, "x"), row(4, "d")],
        books={"unchanged": 1, "updated": 1, "inserted": 1, "deleted": 1},
        left=[(1, "a"), (2, "x"), (4, "d")],
    ),
    "rows-outside-the-scope-stay": Case(
        ddl=PLAIN,
        spec={"delete": {"scope": "target.v <> 'b'"}},
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        left=[(1, "a"), (2, "b")],
    ),
    "scope-that-is-null-is-not-true": Case(
        ddl=PLAIN + "; UPDATE t SET v = NULL WHERE id = 3",
        spec={"delete": {"scope": "target.v <> 'a'"}},
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        left=[(1, "a"), (3, None)],
    ),
    "rows-outside-the-scope-are-updated-all-the-same": Case(
        ddl=PLAIN,
        spec={"delete": {"scope": "target.id > 2"}},
        rows=[row(1, "x")],
        books={"updated": 1, "deleted": 1},
        left=[(1, "x"), (2, "b")],
    ),
    "the-guard-keeps-rows-from-updates-not-from-deletes": Case(
        ddl=PLAIN,
        spec={"where": "target.v > 'a'"},
        rows=[row(1, "x"), row(2, "y")],
        books={"skipped": 1, "updated": 1, "deleted": 1},
        left=[(1, "a"), (2, "y")],
        again={"skipped": 1, "unchanged": 1},
    ),
    "without-update-columns-rows-come-and-go": Case(
        ddl=PLAIN,
        spec={"update_columns": []},
        rows=[row(1, "x"), row(2, "b"), row(4, "d")],
        books={"skipped": 1, "unchanged": 1, "inserted": 1, "deleted": 1},
        left=[(1, "a"), (2, "b"), (4, "d")],
        again={"skipped": 1, "unchanged": 2},
    ),
    "rule-7-live-is-null-without-a-default": Case(
        ddl=TIMED,
        spec=SOFT_TIME,
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        look=TIMED_LOOK,
        left=[(1, "a", True, None), (2, "b", False, True), (3, "c", False, False)],
    ),
    "rule-7-live-is-the-columns-default": Case(
        ddl=MARKED,
        spec=SOFT_MARK,
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        left=[(1, "a", False), (2, "b", True), (3, "c", True)],
    ),
    "rule-7-live-as-stated": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, state text);"
        "INSERT INTO t VALUES (1, 'a', 'on'), (2, 'b', 'off'), (3, 'c', 'on'), (4, 'd', NULL)",
        spec={"delete": {"soft": {"state": "'off'"}, "live": "'on'"}},
        rows=[row(1, "a"), row(5, "e")],
        books={"unchanged": 1, "inserted": 1, "deleted": 1},
        # A NULL is not 'on': that row is no live one.
        left=[(1, "a", "on"), (2, "b", "off"), (3, "c", "off"), (4, "d", None), (5, "e", "on")],
    ),
    "rule-7-stated-live-is-what-new-rows-get": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, live boolean NOT NULL);"
        "INSERT INTO t VALUES (1, 'a', true), (2, 'b', true)",
        spec={"delete": {"soft": {"live": "false"}, "live": True}},
        rows=[row(1, "a"), row(3, "c")],
        books={"unchanged": 1, "inserted": 1, "deleted": 1},
        left=[(1, "a", True), (2, "b", False), (3, "c", True)],
    ),
    "rule-7-live-null-beside-another-default": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, gone boolean DEFAULT false);"
        "INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'c', false)",
        spec={"delete": {"soft": {"gone": "true"}, "live": None}},
        rows=[row(1, "a"), row(4, "d")],
        books={"unchanged": 1, "inserted": 1, "deleted": 1},
        left=[(1, "a", None), (2, "b", True), (3, "c", False), (4, "d", None)],
    ),
    "rule-7-the-mark-may-read-the-row": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, was text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        spec={"delete": {"soft": {"was": "'gone: ' || target.v"}}},
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        left=[(1, "a", None), (2, "b", "gone: b")],
    ),
    "rule-7-a-key-that-returns-is-updated-though-nothing-differs": Case(
        ddl=MARKED,
        spec=SOFT_MARK,
        rows=[row(1, "a"), row(2, "b"), row(3, "c")],
        books={"unchanged": 2, "updated": 1},
        left=[(1, "a", False), (2, "b", False), (3, "c", False)],
    ),
    "rule-7-a-key-that-returns-is-updated-whatever-the-guard-says": Case(
        ddl=TIMED,
        spec={**SOFT_TIME, "where": "false"},
        rows=[row(1, "x"), row(2, "y"), row(3, "c")],
        books={"skipped": 1, "updated": 1, "unchanged": 1},
        look="SELECT id, v, deleted_at IS NULL FROM t ORDER BY 1",
        left=[(1, "a", True), (2, "y", True), (3, "c", True)],
        again={"skipped": 1, "unchanged": 2},
    ),
    "rule-7-a-key-that-returns-is-live-again-though-nothing-is-assigned": Case(
        ddl=MARKED,
        spec={**SOFT_MARK, "update_columns": []},
        rows=[row(1, "a"), row(2, "x"), row(3, "c")],
        books={"unchanged": 2, "updated": 1},
        left=[(1, "a", False), (2, "b", False), (3, "c", False)],
        again={"unchanged": 2, "skipped": 1},
    ),
    "rule-7-an-all-key-table-is-live-again": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, gone boolean DEFAULT false);"
        "INSERT INTO t VALUES (1, false), (2, true), (3, false)",
        spec=SOFT_MARK,
        rows=[{"id": 2}, {"id": 3}],
        books={"unchanged": 1, "updated": 1, "deleted": 1},
        left=[(1, True), (2, False), (3, False)],
    ),
    "rule-7-only-live-rows-are-counted-by-max-deletes": Case(
        ddl=MARKED + "; INSERT INTO t SELECT n, 'old', true FROM generate_series(10, 99) AS n",
        spec={**SOFT_MARK, "limits": {"max_deletes": 1}},
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        look="SELECT id, gone FROM t WHERE id < 10 ORDER BY 1",
        left=[(1, False), (2, True), (3, True)],
    ),
    "scope-and-soft-delete-together": Case(
        ddl=MARKED,
        spec={"delete": {"soft": {"gone": "true"}, "scope": "target.id > 2"}},
        rows=[row(9, "z")],
        books={"inserted": 1, "deleted": 1},
        left=[(1, "a", False), (2, "b", True), (3, "c", True), (9, "z", False)],
    ),
    "partial-index-deleted-rows-are-no-conflict": Case(
        ddl=PARTIAL,
        spec={**SOFT_TIME, "conflict_where": "deleted_at IS NULL"},
        rows=[row(1, "x"), row(2, "y")],
        books={"updated": 1, "inserted": 1, "deleted": 1},
        look="SELECT id, v, deleted_at IS NULL FROM t ORDER BY 1, 2",
        left=[(1, "x", True), (2, "b", False), (2, "y", True), (3, "c", False)],
    ),
    "partial-index-rows-outside-are-not-deleted": Case(
        ddl="CREATE TABLE t (id int, v text, kind text);"
        "CREATE UNIQUE INDEX ON t (id) WHERE kind = 'ours';"
        "INSERT INTO t VALUES (1, 'a', 'ours'), (1, 'b', 'theirs'), (2, 'c', 'ours'), (3, 'd', NULL)",
        spec={"conflict_where": "kind = 'ours'", "columns": {"kind": {"expression": "'ours'"}}},
        rows=[row(1, "x"), row(4, "e")],
        books={"updated": 1, "inserted": 1, "deleted": 1},
        look="SELECT id, v FROM t ORDER BY 1, 2",
        left=[(1, "b"), (1, "x"), (3, "d"), (4, "e")],
    ),
    "expression-key": Case(
        ddl="CREATE TABLE t (email text, v text); CREATE UNIQUE INDEX ON t (lower(email));"
        "INSERT INTO t VALUES ('A@x', 'a'), ('b@x', 'b'), ('c@x', 'c')",
        spec={"conflict_keys": ["lower(email)"]},
        rows=[row("a@X", "a", names="email v"), row("B@X", "x", names="email v")],
        books={"updated": 2, "deleted": 1},
        left=[("B@X", "x"), ("a@X", "a")],
    ),
    "expression-key-kept-as-stored": Case(
        ddl="CREATE TABLE t (email text, v text); CREATE UNIQUE INDEX ON t (lower(email));"
        "INSERT INTO t VALUES ('A@x', 'a'), ('b@x', 'b'), ('c@x', 'c')",
        spec={"conflict_keys": ["lower(email)"], "update_columns": ["v"]},
        rows=[row("a@X", "a", names="email v"), row("B@X", "x", names="email v")],
        books={"unchanged": 1, "updated": 1, "deleted": 1},
        left=[("A@x", "a"), ("b@x", "x")],
    ),
    "citext-key": Case(
        ddl="CREATE EXTENSION citext; CREATE TABLE t (id citext PRIMARY KEY, v text);"
        "INSERT INTO t VALUES ('Ab', 'a'), ('Cd', 'b'), ('Ef', 'c')",
        rows=[row("AB", "a"), row("cd", "x")],
        books={"unchanged": 1, "updated": 1, "deleted": 1},
        look="SELECT id::text, v FROM t ORDER BY 1",
        left=[("Ab", "a"), ("Cd", "x")],
    ),
    "conflict-constraint-by-name": Case(
        ddl="CREATE TABLE t (id int, v text, CONSTRAINT one UNIQUE (id)); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        spec={"conflict_constraint": "one"},
        rows=[row(1, "x")],
        books={"updated": 1, "deleted": 1},
        left=[(1, "x")],
    ),
    "null-keys-match-the-stored-null": Case(
        ddl="CREATE TABLE t (id int, v text); CREATE UNIQUE INDEX ON t (id) NULLS NOT DISTINCT;"
        "INSERT INTO t VALUES (NULL, 'a'), (2, 'b')",
        rows=[row(None, "x")],
        books={"updated": 1, "deleted": 1},
        left=[(None, "x")],
    ),
    "null-keys-that-are-gone-are-deleted-too": Case(
        ddl="CREATE TABLE t (id int, v text); CREATE UNIQUE INDEX ON t (id) NULLS NOT DISTINCT;"
        "INSERT INTO t VALUES (NULL, 'a'), (2, 'b')",
        rows=[row(2, "b")],
        books={"unchanged": 1, "deleted": 1},
        left=[(2, "b")],
    ),
    "null-keys-insert-takes-the-place-of-the-stored-ones": Case(
        ddl="CREATE TABLE t (id int UNIQUE, v text); INSERT INTO t VALUES (NULL, 'a'), (2, 'b')",
        spec={"null_keys": "insert"},
        rows=[row(2, "b"), row(None, "x"), row(None, "x")],
        books={"unchanged": 1, "inserted": 2, "deleted": 1},
        left=[(2, "b"), (None, "x"), (None, "x")],
        again={"unchanged": 1, "inserted": 2, "deleted": 2},
        rewrites=True,
    ),
    "partitioned-target": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE t2 PARTITION OF t DEFAULT;"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (11, 'c'), (12, 'd')",
        rows=[row(1, "a"), row(11, "x"), row(3, "e"), row(13, "f")],
        books={"unchanged": 1, "updated": 1, "inserted": 2, "deleted": 2},
        look="SELECT tableoid::regclass::text, t.* FROM t ORDER BY 2",
        left=[("t1", 1, "a"), ("t1", 3, "e"), ("t2", 11, "x"), ("t2", 13, "f")],
    ),
    "rows-that-move-to-another-partition": Case(
        ddl="CREATE TABLE t (id int, v text, place int, PRIMARY KEY (id, place)) PARTITION BY LIST (place);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);"
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
        spec={"conflict_keys": ["id", "place"]},
        rows=[row(1, "a", 2, names="id v place"), row(2, "b", 2, names="id v place")],
        books={"unchanged": 1, "inserted": 1, "deleted": 1},
        left=[(1, "a", 2), (2, "b", 2)],
    ),
    "partitions-softly": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, gone boolean DEFAULT false) PARTITION BY RANGE (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE TABLE t2 PARTITION OF t DEFAULT;"
        "INSERT INTO t VALUES (1, 'a', false), (11, 'c', false), (12, 'd', true)",
        spec=SOFT_MARK,
        rows=[row(12, "d")],
        books={"updated": 1, "deleted": 2},
        left=[(1, "a", True), (11, "c", True), (12, "d", False)],
    ),
    "a-tree-loses-a-branch": Case(
        ddl=TREE.format(action=""),
        rows=[{"id": 1, "parent": None}, {"id": 4, "parent": 1}],
        books={"unchanged": 1, "updated": 1, "deleted": 2},
        left=[(1, None), (4, 1)],
    ),
    "a-tree-whose-root-changes": Case(
        ddl=TREE.format(action=""),
        rows=[{"id": 9, "parent": None}, {"id": 2, "parent": 9}, {"id": 3, "parent": 2}],
        books={"unchanged": 1, "updated": 1, "inserted": 1, "deleted": 2},
        left=[(2, 9), (3, 2), (9, None)],
    ),
    "a-tree-that-cascades-loses-a-whole-branch": Case(
        ddl=TREE.format(action="ON DELETE CASCADE"),
        rows=[{"id": 1, "parent": None}],
        books={"unchanged": 1, "deleted": 3},
        left=[(1, None)],
    ),
    "a-tree-that-cascades-and-whose-root-changes": Case(
        ddl=TREE.format(action="ON DELETE CASCADE"),
        rows=[{"id": 9, "parent": None}, {"id": 2, "parent": 9}, {"id": 3, "parent": 2}],
        books={"unchanged": 1, "updated": 1, "inserted": 1, "deleted": 2},
        left=[(2, 9), (3, 2), (9, None)],
    ),
    "a-tree-that-sets-null-and-whose-root-changes": Case(
        ddl=TREE.format(action="ON DELETE SET NULL"),
        rows=[{"id": 9, "parent": None}, {"id": 2, "parent": 9}, {"id": 3, "parent": 2}],
        books={"unchanged": 1, "updated": 1, "inserted": 1, "deleted": 2},
        left=[(2, 9), (3, 2), (9, None)],
    ),
    "a-new-row-takes-a-gone-ones-place-in-another-unique-index": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        rows=[row(2, "b"), row(3, "a")],
        books={"unchanged": 1, "inserted": 1, "deleted": 1},
        left=[(2, "b"), (3, "a")],
    ),
    "a-changed-row-takes-a-gone-ones-place-in-another-unique-index": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        rows=[row(2, "a")],
        books={"updated": 1, "deleted": 1},
        left=[(2, "a")],
    ),
    "a-new-row-takes-a-changed-ones-place-in-another-unique-index": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        rows=[row(1, "a"), row(2, "c"), row(3, "b")],
        books={"unchanged": 1, "updated": 1, "inserted": 1},
        left=[(1, "a"), (2, "c"), (3, "b")],
    ),
    "cascade-as-stated": Case(
        ddl=CHILD.format(action="ON DELETE CASCADE"),
        spec={"delete": {"cascade": True}},
        rows=[row(2, "b")],
        books={"unchanged": 1, "deleted": 2},
        look="SELECT n, t FROM child",
        left=[(20, 2)],
    ),
    "cascade-without-rows-that-refer": Case(
        ddl=CHILD.format(action="ON DELETE CASCADE"),
        rows=[row(1, "a"), row(2, "b")],
        books={"unchanged": 2, "deleted": 1},
        look="SELECT n, t FROM child ORDER BY 1",
        left=[(10, 1), (20, 2)],
    ),
    "cascade-is-no-matter-to-a-soft-delete": Case(
        ddl=CHILD.format(action="ON DELETE CASCADE") + "; ALTER TABLE t ADD gone boolean DEFAULT false",
        spec=SOFT_MARK,
        rows=[row(2, "b")],
        books={"unchanged": 1, "deleted": 2},
        look="SELECT n, t FROM child ORDER BY 1",
        left=[(10, 1), (20, 2)],
    ),
    "set-null-in-the-rows-that-refer": Case(
        ddl=CHILD.format(action="ON DELETE SET NULL"),
        rows=[row(2, "b")],
        books={"unchanged": 1, "deleted": 2},
        look="SELECT n, t FROM child ORDER BY 1",
        left=[(10, None), (20, 2)],
    ),
    "rule-4-a-trigger-that-keeps-a-row": Case(
        ddl=PLAIN + ";CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF OLD.id = 2 THEN RETURN NULL; END IF; RETURN OLD; END$$;"
        "CREATE TRIGGER stay BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION stay()",
        rows=[row(1, "a")],
        books={"unchanged": 1, "deleted": 1},
        left=[(1, "a"), (2, "b")],
    ),
    "rule-4-a-trigger-that-keeps-a-row-live": Case(
        ddl=MARKED + ";CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF OLD.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER stay BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stay()",
        spec=SOFT_MARK,
        rows=[row(1, "a"), row(2, "b")],
        books={"unchanged": 1, "updated": 1},
        left=[(1, "a", False), (2, "b", False), (3, "c", False)],
    ),
    "an-after-trigger-that-changes-other-rows-of-the-table": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 0);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN UPDATE t SET n = n + 1; RETURN NULL; END$$;"
        "CREATE TRIGGER note AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION note()",
        rows=[row(1, "x"), row(2, "b")],
        books={"updated": 1, "unchanged": 1, "deleted": 1},
        left=[(1, "x", 1), (2, "b", 1)],
    ),
    "generated-and-identity-columns": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, n int GENERATED ALWAYS AS IDENTITY,"
        " w text GENERATED ALWAYS AS (v || '!') STORED);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        rows=[row(1, "a"), row(2, "x"), row(4, "d")],
        books={"unchanged": 1, "updated": 1, "inserted": 1, "deleted": 1},
        left=[(1, "a", 1, "a!"), (2, "x", 2, "x!"), (4, "d", 4, "d!")],
    ),
    "an-empty-source-empties-the-table-if-it-may": Case(
        ddl=PLAIN, spec={"limits": {"min_rows": 0, "max_deletes": 3}}, rows=[], books={"deleted": 3}, left=[]
    ),
    "an-empty-source-marks-all-rows-if-it-may": Case(
        ddl=MARKED,
        spec={**SOFT_MARK, "limits": {"min_rows": 0, "max_deletes": 2}},
        rows=[],
        books={"deleted": 2},
        left=[(1, "a", True), (2, "b", True), (3, "c", True)],
    ),
    "duplicates-last-wins": Case(
        ddl=PLAIN,
        spec={"duplicates": "last"},
        rows=[row(1, "p"), row(2, "b"), row(1, "q")],
        books={"updated": 1, "unchanged": 1, "duplicates": 1, "deleted": 1},
        left=[(1, "q"), (2, "b")],
        again={"unchanged": 2, "duplicates": 1},
    ),
    "first-load-into-an-empty-table": Case(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text)",
        spec={"limits": {}},
        rows=[row(1, "a"), row(2, "b")],
        books={"inserted": 2},
        left=[(1, "a"), (2, "b")],
    ),
    "half-of-the-rows-may-be-deleted-by-default": Case(
        ddl=PLAIN + "; INSERT INTO t VALUES (4, 'd')",
        spec={"limits": {}},
        rows=[row(1, "a"), row(2, "b")],
        books={"unchanged": 2, "deleted": 2},
        left=[(1, "a"), (2, "b")],
    ),
}


@pytest.mark.parametrize("method", METHODS)
@by_id(CASES)
def test_mirror_leaves_and_counts(db: Database, case: Case, method: str):
    judge(db, case, method, **BASE)


REFUSALS: dict[str, Refusal] = {
    "more-than-half-by-default": Refusal(
        ddl=PLAIN,
        spec={"limits": {}},
        rows=[row(1, "a")],
        code="limit-exceeded",
        exit_code=5,
        says="2 rows would be deleted, at most 1 (50% of 3) may be",
    ),
    "rule-7-more-than-half-of-the-live-rows": Refusal(
        ddl=MARKED + "; INSERT INTO t SELECT n, 'old', true FROM generate_series(10, 99) AS n",
        spec={**SOFT_MARK, "limits": {}},
        rows=[row(8, "new")],
        code="limit-exceeded",
        exit_code=5,
        says="2 rows would be deleted, at most 1 (50% of 2) may be",
    ),
    "cascade-to-another-table": Refusal(
        ddl=CHILD.format(action="ON DELETE CASCADE"),
        rows=[row(2, "b")],
        code="would-cascade",
        exit_code=5,
        says="public.child",
        watch=("t", "child"),
    ),
    "cascade-to-a-row-of-the-table-that-stays": Refusal(
        ddl=TREE.format(action="ON DELETE CASCADE"),
        spec={"delete": {"scope": "target.id = 1"}},
        rows=[{"id": 4, "parent": None}],
        code="would-cascade",
        exit_code=5,
        says='{"id": 1}',
    ),
    "restrict": Refusal(
        ddl=CHILD.format(action="ON DELETE RESTRICT"),
        rows=[row(2, "b")],
        code="bad-row",
        exit_code=1,
        says="rows that others still refer to can't be deleted",
        watch=("t", "child"),
    ),
    "deferred-foreign-key": Refusal(
        ddl=CHILD.format(action="DEFERRABLE INITIALLY DEFERRED"),
        rows=[row(2, "b")],
        code="bad-row",
        exit_code=1,
        says="rows that others still refer to can't be deleted",
        watch=("t", "child"),
    ),
    # New rows of a tree go before deletes, for kept rows may come to refer to them.
    "a-new-row-of-a-tree-takes-a-gone-ones-place-in-another-unique-index": Refusal(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE, parent int REFERENCES t);"
        "INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', 1)",
        rows=[row(1, "a", None, names="id v parent"), row(3, "b", 1, names="id v parent")],
        code="database-error",
        exit_code=1,
        says="t_v_key",
    ),
    "null-key": Refusal(
        ddl="CREATE TABLE t (id int UNIQUE, v text); INSERT INTO t VALUES (1, 'a')",
        rows=[row(1, "x"), row(None, "y")],
        code="null-keys",
        exit_code=1,
        says="1",
    ),
    "no-index-that-can-arbitrate": Refusal(
        ddl="CREATE TABLE t (id int, v text)",
        rows=[row(1, "x")],
        code="no-arbiter-index",
        exit_code=3,
        says="CREATE UNIQUE INDEX",
    ),
    "soft-column-that-is-loaded": Refusal(
        ddl=MARKED,
        spec=SOFT_MARK,
        rows=[{"id": 1, "v": "a", "gone": False}],
        code="invalid-spec",
        exit_code=3,
        says="gone is loaded from the source",
    ),
    "soft-column-that-updates-set-as-well": Refusal(
        ddl=MARKED,
        spec={**SOFT_MARK, "update_columns": ["v", {"gone": "target.id > 1"}]},
        rows=[row(1, "x")],
        code="invalid-spec",
        exit_code=3,
        says="gone",
    ),
    "soft-column-that-is-not-there": Refusal(
        ddl=MARKED,
        spec={"delete": {"soft": {"gonne": "true"}}},
        rows=[row(1, "x")],
        code="invalid-spec",
        exit_code=3,
        says="gone",
    ),
    "soft-column-that-is-generated": Refusal(
        ddl="CREATE TABLE t (id int PRIMARY KEY, v text, gone boolean GENERATED ALWAYS AS (v IS NULL) STORED)",
        spec=SOFT_MARK,
        rows=[row(1, "x")],
        code="target-unfit",
        exit_code=3,
        says="gone",
    ),
    "soft-value-of-another-type": Refusal(
        ddl=TIMED,
        spec={"delete": {"soft": {"deleted_at": "true"}}},
        rows=[row(1, "x")],
        code="invalid-spec",
        exit_code=3,
        says="deleted_at",
    ),
    "soft-value-that-is-the-live-one": Refusal(
        ddl=MARKED,
        spec={"delete": {"soft": {"gone": "false"}}},
        rows=[row(1, "x")],
        code="invalid-spec",
        exit_code=3,
        says="live",
    ),
}


@refusals(REFUSALS)
def test_mirror_is_refused(db: Database, case: Refusal, method: str):
    judge_refusal(db, case, method, **BASE)


# Rule 3.
@pytest.mark.parametrize("mode", ["mirror", "replace"])
def test_rule_3_a_run_waits_for_a_writer_and_deletes_what_it_wrote(db: Database, mode: str):
    db.execute(PLAIN)
    reports: list[syncengine.Report] = []
    spec = {**BASE, "mode": mode}
    run = threading.Thread(target=lambda: reports.append(sync(db, [row(1, "a")], **spec)))
    with db.connect() as other, other.transaction():
        other.execute("INSERT INTO t VALUES (7, 'theirs')")
        run.start()
        waits = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND NOT granted"
        while db.one(waits) == 0:
            assert run.is_alive()
        other.execute("UPDATE t SET v = 'theirs' WHERE id = 1")
    run.join()

    assert counts(reports[0]) == {"updated": 1, "deleted": 3}
    assert reports[0].retries == 0
    assert db.execute("SELECT * FROM t") == [(1, "a")]


@pytest.mark.parametrize("mode", ["mirror", "replace", "history"])
def test_rule_3_readers_are_not_kept_waiting_and_writers_are(db: Database, mode: str):
    db.execute(PLAIN)
    if mode == "history":
        db.execute(
            "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD valid_from timestamptz, ADD valid_to timestamptz"
        )
        db.execute("UPDATE t SET valid_from = '2020-01-01'")
    seen: list[Any] = []

    def look(event: object) -> None:
        if type(event).__name__ == "Classified":
            with db.connect() as other:
                other.execute("SET lock_timeout = '2s'")
                seen.append(other.execute("SELECT count(*) FROM t").fetchone())
                other.execute("SET lock_timeout = '20ms'")
                with pytest.raises(Exception, match="lock timeout"):
                    other.execute("UPDATE t SET v = 'theirs'")

    spec = {"name": "t", "target": "t", **BASE, "mode": mode}
    if mode == "history":
        del spec["limits"]
    syncengine.run(spec, source=[row(1, "x"), row(9, "z")], connection=db.url, emit=look)

    assert seen == [(3,)]


def test_rule_3_two_mirrors_at_once_end_as_one_of_them(db: Database):
    db.execute(PLAIN)
    sources = [[row(n, "p") for n in range(500)], [row(n, "q") for n in range(250, 750)]]
    reports: list[syncengine.Report] = []
    threads = [
        threading.Thread(target=lambda rows=rows: reports.append(sync(db, rows, **BASE))) for rows in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    left = [{"id": key, "v": value} for key, value in db.execute("SELECT * FROM t ORDER BY 1")]
    assert left in sources
    assert sorted(report.inserted for report in reports) in ([250, 497], [250, 500])


def test_rule_3_a_mirror_gives_up_waiting_after_its_lock_timeout(db: Database):
    db.execute(PLAIN)
    with db.connect() as other, other.transaction():
        other.execute("INSERT INTO t VALUES (7, 'theirs')")
        error = refused(db, [row(1, "a")], **BASE, execution={"lock_timeout": "50ms"})

    assert (error.code, error.sqlstate) == ("conflict", "55P03")
    assert db.one("SELECT count(*) FROM t") == 4
