"""`checks`, `before` and `after` (docs/spec.md §2, §6): the user's own SQL within the publishing transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import a_spec, contents
from tests.calls import Call, caller
from tests.runs import counts, refused, sync
from tests.servers import Database

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'), (2, 'two');
CREATE TABLE log (line text); CREATE TABLE empty (v boolean)"""
ROWS = [{"id": 2, "v": "zwei"}, {"id": 3, "v": "drei"}]
AFTER = [(1, "one"), (2, "zwei"), (3, "drei")]
METHODS = ["staged", "rows"]


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCENGINE_URL", emptied.url)
    emptied.execute(TABLE)
    return emptied


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


def rows(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT id, v FROM t ORDER BY id")


def check(sql: str, **more: str) -> dict[str, Any]:
    return {"conflict_keys": ["id"], "checks": [{"sql": sql, **more}]}


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("SELECT count(*) = 3 FROM t", id="the-target-as-it-would-be-published"),
        pytest.param("SELECT count(*) = 3 FROM public.t;", id="a-semicolon-at-the-end"),
        pytest.param("SELECT true -- as it should be", id="a-comment-at-the-end"),
        pytest.param("SELECT true; -- as it should be", id="a-comment-after-the-semicolon"),
        pytest.param("SELECT true /* yes */ ; /* yes */", id="comments-of-the-other-kind"),
        pytest.param("-- first\nSELECT\n  true\n", id="several-lines"),
        pytest.param("SELECT '100%' LIKE '%0\\%%' AND 5 % 2 = 1", id="percent-signs"),
        pytest.param("SELECT '%s %(x)s {} $1' <> ''", id="placeholders"),
        pytest.param("SELECT 'a;b' = 'a;b'", id="a-semicolon-in-a-text"),
        pytest.param("SELECT count(*) = 0 FROM log", id="another-table"),
        pytest.param("VALUES (true)", id="values"),
        pytest.param("WITH n AS (SELECT count(*) AS n FROM t) SELECT n = 3 FROM n", id="with"),
        pytest.param("SELECT 'é' = 'é'", id="unicode"),
        pytest.param("TABLE yes", id="table"),
    ],
)
def test_a_check_that_holds_lets_the_run_publish(db: Database, sql: str):
    db.execute("CREATE TABLE yes AS SELECT true AS v")

    report = sync(db, ROWS, **check(sql))

    assert counts(report) == {"inserted": 1, "updated": 1}
    assert rows(db) == AFTER


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("sql", "given"),
    [
        pytest.param("SELECT count(*) = 2 FROM t", "false", id="false"),
        pytest.param("SELECT NULL::boolean", "NULL", id="null"),
        pytest.param("SELECT bool_and(v) FROM empty", "NULL", id="null-of-an-aggregate-over-nothing"),
        pytest.param("SELECT v FROM empty", "no row", id="no-row"),
        pytest.param("SELECT true FROM generate_series(1, 2)", "more than one value", id="two-rows"),
        pytest.param("SELECT id > 0 FROM t", "more than one value", id="a-row-for-each-of-the-targets"),
    ],
)
def test_whatever_is_not_true_rolls_everything_back(db: Database, sql: str, given: str, method: str):
    before = contents(db)

    error = refused(
        db, ROWS, execution={"method": method}, after=["INSERT INTO log VALUES ('after')"], **check(sql)
    )

    assert (error.code, error.exit_code) == ("check-failed", 5)
    assert error.message == f"check 1: the query gave {given}"
    assert {name: kept for name, kept in contents(db).items() if "syncengine" not in name} == before


# What is no boolean query is found before the first row is read.
@pytest.mark.parametrize(
    ("sql", "says"),
    [
        pytest.param("SELECT 1", "must be type boolean", id="a-number"),
        pytest.param("SELECT count(*) FROM t", "must be type boolean", id="a-count"),
        pytest.param("SELECT v FROM t", "must be type boolean", id="a-text"),
        pytest.param("SELECT true, true", "must return only one column", id="two-columns"),
        pytest.param("SELECT", "must return", id="no-column"),
        pytest.param("SELECT nope FROM t", 'column "nope" does not exist', id="no-such-column"),
        pytest.param("SELECT true FROM nope", 'relation "nope" does not exist', id="no-such-table"),
        pytest.param("SELECT nope(1)", "function nope(integer) does not exist", id="no-such-function"),
        pytest.param(
            "WITH d AS (DELETE FROM log RETURNING 1) SELECT count(*) = 0 FROM d",
            "data-modifying",
            id="writing",
        ),
        pytest.param("SELECT true) OR (true", "syntax error", id="parentheses-that-close-ours"),
    ],
)
def test_what_is_no_boolean_query_is_refused_before_the_first_row(
    db: Database, call: Call, tmp_path: Path, sql: str, says: str
):
    path = a_spec(tmp_path, {"type": "rows", "rows": ROWS}, **check(sql))
    line = (
        path.read_text().splitlines().index(next(x for x in path.read_text().splitlines() if "sql:" in x)) + 1
    )
    before = contents(db)

    for command in (["plan"], ["plan", "--diff"], ["run"]):
        done = call(*command, path, "--format", "json")
        assert done.code == 3
        assert says in done.spec["error"]["message"]
        assert done.spec["error"]["location"]["line"] == line
    assert contents(db) == before


