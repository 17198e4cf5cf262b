"""`session`: settings of the run's transactions, by which texts of the source and the spec's expressions are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.builders import a_spec
from tests.calls import Call, caller
from tests.runs import counts, refused, sync
from tests.servers import Database

BERLIN = {"TimeZone": "Europe/Berlin", "DateStyle": "ISO, DMY"}


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCENGINE_URL", emptied.url)
    emptied.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, day date, span interval, v text)")
    return emptied


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


def source(text: str) -> str:
    Path("t.csv").write_text(text)
    return "t.csv"


@pytest.mark.parametrize(("name", "method"), [("t.csv", "staged"), ("t.jsonl", "rows"), ("python", "rows")])
@pytest.mark.parametrize(
    ("session", "at", "day"),
    [
        pytest.param({}, "2024-07-01 12:00:00+00", "2024-03-02", id="utc-and-month-first-by-default"),
        pytest.param(BERLIN, "2024-07-01 10:00:00+00", "2024-02-03", id="as-stated"),
        pytest.param({"timezone": "-3"}, "2024-07-01 15:00:00+00", "2024-03-02", id="in-other-letters"),
    ],
)
def test_texts_of_the_source_are_read_by_the_settings(
    db: Database, name: str, session: dict[str, str], at: str, day: str, method: str
):
    rows = [{"id": 1, "at": "2024-07-01 12:00", "day": "03/02/2024"}]
    spec: dict[str, Any] = {"conflict_keys": ["id"], "session": session, "execution": {"method": method}}
    if name == "t.csv":
        spec["source"] = source("id,at,day\n1,2024-07-01 12:00,03/02/2024\n")
    elif name == "t.jsonl":
        Path(name).write_text('{"id": 1, "at": "2024-07-01 12:00", "day": "03/02/2024"}\n')
        spec["source"] = name

    sync(db, rows if name == "python" else None, **spec)

    assert db.execute("SELECT at = %s, day = %s FROM t", [at, day]) == [(True, True)]
    assert counts(sync(db, rows if name == "python" else None, **spec)) == {"unchanged": 1}


def test_a_date_that_the_settings_do_not_read_is_a_bad_row_with_its_line(
    db: Database, call: Call, tmp_path: Path
):
    text = source("id,day\n1,31.01.2024\n2,01.31.2024\n")
    path = a_spec(tmp_path, text, conflict_keys=["id"], session=BERLIN)

    done = call("run", path, "--format", "json")

    error = done.spec["error"]
    assert (done.code, error["code"]) == (1, "bad-row")
    assert (error["location"]["file"], error["location"]["line"]) == ("t.csv", 3)


def test_stated_types_and_expressions_are_read_by_the_settings(db: Database):
    columns = {
        "day": {"field": "day", "type": "date"},
        "at": {"expression": "CAST(source.moment AS timestamptz)"},
    }

    sync(
        db,
        None,
        source=source("id,day,moment\n1,31.01.2024,31.07.2024 12:00\n"),
        conflict_keys=["id"],
        columns=columns,
        session=BERLIN,
    )

    assert db.execute("SELECT day::text, at = '2024-07-31 10:00+00' FROM t") == [("2024-01-31", True)]


# The server reads a constant when the expression is first looked at.
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"where": "excluded.day > '31.12.2023'"}, id="guard"),
        pytest.param({"columns": {"day": {"expression": "CAST('31.01.2024' AS date)"}}}, id="column"),
        pytest.param({"update_columns": {"day": "CAST('31.01.2024' AS date)"}}, id="update"),
        pytest.param({"checks": [{"sql": "SELECT bool_and(day > '31.12.2023') FROM t"}]}, id="check"),
        pytest.param({"mode": "mirror", "delete": {"scope": "target.day > '31.12.2023'"}}, id="scope"),
    ],
)
def test_constants_in_expressions_are_read_by_the_settings(db: Database, keys: dict[str, Any]):
    rows = [{"id": 1, "day": "15.01.2024"}]
    if "columns" in keys:
        rows = [{"id": 1}]

    report = sync(db, rows, conflict_keys=["id"], session=BERLIN, **keys)

    assert report.inserted == 1
    assert refused(db, rows, conflict_keys=["id"], **keys).sqlstate in (None, "22008")


def test_hooks_and_checks_run_under_the_settings(db: Database):
    spec: dict[str, Any] = {
        "conflict_keys": ["id"],
        "session": {"TimeZone": "Asia/Tokyo", "my.label": "x"},
        "before": ["INSERT INTO t (id, v) VALUES (8, current_setting('TimeZone'))"],
        "after": ["INSERT INTO t (id, v) VALUES (9, current_setting('my.label'))"],
        "checks": [{"sql": "SELECT current_setting('TimeZone') = 'Asia/Tokyo'"}],
    }

    sync(db, [{"id": 1}], **spec)

    assert db.execute("SELECT id, v FROM t ORDER BY id") == [(1, None), (8, "Asia/Tokyo"), (9, "x")]


@pytest.mark.parametrize("name", ["work_mem", "Default_Statistics_Target", "jit", "IntervalStyle"])
def test_a_stated_setting_wins_over_the_engines_own(db: Database, name: str):
    value = {"work_mem": "3MB", "Default_Statistics_Target": "33", "jit": "off", "IntervalStyle": "iso_8601"}[
        name
    ]
    hook = f"INSERT INTO t (id, v) VALUES (9, current_setting('{name}'))"

    sync(db, [{"id": 1}], conflict_keys=["id"], session={name: value}, after=[hook])

    assert db.execute("SELECT v FROM t WHERE id = 9") == [(value,)]


def test_a_stated_setting_holds_after_an_update_that_switches_it(db: Database):
    db.execute("INSERT INTO t (id, v) SELECT n, 'old' FROM generate_series(1, 50) AS n")
    hook = "INSERT INTO t (id, v) VALUES (99, current_setting('enable_hashjoin'))"
    session = {"enable_hashjoin": "off"}

    report = sync(
        db,
        [{"id": n, "v": "new"} for n in range(1, 50)],
        conflict_keys=["id"],
        session=session,
        after=[hook],
        execution={"method": "staged"},
    )

    assert report.updated == 49
    assert db.execute("SELECT v FROM t WHERE id = 99") == [("off",)]


def test_what_the_database_or_the_role_sets_does_not_change_what_is_read(db: Database):
    db.execute(
        f"ALTER DATABASE {db.name} SET DateStyle = 'German'; ALTER DATABASE {db.name} SET TimeZone = 'Asia/Tokyo'"
    )
    rows = [{"id": 1, "day": "03/02/2024", "at": "2024-07-01 12:00"}]

    sync(db, rows, conflict_keys=["id"], where="excluded.day > '01/31/2024'")

    assert db.execute("SELECT day = '2024-03-02', at = '2024-07-01 12:00+00' FROM t") == [(True, True)]


@pytest.mark.parametrize(
    ("setting", "type_name", "text", "other"),
    [
        pytest.param("array_nulls = off", "text[]", "{NULL,a}", "{NULL}", id="array-nulls"),
        pytest.param(
            "extra_float_digits = -10", "float8", "0.12345678901234", "0.12345678901235", id="float-digits"
        ),
        pytest.param("bytea_output = escape", "bytea", "\\x00ff", "\\x00", id="bytea"),
        pytest.param("standard_conforming_strings = off", "text", "a\\'b", "a", id="backslashes"),
        pytest.param("IntervalStyle = sql_standard", "interval", "-1 days +02:00", "1 day", id="interval"),
    ],
)
def test_no_other_setting_does_either(db: Database, setting: str, type_name: str, text: str, other: str):
    db.execute(f"CREATE TABLE u (v {type_name})")
    db.execute(f"INSERT INTO u SELECT CAST(%s AS {type_name})", [other])
    db.execute(f"ALTER DATABASE {db.name} SET {setting}")
    spec: dict[str, Any] = {"target": "u", "mode": "replace"}

    plan = syncengine.plan({"name": "t", **spec}, source=[{"v": text}], connection=db.url, diff=True)
    report = sync(db, [{"v": text}], **spec)

    assert counts(report) == {"inserted": 1, "deleted": 1}
    assert plan.preview is not None
    stored = db.one("SELECT v::text FROM u") if type_name != "text[]" else "{NULL,a}"
    assert [row.new for row in plan.preview.samples if row.op == "insert"] == [{"v": stored}]
    if type_name == "text[]":
        assert db.one("SELECT v[1] IS NULL FROM u") is True


def test_a_preview_reads_as_the_run_does(db: Database, call: Call, tmp_path: Path):
    path = a_spec(tmp_path, source("id,day\n1,31.01.2024\n"), conflict_keys=["id"], session=BERLIN)

    (sample,) = call("plan", "--diff", path, "--format", "json").spec["samples"]

    assert sample["new"]["day"] == "2024-01-31"


def test_settings_end_with_the_run(db: Database, call: Call, tmp_path: Path):
    source("id,at\n1,2024-07-01 12:00\n")
    Path("all.yaml").write_text(
        "name: a\nsource: t.csv\ntarget: t\nconflict_keys: [id]\nsession: {TimeZone: Asia/Tokyo}\n"
        "---\nname: b\nsource: t.csv\ntarget: u\nconflict_keys: [id]\n"
    )
    db.execute("CREATE TABLE u (LIKE t INCLUDING ALL)")

    assert call("run", "all.yaml", "--jobs", "1").code == 0

    assert db.execute("SELECT t.at = '2024-07-01 03:00+00', u.at = '2024-07-01 12:00+00' FROM t, u") == [
        (True, True)
    ]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        pytest.param("TimeZone", "Nowhere/Land", 'invalid value for parameter "TimeZone"', id="no-such-zone"),
        pytest.param("DateStyle", "ISO, XYZ", 'invalid value for parameter "DateStyle"', id="no-such-style"),
        pytest.param(
            "no_such_setting", "x", 'unrecognized configuration parameter "no_such_setting"', id="unknown"
        ),
        pytest.param("work_mem", "lots", 'invalid value for parameter "work_mem"', id="no-size"),
        pytest.param("max_connections", "5", "cannot be changed", id="only-at-the-servers-start"),
        pytest.param("a b", "x", "configuration parameter", id="no-name"),
        pytest.param("server_version", "99", "cannot be changed", id="fixed"),
    ],
)
def test_bad_settings_are_told_with_their_line_before_the_first_row(
    db: Database, call: Call, tmp_path: Path, name: str, value: str, says: str
):
    keys = {
        "conflict_keys": ["id"],
        "session": {"TimeZone": "UTC", name: value} if name != "TimeZone" else {name: value},
    }
    path = a_spec(tmp_path, source("id\n1\n"), **keys)
    line = next(
        n for n, text in enumerate(path.read_text().splitlines(), start=1) if text.startswith(f"  {name}:")
    )

    for command in ("plan", "run"):
        done = call(command, path, "--format", "json")
        assert done.code == 3
        assert says in done.spec["error"]["message"]
        assert done.spec["error"]["location"]["line"] == line


def test_several_bad_settings_are_told_at_once(db: Database):
    with pytest.raises(syncengine.SyncError) as failure:
        sync(db, [{"id": 1}], conflict_keys=["id"], session={"TimeZone": "x/y", "DateStyle": "z"})

    assert len(failure.value.each()) == 2


def test_types_of_a_created_table_are_inferred_by_the_settings(db: Database):
    spec = {"target": {"table": "fresh", "create": True}, "conflict_keys": ["id"], "session": BERLIN}

    sync(db, None, source=source("id,at\n1,2024-07-01 12:00:00+02\n"), **spec)

    assert db.one("SELECT pg_typeof(at)::text FROM fresh") == "timestamp with time zone"
