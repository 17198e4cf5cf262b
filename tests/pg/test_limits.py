"""`limits` and `--approve` (docs/spec.md §2, §6): what stops a run on its real numbers, before it publishes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.builders import a_spec
from tests.calls import Call, caller
from tests.runs import counts, places, refused, sync
from tests.servers import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, gone boolean NOT NULL DEFAULT false)"
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


def store(db: Database, ids: Iterable[int]) -> None:
    db.conn.cursor().executemany("INSERT INTO t VALUES (%s, 'old')", [[number] for number in ids])


def rows(ids: Iterable[int], value: str = "old") -> list[dict[str, Any]]:
    return [{"id": number, "v": value} for number in ids]


def broken(db: Database, source: object, **spec: Any) -> str:
    """Return what a run says that a limit stops, after checking that nothing was written; '' where none does."""
    before = places(db)
    preview = syncengine.plan(
        {"name": "t", "target": "t", **spec}, source=source, connection=db.url, diff=True
    )
    assert preview.preview is not None
    assert places(db) == before
    foreseen = preview.preview.error
    if foreseen is None:
        report = sync(db, source, **spec)
        assert counts(report) == {name: n for name, n in _counters(preview).items() if n}
        return ""
    with pytest.raises(syncengine.SyncError) as failure:
        sync(db, source, **spec)
    error = failure.value
    assert (error.code, error.exit_code) == ("limit-exceeded", 5)
    assert foreseen.document() == error.document()
    assert places(db) == before
    return "; ".join(text for text in (error.message, error.detail) if text)


def _counters(plan: syncengine.Plan) -> dict[str, int]:
    assert plan.preview is not None
    names = ("inserted", "updated", "unchanged", "skipped", "duplicates", "quarantined", "deleted")
    return {name: getattr(plan.preview.counts, name) for name in names}


TEN = range(10)

# (mode, limits, stored ids, source, what is broken)
BOUNDS = [
    pytest.param("mirror", {"max_deletes": 3}, TEN, rows(range(3, 10)), "", id="deletes-at-the-count"),
    pytest.param(
        "mirror",
        {"max_deletes": 3},
        TEN,
        rows(range(4, 10)),
        "max_deletes: 4 rows would be deleted, at most 3 may be",
        id="deletes-one-above-the-count",
    ),
    pytest.param("mirror", {"max_deletes": "30%"}, TEN, rows(range(3, 10)), "", id="deletes-at-the-share"),
    pytest.param(
        "mirror",
        {"max_deletes": "30%"},
        TEN,
        rows(range(4, 10)),
        "max_deletes: 4 rows would be deleted, at most 3 (30% of 10) may be",
        id="deletes-one-above-the-share",
    ),
    pytest.param(
        "mirror", {"max_deletes": "29.9%"}, TEN, rows(range(2, 10)), "", id="a-share-between-two-rows"
    ),
    pytest.param(
        "mirror",
        {"max_deletes": "29.9%"},
        TEN,
        rows(range(3, 10)),
        "max_deletes: 3 rows would be deleted, at most 2 (29.9% of 10) may be",
        id="above-a-share-between-two-rows",
    ),
    pytest.param("mirror", {"max_deletes": 0}, TEN, rows(TEN), "", id="no-deletes-allowed-and-none"),
    pytest.param(
        "mirror",
        {"max_deletes": 0},
        TEN,
        rows(range(1, 10)),
        "max_deletes: 1 rows would be deleted, at most 0 may be",
        id="no-deletes-allowed-and-one",
    ),
    pytest.param(
        "mirror",
        {"max_deletes": "0%"},
        TEN,
        rows(range(1, 10)),
        "max_deletes: 1 rows would be deleted, at most 0 (0% of 10) may be",
        id="a-share-of-nothing",
    ),
    pytest.param(
        "mirror",
        {"max_deletes": "100%", "min_rows": 0},
        TEN,
        rows([]),
        "",
        id="all-rows-where-that-is-allowed",
    ),
    pytest.param("upsert", {"max_updates": 2}, TEN, rows(range(2), "new"), "", id="updates-at-the-count"),
    pytest.param(
        "upsert",
        {"max_updates": 2},
        TEN,
        rows(range(3), "new"),
        "max_updates: 3 rows would be updated, at most 2 may be",
        id="updates-one-above-the-count",
    ),
    pytest.param(
        "update",
        {"max_updates": "20%"},
        TEN,
        rows(range(3), "new"),
        "max_updates: 3 rows would be updated, at most 2 (20% of 10) may be",
        id="updates-above-the-share",
    ),
    pytest.param("update", {"max_inserts": 0}, TEN, rows(range(20, 25)), "", id="update-inserts-nothing"),
    pytest.param("upsert", {"max_inserts": 2}, TEN, rows([20, 21]), "", id="inserts-at-the-count"),
    pytest.param(
        "ignore",
        {"max_inserts": "20%"},
        TEN,
        rows([1, 20, 21, 22]),
        "max_inserts: 3 rows would be inserted, at most 2 (20% of 10) may be",
        id="inserts-above-the-share",
    ),
    pytest.param(
        "upsert",
        {"max_inserts": "10%"},
        [],
        rows([1]),
        "max_inserts: 1 rows would be inserted, at most 0 (10% of 0) may be",
        id="a-share-of-an-empty-target-is-no-row",
    ),
    pytest.param(
        "mirror", {"max_deletes": "1%"}, [], rows(TEN), "", id="nothing-to-delete-from-an-empty-target"
    ),
    pytest.param("upsert", {"min_rows": 3}, TEN, rows(range(3)), "", id="just-enough-rows"),
    pytest.param(
        "upsert",
        {"min_rows": 3},
        TEN,
        rows(range(2)),
        "min_rows: the source holds 2 rows, at least 3 are needed",
        id="one-row-short",
    ),
    pytest.param("upsert", {"min_rows": "25%"}, TEN, rows(range(3)), "", id="more-than-the-share-asks-for"),
    pytest.param(
        "upsert",
        {"min_rows": "25%"},
        TEN,
        rows(range(2)),
        "min_rows: the source holds 2 rows, at least 3 (25% of 10) are needed",
        id="a-share-asks-for-whole-rows",
    ),
    pytest.param(
        "upsert", {"min_rows": "50%"}, [], rows([]), "", id="a-share-of-an-empty-target-asks-for-no-row"
    ),
    pytest.param("upsert", {}, TEN, rows([]), "", id="upsert-has-no-limit-of-its-own"),
    pytest.param("mirror", {}, TEN, rows(range(5, 10)), "", id="mirror-deletes-up-to-half-by-default"),
    pytest.param(
        "mirror",
        {},
        TEN,
        rows(range(6, 10)),
        "max_deletes: 6 rows would be deleted, at most 5 (50% of 10) may be",
        id="mirror-deletes-no-more-than-half-by-default",
    ),
    pytest.param(
        "mirror",
        {"max_deletes": "100%"},
        TEN,
        rows([]),
        "min_rows: the source holds 0 rows, at least 1 are needed",
        id="mirror-needs-a-row-by-default-whatever-it-may-delete",
    ),
    pytest.param("replace", {}, TEN, rows([99]), "", id="replace-may-delete-everything"),
    pytest.param(
        "replace",
        {},
        TEN,
        rows([]),
        "min_rows: the source holds 0 rows, at least 1 are needed",
        id="replace-needs-a-row-by-default",
    ),
    pytest.param(
        "replace", {"min_rows": 0}, TEN, rows([]), "", id="replace-by-nothing-where-that-is-allowed"
    ),
    pytest.param(
        "mirror",
        {"max_inserts": 0, "max_updates": 0, "max_deletes": 0, "min_rows": 9},
        TEN,
        rows(range(7), "new") + rows([20]),
        "min_rows: the source holds 8 rows, at least 9 are needed; "
        "max_deletes: 3 rows would be deleted, at most 0 may be; "
        "max_updates: 7 rows would be updated, at most 0 may be; "
        "max_inserts: 1 rows would be inserted, at most 0 may be",
        id="all-broken-limits-are-told-at-once",
    ),
]


@pytest.mark.parametrize(("mode", "limits", "stored", "source", "says"), BOUNDS)
def test_a_limit_stops_what_goes_beyond_it_and_nothing_else(
    db: Database, mode: str, limits: dict[str, Any], stored: range, source: list[dict[str, Any]], says: str
):
    store(db, stored)

    assert broken(db, source, mode=mode, conflict_keys=["id"], limits=limits) == says


# Stored: 0-3 are live, 4-9 are softly deleted.
@pytest.mark.parametrize(
    ("kept", "says"),
    [
        pytest.param([0, 1], "", id="half-of-the-live"),
        pytest.param(
            [0],
            "max_deletes: 3 rows would be deleted, at most 2 (50% of 4) may be",
            id="more-than-half-of-the-live",
        ),
    ],
)
def test_softly_deleted_rows_are_not_counted(db: Database, kept: list[int], says: str):
    store(db, TEN)
    db.execute("UPDATE t SET gone = true WHERE id > 3")

    found = broken(db, rows(kept), mode="mirror", conflict_keys=["id"], delete={"soft": {"gone": "true"}})

    assert found == says


@pytest.mark.parametrize(
    ("spec", "source", "says"),
    [
        pytest.param(
            {"mode": "mirror", "delete": {"scope": "target.id < 4"}, "limits": {"max_deletes": "30%"}},
            rows([0]),
            "",
            id="deletes-within-the-scope-are-a-share-of-the-whole-target",
        ),
        pytest.param(
            {"mode": "mirror", "delete": {"scope": "target.id < 4"}, "limits": {"max_deletes": 2}},
            rows([0]),
            "max_deletes: 3 rows would be deleted, at most 2 may be",
            id="rows-outside-the-scope-are-not-deleted",
        ),
        pytest.param(
            {"where": "target.id > 1", "limits": {"max_updates": 1}},
            rows(range(3), "new"),
            "",
            id="skipped-rows-are-no-updates",
        ),
        pytest.param(
            {"touch_unchanged": True, "limits": {"max_updates": 1}},
            rows(range(2)),
            "max_updates: 2 rows would be updated, at most 1 may be",
            id="touched-rows-are-updates",
        ),
        pytest.param(
            {"limits": {"min_rows": 3}}, rows([1, 1, 1]), "", id="duplicates-are-rows-of-the-source"
        ),
        pytest.param(
            {"mode": "mirror", "delete": {"soft": {"gone": "true"}}, "limits": {"max_updates": 0}},
            rows(range(10)),
            "",
            id="soft-deletes-are-no-updates",
        ),
    ],
)
def test_classes_are_counted_as_they_are_reported(
    db: Database, spec: dict[str, Any], source: list[dict[str, Any]], says: str
):
    store(db, TEN)

    assert broken(db, source, conflict_keys=["id"], **spec) == says


def test_closed_versions_count_as_deletes(db: Database):
    db.execute("CREATE TABLE h (id int, v text, valid_from timestamptz, valid_to timestamptz)")
    spec = {"target": "h", "mode": "history", "conflict_keys": ["id"]}
    sync(db, rows(range(4)), **spec)

    error = refused(db, rows([0]), limits={"max_deletes": 2}, **spec)

    assert error.message == "max_deletes: 3 rows would be deleted, at most 2 may be"
    assert counts(sync(db, rows([0, 1]), limits={"max_deletes": 2}, **spec)) == {"unchanged": 2, "deleted": 2}


@pytest.mark.parametrize("method", ["copy", "staged", "rows"])
def test_inserts_are_limited_whatever_the_strategy(db: Database, method: str):
    store(db, TEN)
    spec: dict[str, Any] = {"mode": "insert", "execution": {"method": method}, "ignore_fields": ["gone"]}
    before = places(db)

    error = refused(db, rows(range(20, 23)), limits={"max_inserts": "20%"}, **spec)

    assert error.message == "max_inserts: 3 rows would be inserted, at most 2 (20% of 10) may be"
    assert places(db) == before
    assert counts(sync(db, rows(range(20, 22)), limits={"max_inserts": "20%"}, **spec)) == {"inserted": 2}


def test_of_a_table_that_is_to_be_created_nothing_stays(db: Database):
    spec = {
        "target": {"table": "fresh", "create": True},
        "conflict_keys": ["id"],
        "limits": {"max_inserts": 1},
    }

    assert refused(db, rows([1, 2]), **spec).code == "limit-exceeded"

    assert db.one("SELECT to_regclass('fresh')") is None


# Sources that hold nothing: what real publishers have put in the place of a file.
@pytest.mark.parametrize("mode", ["mirror", "replace"])
@pytest.mark.parametrize(
    ("source", "text", "code", "exit_code"),
    [
        pytest.param("t.csv", "id,v\n", "limit-exceeded", 5, id="a-header-alone"),
        pytest.param("t.csv", "", "source-unreadable", 1, id="no-bytes"),
        pytest.param("t.csv", "\n", "source-unreadable", 1, id="a-line-break-alone"),
        pytest.param("t.jsonl", "", "limit-exceeded", 5, id="json-lines-without-a-line"),
        pytest.param("no*.csv", None, "source-unreadable", 1, id="a-glob-that-matches-nothing"),
        pytest.param("t.csv", None, "source-unreadable", 1, id="no-file"),
    ],
)
def test_an_empty_source_does_not_wipe_a_table(
    db: Database,
    call: Call,
    tmp_path: Path,
    mode: str,
    source: str,
    text: str | None,
    code: str,
    exit_code: int,
):
    store(db, TEN)
    before = places(db)
    path = a_spec(tmp_path, source, mode=mode, conflict_keys=["id"])
    if text is not None:
        Path(source).write_text(text)

    for command in (["plan", "--diff"], ["run", "--dry-run"], ["run"]):
        done = call(*command, path, "--format", "json")
        assert (done.code, done.spec["error"]["code"]) == (exit_code, code), command
        assert places(db) == before


@pytest.mark.parametrize("text", ["id,v\n", ""], ids=["a-header-alone", "json-lines-without-a-line"])
def test_an_empty_source_wipes_a_table_that_may_be_empty(db: Database, call: Call, tmp_path: Path, text: str):
    store(db, TEN)
    source = "t.csv" if text else "t.jsonl"
    Path(source).write_text(text)
    limits = {"min_rows": 0, "max_deletes": "100%"}
    path = a_spec(tmp_path, source, mode="mirror", conflict_keys=["id"], limits=limits)

    done = call("run", path, "--format", "json")

    assert (done.code, done.spec["deleted"]) == (0, 10)


# --approve
@pytest.mark.parametrize(
    ("approve", "code", "left"),
    [
        pytest.param(["max_deletes=8"], 0, 2, id="a-count"),
        pytest.param(["max_deletes=80%"], 0, 2, id="a-share"),
        pytest.param(["max_deletes=7"], 5, 10, id="too-few"),
        pytest.param(["max_updates=8"], 5, 10, id="another-limit"),
        pytest.param(["max_deletes=7", "max_deletes=8"], 0, 2, id="the-last-of-two"),
        pytest.param(["max_deletes=8", "min_rows=3"], 5, 10, id="stricter-in-another"),
    ],
)
def test_an_approval_stands_for_the_limit_of_one_call(
    db: Database, call: Call, tmp_path: Path, approve: list[str], code: int, left: int
):
    store(db, TEN)
    Path("t.csv").write_text("id,v\n1,old\n2,old\n")
    path = a_spec(tmp_path, "t.csv", mode="mirror", conflict_keys=["id"])
    options = [word for item in approve for word in ("--approve", item)]

    assert call("run", path, "--dry-run", *options).code == code
    assert call("plan", path, "--diff", *options).code == code
    assert call("run", path, *options).code == code
    assert db.one("SELECT count(*) FROM t") == left


def test_what_the_hint_says_lifts_the_limits(db: Database, call: Call, tmp_path: Path):
    store(db, TEN)
    Path("t.csv").write_text("id,v\n1,new\n2,new\n")
    limits = {"max_deletes": 1, "max_updates": 1, "min_rows": 3}
    path = a_spec(tmp_path, "t.csv", mode="mirror", conflict_keys=["id"], limits=limits)
    hint = call("run", path, "--format", "json").spec["error"]["hint"]

    done = call("run", path, *hint.split(": ")[-1].split())

    assert done.code == 0
    assert call("run", path).code == 5  # it was for that run


@pytest.mark.parametrize(
    "approve",
    [
        "max_deletes",
        "max_deletes=",
        "max_delete=5",
        "max_deletes=-1",
        "max_deletes=1.5",
        "=5",
        "max_deletes=x",
    ],
)
def test_an_approval_of_no_limit_is_refused(db: Database, call: Call, tmp_path: Path, approve: str):
    store(db, TEN)
    path = a_spec(tmp_path, "t.csv", mode="mirror", conflict_keys=["id"])

    done = call("run", path, "--approve", approve)

    assert done.code == 3
    assert "max_deletes=1200" in done.err
