"""docs/spec.md §5 and §11, rule 9: `history` keeps every version, one after the other, without gaps or overlaps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import syncengine
from tests.modecases import METHODS, Record, Refusal, Row, by_id, judge_refusal, refusals
from tests.runs import counts, places, sync
from tests.servers import Database

BASE: dict[str, Any] = {"mode": "history", "conflict_keys": ["id"]}
STATED: dict[str, Any] = {
    "history": {"valid_from": {"valid_from": "excluded.valid_from"}, "current": "current"},
}


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


TABLE = (
    "CREATE TABLE t (id int, v text, w text, valid_from {type} NOT NULL, valid_to {type}, current boolean,"
    " PRIMARY KEY (id, valid_from));"
    "CREATE UNIQUE INDEX ON t (id) WHERE valid_to IS NULL;"
    "ALTER TABLE t ADD EXCLUDE USING gist (int4range(id, id, '[]') WITH &&, {range}(valid_from, valid_to) WITH &&)"
)
TIMES = TABLE.format(type="timestamptz", range="tstzrange")
DATES = TABLE.format(type="date", range="daterange")
LOOK = (
    "SELECT id, v, w, to_char(valid_from, 'MM-DD'), CASE WHEN valid_to > now() - interval '2 days'"
    " AND valid_to < now() + interval '2 days' THEN 'now' ELSE to_char(valid_to, 'MM-DD') END, current"
    " FROM t ORDER BY id, valid_from, valid_to"
)


@dataclass(frozen=True, kw_only=True)
class Story:
    """Runs one after the other: the rows (id, v, w, valid_from) and books of each, and the versions at the end."""

    runs: list[tuple[list[Row], Mapping[str, int]]]
    left: list[Row]
    ddl: str = TIMES
    history: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


def version(row: Row) -> Record:
    return dict(zip(("id", "v", "w", "valid_from"), row, strict=True))


JAN, FEB, MAR = "2024-01-01", "2024-02-01", "2024-03-01"
LATER = "2999-05-01"

STORIES: dict[str, Story] = {
    "first-load": Story(
        runs=[([(1, "a", "x", JAN), (2, "b", "x", FEB)], {"inserted": 2})],
        left=[(1, "a", "x", "01-01", None, True), (2, "b", "x", "02-01", None, True)],
    ),
    "no-change-writes-nothing": Story(
        runs=[([(1, "a", "x", JAN)], {"inserted": 1}), ([(1, "a", "x", JAN)], {"unchanged": 1})],
        left=[(1, "a", "x", "01-01", None, True)],
    ),
    "no-change-though-it-comes-with-a-later-time": Story(
        runs=[([(1, "a", "x", JAN)], {"inserted": 1}), ([(1, "a", "x", FEB)], {"unchanged": 1})],
        left=[(1, "a", "x", "01-01", None, True)],
    ),
    "a-change-closes-one-version-where-the-next-begins": Story(
        runs=[([(1, "a", "x", JAN)], {"inserted": 1}), ([(1, "b", "x", FEB)], {"updated": 1})],
        left=[(1, "a", "x", "01-01", "02-01", False), (1, "b", "x", "02-01", None, True)],
    ),
    "several-changes-and-back-again": Story(
        runs=[
            ([(1, "a", "x", JAN)], {"inserted": 1}),
            ([(1, "b", "x", FEB)], {"updated": 1}),
            ([(1, "a", "x", MAR)], {"updated": 1}),
        ],
        left=[
            (1, "a", "x", "01-01", "02-01", False),
            (1, "b", "x", "02-01", "03-01", False),
            (1, "a", "x", "03-01", None, True),
        ],
    ),
    "null-is-a-value": Story(
        runs=[
            ([(1, None, "x", JAN)], {"inserted": 1}),
            ([(1, None, "x", FEB)], {"unchanged": 1}),
            ([(1, "a", "x", MAR)], {"updated": 1}),
        ],
        left=[(1, None, "x", "01-01", "03-01", False), (1, "a", "x", "03-01", None, True)],
    ),
    "columns-that-are-not-tracked-do-not-count": Story(
        history={"track": ["v"]},
        runs=[
            ([(1, "a", "x", JAN)], {"inserted": 1}),
            ([(1, "a", "y", FEB)], {"unchanged": 1}),
            ([(1, "b", "z", MAR)], {"updated": 1}),
        ],
        left=[(1, "a", "x", "01-01", "03-01", False), (1, "b", "z", "03-01", None, True)],
    ),
    "a-key-that-vanishes-is-closed-now": Story(
        runs=[
            ([(1, "a", "x", JAN), (2, "b", "x", JAN)], {"inserted": 2}),
            ([(2, "b", "x", JAN)], {"unchanged": 1, "deleted": 1}),
            ([(2, "b", "x", JAN)], {"unchanged": 1}),
        ],
        left=[(1, "a", "x", "01-01", "now", False), (2, "b", "x", "01-01", None, True)],
    ),
    "a-key-that-returns-later-has-a-gap": Story(
        runs=[
            ([(1, "a", "x", JAN), (2, "b", "x", JAN)], {"inserted": 2}),
            ([(2, "b", "x", JAN)], {"unchanged": 1, "deleted": 1}),
            ([(1, "a", "x", LATER), (2, "b", "x", JAN)], {"inserted": 1, "unchanged": 1}),
        ],
        left=[
            (1, "a", "x", "01-01", "now", False),
            (1, "a", "x", "05-01", None, True),
            (2, "b", "x", "01-01", None, True),
        ],
    ),
    "a-late-version-is-skipped": Story(
        runs=[
            ([(1, "a", "x", FEB)], {"inserted": 1}),
            ([(1, "b", "x", JAN)], {"skipped": 1}),
        ],
        left=[(1, "a", "x", "02-01", None, True)],
    ),
    "a-late-version-that-says-the-same-is-unchanged": Story(
        runs=[([(1, "a", "x", FEB)], {"inserted": 1}), ([(1, "a", "x", JAN)], {"unchanged": 1})],
        left=[(1, "a", "x", "02-01", None, True)],
    ),
    "a-version-of-the-same-time-takes-the-others-place": Story(
        runs=[([(1, "a", "x", JAN)], {"inserted": 1}), ([(1, "b", "y", JAN)], {"updated": 1})],
        left=[(1, "b", "y", "01-01", None, True)],
    ),
    "a-version-from-the-future": Story(
        runs=[([(1, "a", "x", LATER)], {"inserted": 1}), ([(1, "b", "x", JAN)], {"skipped": 1})],
        left=[(1, "a", "x", "05-01", None, True)],
    ),
    "a-version-from-the-future-that-vanishes-ends-when-it-begins": Story(
        runs=[
            ([(1, "a", "x", LATER), (2, "b", "x", JAN)], {"inserted": 2}),
            ([(2, "b", "x", JAN)], {"unchanged": 1, "deleted": 1}),
        ],
        left=[(1, "a", "x", "05-01", "05-01", False), (2, "b", "x", "01-01", None, True)],
    ),
    "a-version-from-the-future-that-vanishes-and-returns": Story(
        runs=[
            ([(1, "a", "x", LATER), (2, "b", "x", JAN)], {"inserted": 2}),
            ([(2, "b", "x", JAN)], {"unchanged": 1, "deleted": 1}),
            ([(1, "c", "y", JAN), (2, "b", "x", JAN)], {"unchanged": 1, "inserted": 1}),
            ([(1, "c", "y", JAN), (2, "b", "x", JAN)], {"unchanged": 2}),
        ],
        left=[(1, "c", "y", "05-01", None, True), (2, "b", "x", "01-01", None, True)],
    ),
    "dates": Story(
        ddl=DATES,
        runs=[
            ([(1, "a", "x", JAN)], {"inserted": 1}),
            ([(1, "b", "x", FEB)], {"updated": 1}),
            ([(1, "c", "x", FEB)], {"updated": 1}),
            ([(1, "d", "x", JAN)], {"skipped": 1}),
        ],
        left=[(1, "a", "x", "01-01", "02-01", False), (1, "c", "x", "02-01", None, True)],
    ),
    "the-guard": Story(
        spec={"where": "excluded.v > target.v"},
        runs=[
            ([(1, "b", "x", JAN)], {"inserted": 1}),
            ([(1, "a", "x", FEB)], {"skipped": 1}),
            ([(1, "c", "x", MAR)], {"updated": 1}),
        ],
        left=[(1, "b", "x", "01-01", "03-01", False), (1, "c", "x", "03-01", None, True)],
    ),
    "duplicates-last-wins": Story(
        spec={"duplicates": {"keep": "max", "by": "v"}},
        runs=[([(1, "a", "x", JAN), (1, "b", "x", FEB)], {"inserted": 1, "duplicates": 1})],
        left=[(1, "b", "x", "02-01", None, True)],
    ),
}


def story_spec(story: Story, method: str) -> dict[str, Any]:
    spec = {**BASE, **STATED, **story.spec, "execution": {"method": method}}
    spec["history"] = {**STATED["history"], **story.history}
    return spec


@pytest.mark.parametrize("method", METHODS)
@by_id(STORIES)
def test_rule_9_versions_follow_one_another(db: Database, case: Story, method: str):
    db.execute(case.ddl)
    spec = story_spec(case, method)

    for rows, books in case.runs:
        before = places(db)
        report = sync(db, [version(row) for row in rows], **spec)
        assert (counts(report), report.rows_read) == (dict(books), len(rows))
        assert set(books) & {"inserted", "updated", "deleted"} or places(db) == before

    assert db.execute(LOOK) == case.left


# The run's own time.
AUTO = TIMES.replace(", current boolean", "")
AUTO_DATES = DATES.replace(", current boolean", "")
A, B = {"id": 1, "v": "a"}, {"id": 2, "v": "b"}


def run(db: Database, *rows: Record, method: str = "staged", **spec: Any) -> dict[str, int]:
    return counts(sync(db, list(rows), **BASE, execution={"method": method}, **spec))


@pytest.mark.parametrize("method", METHODS)
def test_without_a_stated_time_versions_begin_when_they_come(db: Database, method: str):
    db.execute(AUTO)
    started = db.one("SELECT clock_timestamp()")

    books = [run(db, *rows, method=method) for rows in ([A, B], [A, B], [{**A, "v": "x"}], [A, B])]

    assert books == [
        {"inserted": 2},
        {"unchanged": 2},
        {"updated": 1, "deleted": 1},
        {"updated": 1, "inserted": 1},
    ]
    found = db.execute(
        "SELECT id, v, lead(valid_from) OVER (PARTITION BY id ORDER BY valid_from) - valid_to"
        " = interval '0', valid_to IS NULL FROM t ORDER BY id, valid_from"
    )
    assert found == [
        (1, "a", True, False),
        (1, "x", True, False),
        (1, "a", None, True),
        (2, "b", False, False),
        (2, "b", None, True),
    ]
    assert db.one("SELECT bool_and(valid_from > %s) FROM t", [started]) is True


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "ddl",
    [
        pytest.param(AUTO_DATES, id="dates"),
        pytest.param(AUTO.replace("timestamptz", "timestamptz(0)"), id="seconds"),
        pytest.param(
            AUTO.replace("timestamptz", "timestamp").replace("tstzrange", "tsrange"),
            id="timestamps-without-zone",
        ),
    ],
)
def test_runs_of_one_day_or_second_do_not_get_in_each_others_way(db: Database, ddl: str, method: str):
    db.execute(ddl)
    steps = ([A, B], [{**A, "v": "x"}, B], [B], [{**A, "v": "y"}, B], [B], [{**A, "v": "z"}, B])

    books = [run(db, *rows, method=method) for rows in steps]

    assert books == [
        {"inserted": 2},
        {"updated": 1, "unchanged": 1},
        {"deleted": 1, "unchanged": 1},
        {"inserted": 1, "unchanged": 1},
        {"deleted": 1, "unchanged": 1},
        {"inserted": 1, "unchanged": 1},
    ]
    assert db.execute("SELECT id, v FROM t WHERE valid_to IS NULL ORDER BY 1") == [(1, "z"), (2, "b")]


def test_a_key_that_returns_with_an_old_time_goes_on_where_it_ended(db: Database):
    db.execute(TIMES)
    spec = {**BASE, **STATED}
    there, other = version((1, "a", "x", JAN)), version((2, "b", "x", JAN))
    for rows in ([there, other], [other]):
        sync(db, rows, **spec)

    report = sync(db, [there, other], **spec)
    again = sync(db, [there, other], **spec)

    assert (counts(report), counts(again)) == ({"inserted": 1, "unchanged": 1}, {"unchanged": 2})
    ends = "SELECT valid_to FROM t WHERE id = 1 AND valid_to IS NOT NULL"
    assert db.execute("SELECT valid_from FROM t WHERE id = 1 AND valid_to IS NULL") == db.execute(ends)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "ddl",
    [
        pytest.param("", id="no-index"),
        pytest.param("CREATE UNIQUE INDEX ON t (id) WHERE valid_to IS NULL", id="one-current"),
        pytest.param("CREATE UNIQUE INDEX ON t (id, valid_from)", id="key-and-beginning"),
        pytest.param(
            "ALTER TABLE t ADD EXCLUDE USING gist (int4range(id, id, '[]') WITH &&,"
            " tstzrange(valid_from, valid_to) WITH &&)",
            id="no-overlap",
        ),
    ],
)
def test_constraints_over_versions_hold(db: Database, ddl: str, method: str):
    db.execute("CREATE TABLE t (id int, v text, valid_from timestamptz, valid_to timestamptz)")
    db.execute(ddl or "SELECT")

    books = [run(db, *rows, method=method) for rows in ([A, B], [{**A, "v": "x"}], [A, B], [A, B])]

    assert books[1:] == [
        {"updated": 1, "deleted": 1},
        {"updated": 1, "inserted": 1},
        {"unchanged": 2},
    ]
    assert db.one("SELECT count(*) FROM t") == 5


def test_the_table_is_made_with_the_columns_of_versions(db: Database):
    spec = {**BASE, "history": {"current": "is_current"}, "target": {"table": "public.t", "create": True}}
    for rows in ([A, B], [{**A, "v": "x"}], [{**A, "v": "x"}, B]):
        sync(db, rows, **spec)

    assert db.execute("SELECT id, v, is_current, valid_to IS NULL FROM t ORDER BY id, valid_from") == [
        (1, "a", False, False),
        (1, "x", True, True),
        (2, "b", False, False),
        (2, "b", True, True),
    ]
    assert db.execute(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attname ~ 'valid|current' ORDER BY attnum"
    ) == [
        ("valid_from", "timestamp with time zone"),
        ("valid_to", "timestamp with time zone"),
        ("is_current", "boolean"),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_trigger_that_keeps_a_version_open_keeps_its_successor_out(db: Database, method: str):
    db.execute("CREATE TABLE t (id int, v text, valid_from timestamptz, valid_to timestamptz)")
    run(db, A, B)
    db.execute(
        "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF OLD.id = 1 THEN RETURN NULL; END IF;"
        " RETURN NEW; END$$; CREATE TRIGGER stay BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stay()"
    )

    books = run(db, {**A, "v": "x"}, {**B, "v": "y"}, method=method)

    assert books == {"updated": 1, "skipped": 1}
    assert db.execute("SELECT id, v FROM t WHERE valid_to IS NULL ORDER BY 1") == [(1, "a"), (2, "y")]


@pytest.mark.parametrize("method", METHODS)
def test_a_trigger_that_moves_other_versions_is_no_matter(db: Database, method: str):
    db.execute(
        "CREATE TABLE t (id int, v text, valid_from timestamptz, valid_to timestamptz, n int DEFAULT 0);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN UPDATE t SET n = n + 1; RETURN NULL; END$$"
    )
    run(db, A, B)
    db.execute(
        "CREATE TRIGGER note AFTER UPDATE ON t FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)"
        " EXECUTE FUNCTION note()"
    )

    books = run(db, {**A, "v": "x"}, method=method)

    assert books == {"updated": 1, "deleted": 1}
    assert db.execute("SELECT id, v FROM t WHERE valid_to IS NULL ORDER BY 1") == [(1, "x")]


@pytest.mark.parametrize("rows", ["written", "all"])
def test_returning_tells_versions_apart(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str
):
    db.execute(AUTO)
    run(db, A, B, {"id": 3, "v": "c"})
    monkeypatch.chdir(tmp_path)
    out = Path("out.jsonl")

    run(
        db,
        {**A, "v": "x"},
        B,
        {"id": 4, "v": "d"},
        returning={"columns": ["id", "v", "valid_to"], "to": str(out), "rows": rows},
    )

    found = sorted(
        (row["_op"], row["id"], row["v"], row["valid_to"] is None)
        for row in map(json.loads, out.read_text().splitlines())
    )
    written = [("delete", 3, "c", False), ("insert", 4, "d", True), ("update", 1, "x", True)]
    assert found == sorted(written + ([("unchanged", 2, "b", True)] if rows == "all" else []))


PLAIN = "CREATE TABLE t (id int, v text, valid_from timestamptz, valid_to timestamptz, current boolean)"
REFUSALS: dict[str, Refusal] = {
    "two-current-versions": Refusal(
        ddl=PLAIN + ";INSERT INTO t VALUES (1, 'a', '2020-01-01'), (1, 'b', '2021-01-01')",
        rows=[A],
        code="ambiguous-key",
        exit_code=1,
        says='"id" : 1',
    ),
    "rows-of-one-key": Refusal(
        ddl=PLAIN, rows=[A, {**A, "v": "x"}], code="duplicate-keys", exit_code=1, says='"id" : 1'
    ),
    "null-key": Refusal(ddl=PLAIN, rows=[{**A, "id": None}], code="null-keys", exit_code=1, says="null"),
    "no-beginning": Refusal(
        ddl=PLAIN,
        spec=STATED,
        rows=[{**A, "valid_from": None}],
        code="null-keys",
        exit_code=1,
        says="history.valid_from",
    ),
    "an-index-that-takes-a-key-once": Refusal(
        ddl=PLAIN + ";ALTER TABLE t ADD PRIMARY KEY (id)",
        rows=[A],
        code="target-unfit",
        exit_code=3,
        says="t_pkey",
    ),
    "no-column-for-the-end": Refusal(
        ddl="CREATE TABLE t (id int, v text, valid_from timestamptz)",
        rows=[A],
        code="invalid-spec",
        exit_code=3,
        says="valid_to",
    ),
    "an-end-that-must-be": Refusal(
        ddl=PLAIN + ";ALTER TABLE t ALTER valid_to SET NOT NULL",
        rows=[A],
        code="target-unfit",
        exit_code=3,
        says="DROP NOT NULL",
    ),
    "current-that-is-no-boolean": Refusal(
        ddl=PLAIN + ";ALTER TABLE t ALTER current TYPE text",
        spec={"history": {"current": "current"}},
        rows=[A],
        code="invalid-spec",
        exit_code=3,
        says="current is no boolean",
    ),
    "times-that-are-none": Refusal(
        ddl=PLAIN + ";ALTER TABLE t ALTER valid_from TYPE text",
        rows=[A],
        code="invalid-spec",
        exit_code=3,
        says="valid_from is no date or time",
    ),
    "times-of-two-types": Refusal(
        ddl=PLAIN + ";ALTER TABLE t ALTER valid_from TYPE date",
        rows=[A],
        code="invalid-spec",
        exit_code=3,
        says="one type for both",
    ),
    "the-end-is-loaded": Refusal(
        ddl=PLAIN, rows=[{**A, "valid_to": JAN}], code="invalid-spec", exit_code=3, says="ignore_fields"
    ),
    "the-beginning-is-loaded-but-not-named": Refusal(
        ddl=PLAIN,
        rows=[{**A, "valid_from": JAN}],
        code="invalid-spec",
        exit_code=3,
        says="valid_from: {valid_from: excluded.valid_from}",
    ),
    "tracked-columns-that-are-not-loaded": Refusal(
        ddl=PLAIN, spec={"history": {"track": ["w"]}}, rows=[A], code="invalid-spec", exit_code=3, says="'w'"
    ),
    "a-column-that-versions-lack": Refusal(
        ddl=PLAIN + ";ALTER TABLE t ADD must int NOT NULL",
        rows=[A],
        code="target-unfit",
        exit_code=3,
        says="must",
    ),
    "limits": Refusal(
        ddl=PLAIN + ";INSERT INTO t VALUES (8, 'a', '2020-01-01'), (9, 'b', '2021-01-01')",
        spec={"limits": {"max_deletes": 1}},
        rows=[A],
        code="limit-exceeded",
        exit_code=5,
        says="2 rows would be deleted",
    ),
}


@refusals(REFUSALS)
def test_history_is_refused(db: Database, case: Refusal, method: str):
    judge_refusal(db, case, method, **BASE)


# Many runs, against a model.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
FUTURE = 400_000  # days after it
SOURCE = st.dictionaries(
    st.integers(1, 3),
    st.tuples(
        st.sampled_from(["p", "q", None]),
        st.sampled_from(["p", "q"]),
        st.one_of(st.integers(0, 6), st.integers(FUTURE, FUTURE + 2)),
    ),
)
Version = list[Any]  # began, ended, v, w


@dataclass
class Model:
    """SPEC in plain Python: the versions of each key in order, and the books of the last run."""

    versions: dict[int, list[Version]] = field(default_factory=dict)
    books: dict[str, int] = field(default_factory=dict)

    def run(self, source: Mapping[int, tuple[Any, str, datetime]], now: datetime) -> None:
        self.books = dict.fromkeys(("inserted", "updated", "unchanged", "skipped", "deleted"), 0)
        for key, (v, w, began) in source.items():
            self.books[self._take(self.versions.setdefault(key, []), v, w, began)] += 1
        for key, versions in self.versions.items():
            if key not in source and versions and versions[-1][1] is None:
                versions[-1][1] = max(now, versions[-1][0])
                self.books["deleted"] += 1

    def _take(self, versions: list[Version], v: Any, w: str, began: datetime) -> str:
        last = versions[-1] if versions else None
        if last is None or last[1] is not None:
            began = began if last is None else max(began, last[1])
            if last is not None and last[0] == began:
                versions.pop()
            versions.append([began, None, v, w])
            return "inserted"
        if last[2] == v:
            return "unchanged"
        if began < last[0]:
            return "skipped"
        if began == last[0]:
            last[2:] = [v, w]
        else:
            last[1] = began
            versions.append([began, None, v, w])
        return "updated"


@pytest.mark.every_server
@pytest.mark.parametrize("method", METHODS)
def test_many_runs_leave_the_versions_that_the_model_says(db: Database, method: str):
    spec = {"name": "t", "target": "t", **BASE, **STATED, "execution": {"method": method}}
    spec["history"] = {**STATED["history"], "track": ["v"]}

    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(sources=st.lists(SOURCE, min_size=1, max_size=7))
    def judged(sources: list[dict[int, tuple[Any, str, int]]]) -> None:
        db.execute(f"DROP TABLE IF EXISTS t; {TIMES}")
        model = Model()
        for source in sources:
            known = {key: (v, w, EPOCH + timedelta(days=days)) for key, (v, w, days) in source.items()}
            rows = [{"id": key, "v": v, "w": w, "valid_from": at} for key, (v, w, at) in known.items()]
            preview = syncengine.plan(spec, source=rows, connection=db.url, diff=True).preview
            started = db.one("SELECT clock_timestamp()")
            report = syncengine.run(spec, source=rows, connection=db.url)
            closed = "SELECT max(valid_to) FROM t WHERE valid_to BETWEEN %s AND clock_timestamp()"
            now = db.one(closed, [started]) or started
            assert isinstance(now, datetime)
            model.run(known, now)
            assert {name: getattr(report, name) for name in model.books} == model.books
            assert report.rows_read == len(rows)
            assert preview is not None
            assert {name: getattr(preview.counts, name) for name in model.books} == model.books
            assert stored(db) == [
                (key, *v) for key, versions in sorted(model.versions.items()) for v in versions
            ]
            assert one_current_version_each(db) == sorted(source)

    judged()


def stored(db: Database) -> list[Row]:
    return db.execute("SELECT id, valid_from, valid_to, v, w FROM t ORDER BY id, valid_from, valid_to")


def one_current_version_each(db: Database) -> list[object]:
    """Return the keys that have a current version, once for each; `current` must say the same as `valid_to`."""
    assert db.one("SELECT count(*) FROM t WHERE current IS DISTINCT FROM (valid_to IS NULL)") == 0
    return [key for (key,) in db.execute("SELECT id FROM t WHERE valid_to IS NULL ORDER BY 1")]