def test_a_check_can_not_write(db: Database):
    db.execute(
        "CREATE FUNCTION mark() RETURNS boolean LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO log VALUES ('written'); RETURN true; END$$; CREATE SEQUENCE s"
    )

    for sql in ("SELECT mark()", "SELECT nextval('s') > 0"):
        error = refused(db, ROWS, **check(sql, name="sneaky"))
        assert error.sqlstate == "25006"
        assert "sneaky" in (error.detail or "")
        assert "primary" not in (error.hint or "")  # it is the check that may not, not the server

    assert db.execute("SELECT * FROM log") == []
    assert rows(db) == [(1, "one"), (2, "two")]


def test_a_check_that_fails_in_the_run_is_an_error_with_its_name_and_place(
    db: Database, call: Call, tmp_path: Path
):
    path = a_spec(
        tmp_path, {"type": "rows", "rows": ROWS}, **check("SELECT 1 / count(*) > 0 FROM log", name="ratio")
    )

    done = call("run", path, "--format", "json")

    error = done.spec["error"]
    assert (done.code, error["message"]) == (1, "division by zero")
    assert "'ratio'" in error["detail"]
    assert error["location"]["file"].endswith("spec.yaml")
    assert rows(db) == [(1, "one"), (2, "two")]


def test_all_checks_are_asked_and_those_that_fail_are_told_at_once(db: Database):
    checks = [
        {"name": "three", "sql": "SELECT count(*) = 3 FROM t"},
        {
            "name": "few",
            "sql": "SELECT count(*) < 3 FROM t",
            "message": "at most two rows are meant to be there",
        },
        {"name": "unknown", "sql": "SELECT bool_or(v) FROM empty"},
    ]

    error = refused(db, ROWS, conflict_keys=["id"], checks=checks)

    assert error.message == "few: at most two rows are meant to be there (the query gave false)"
    assert error.detail == "unknown: the query gave NULL"


def test_a_check_does_not_disturb_the_next(db: Database):
    checks = [{"sql": "SELECT set_config('my.flag', 'x', true) = 'x'"}, {"sql": "SELECT count(*) = 3 FROM t"}]

    assert sync(db, ROWS, conflict_keys=["id"], checks=checks).inserted == 1


@pytest.mark.parametrize("mode", ["insert", "ignore", "upsert", "update", "mirror", "replace", "history"])
def test_checks_see_what_each_mode_would_publish(db: Database, mode: str):
    db.execute("ALTER TABLE t ADD valid_from timestamptz DEFAULT now(), ADD valid_to timestamptz")
    if mode == "history":
        db.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
    spec: dict[str, Any] = {"mode": mode, "conflict_keys": ["id"]}
    if mode == "insert":
        spec.pop("conflict_keys")
        db.execute("TRUNCATE t")
    before = contents(db)["public.t"]
    there = "SELECT NOT EXISTS (SELECT FROM t WHERE v = 'drei' OR v = 'zwei')"

    assert refused(db, ROWS, checks=[{"sql": there}], **spec).code == "check-failed"

    assert contents(db)["public.t"] == before


def test_a_created_table_can_be_checked(db: Database):
    target = {"table": "fresh", "create": True}

    error = refused(db, ROWS, target=target, **check("SELECT count(*) = 3 FROM fresh"))
    assert error.code == "check-failed"
    assert db.one("SELECT to_regclass('fresh')") is None

    assert sync(db, ROWS, target=target, **check("SELECT count(*) = 2 FROM fresh")).inserted == 2


# before and after
def test_statements_run_in_order_around_the_publishing_and_under_the_roles_own_path(db: Database):
    db.execute("ALTER TABLE log ADD n serial, ADD rows int")
    spec = {
        "conflict_keys": ["id"],
        "before": [
            "INSERT INTO log (line, rows) SELECT 'b1', count(*) FROM t",
            "INSERT INTO log VALUES ('b2 %s 5%')",
        ],
        "after": [
            "INSERT INTO log (line, rows) SELECT 'a1', count(*) FROM t;",
            "INSERT INTO log VALUES ('a2')",
        ],
    }

    sync(db, ROWS, **spec)

    assert db.execute("SELECT line, rows FROM log ORDER BY n") == [
        ("b1", 2),
        ("b2 %s 5%", None),
        ("a1", 3),
        ("a2", None),
    ]
    assert (
        db.one(
            "SELECT count(DISTINCT xmin::text) FROM (SELECT xmin FROM log UNION ALL SELECT xmin FROM t WHERE id > 1) x"
        )
        == 1
    )


@pytest.mark.parametrize("method", METHODS)
def test_what_before_changes_is_what_rows_are_compared_with(db: Database, method: str):
    spec = {
        "conflict_keys": ["id"],
        "before": ["UPDATE t SET v = 'zwei' WHERE id = 2; "],
        "execution": {"method": method},
    }

    report = sync(db, ROWS, mode="mirror", limits={"max_deletes": "100%"}, **spec)

    assert counts(report) == {"inserted": 1, "unchanged": 1, "deleted": 1}


def test_a_check_sees_what_before_made(db: Database):
    spec = {
        "conflict_keys": ["id"],
        "before": ["CREATE TEMPORARY TABLE old ON COMMIT DROP AS SELECT * FROM t"],
        "checks": [{"sql": "SELECT count(*) = 1 FROM t LEFT JOIN old USING (id) WHERE old.id IS NULL"}],
    }

    assert sync(db, ROWS, **spec).inserted == 1
    assert refused(db, [{"id": 7, "v": "x"}, {"id": 8, "v": "x"}], **spec).code == "check-failed"


def test_checks_come_after_after(db: Database):
    spec = {"after": ["DELETE FROM t WHERE id = 1"], **check("SELECT count(*) = 2 FROM t")}

    sync(db, ROWS, **spec)

    assert rows(db) == [(2, "zwei"), (3, "drei")]


@pytest.mark.parametrize(("key", "method"), [("before", "rows"), ("after", "staged")])
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        pytest.param("INSERT INTO nope VALUES (1)", 'relation "nope" does not exist', id="no-such-table"),
        pytest.param("SELECT 1 / 0", "division by zero", id="an-error-in-the-data"),
        pytest.param("DO $$BEGIN RAISE EXCEPTION 'not today'; END$$", "not today", id="raised"),
        pytest.param("DO $$BEGIN COMMIT; END$$", "invalid transaction termination", id="commit-in-a-block"),
        pytest.param("CALL finish()", "invalid transaction termination", id="commit-in-a-procedure"),
        pytest.param("VACUUM t", "cannot run inside a transaction block", id="vacuum"),
        pytest.param("INSERT INTO t VALUES (1, 'twice')", "duplicate key value", id="a-key-that-is-there"),
    ],
)
def test_a_statement_that_fails_leaves_nothing(
    db: Database, key: str, statement: str, says: str, method: str
):
    db.execute("CREATE PROCEDURE finish() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$")
    hooks = {key: ["INSERT INTO log VALUES ('first')", statement]}
    before = {name: kept for name, kept in contents(db).items() if "syncengine" not in name}

    error = refused(db, ROWS, conflict_keys=["id"], execution={"method": method}, **hooks)

    assert error.exit_code == 1
    assert says in error.message
    assert f"{key}: statement 2 of the spec" in (error.detail or "")
    after = contents(db)
    assert {name: kept for name, kept in after.items() if "syncengine" not in name} == before
    assert [name for name in after if "stage" in name] == []


def test_settings_of_the_transaction_end_with_it(db: Database):
    hooks = {
        "before": ["SET LOCAL TimeZone = 'Asia/Tokyo'"],
        "after": ["INSERT INTO log SELECT current_setting('TimeZone')"],
    }

    sync(db, ROWS, conflict_keys=["id"], **hooks)

    assert db.execute("SELECT line FROM log") == [("Asia/Tokyo",)]


# A plan runs neither.
@pytest.mark.parametrize(
    "command",
    [["plan"], ["plan", "--diff"], ["run", "--dry-run"], ["plan", "--detailed-exitcode"]],
    ids=" ".join,
)
def test_a_plan_runs_no_hook_and_no_check(db: Database, call: Call, tmp_path: Path, command: list[str]):
    db.execute("CREATE SEQUENCE calls")
    db.execute("CREATE FUNCTION called() RETURNS boolean LANGUAGE sql AS $$SELECT nextval('calls') > 0$$")
    spec = {
        "conflict_keys": ["id"],
        "before": ["SELECT called()", "INSERT INTO log VALUES ('before')"],
        "after": ["SELECT called()", "INSERT INTO log VALUES ('after')"],
        "checks": [{"sql": "SELECT called()"}],
    }
    path = a_spec(tmp_path, {"type": "rows", "rows": ROWS}, **spec)
    before = contents(db)

    done = call(*command, path)

    assert done.code == (2 if "--detailed-exitcode" in command else 0)
    assert "not part of a preview" in done.out
    assert contents(db) == before
    assert db.one("SELECT is_called FROM calls") is False


def test_without_changes_hooks_and_checks_run_all_the_same(db: Database):
    spec: dict[str, Any] = {"conflict_keys": ["id"], "before": ["INSERT INTO log VALUES ('before')"]}

    report = sync(db, [{"id": 1, "v": "one"}], **spec)

    assert counts(report) == {"unchanged": 1}
    assert db.execute("SELECT line FROM log") == [("before",)]
    error = refused(db, [{"id": 1, "v": "one"}], checks=[{"sql": "SELECT false"}], **spec)
    assert error is not None
    assert error.code == "check-failed"
