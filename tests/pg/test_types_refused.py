"""What PostgreSQL would round, cut or drop without a word is refused with its place, by every strategy and source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import syncengine
from tests.builders import a_spec, contents
from tests.runs import refused, sync
from tests.servers import Database

# type, a text that the server takes without an error, words of the complaint
REFUSED = [
    ("numeric(12,2)", "1.005", "rounded|round it"),
    ("numeric(12,2)", "1e-3", "rounded|round it"),
    ("price", "1.005", "rounded|round it"),
    ("numeric(6,2)[]", "{1,NULL,1.005}", "rounded|round it"),
    ("timestamp(0)", "2024-01-01 12:00:00.5", "rounded|round it"),
    ("timestamptz(3)", "2024-01-01 12:00:00.1234Z", "rounded|round it"),
    ("time(0)", "12:00:00.5", "rounded|round it"),
    ("timestamp", "2024-01-01 00:00:00+05", "time zone"),
    ("timestamp", "2024-01-01 00:00:00.1234567", "microsecond"),
    ("moment", "2024-01-01 00:00:00Z", "time zone"),
    ("timestamp[]", '{"2024-01-01 00:00+05"}', "time zone"),
    ("date", "2024-01-01 23:59", "time, 23:59"),
    ("time", "12:00-05", "time zone"),
    ("timetz", "2024-01-01 12:00Z", "date"),
    ("varchar(3)", "abc  ", "blanks"),
    ("name", "x" * 64, "63 bytes"),
    ('"char"', "ab", "one byte"),
    ("oid", "-1", "less than 0"),
]
IDS = [f"{name}-{text[:12]}" for name, text, _ in REFUSED]
OWN_TYPES = "CREATE DOMAIN price AS numeric(8,2); CREATE DOMAIN moment AS timestamp"


@pytest.fixture
def db(emptied: Database) -> Database:
    for statement in OWN_TYPES.split("; "):
        emptied.execute(statement)
    return emptied


def table(db: Database, name: str) -> None:
    db.execute(f"CREATE TABLE t (id int, v {name})")


@pytest.mark.parametrize(("name", "text", "words"), REFUSED, ids=IDS)
@pytest.mark.parametrize("method", ["copy", "staged", "rows"])
def test_a_file_with_such_a_text_is_refused_with_its_line(
    db: Database, tmp_path: Path, name: str, text: str, words: str, method: str
):
    table(db, name)
    quoted = text.replace('"', '""')
    (tmp_path / "rows.csv").write_text(f'id,v\n1,\n2,"{quoted}"\n', encoding="utf-8")
    before = contents(db)

    with pytest.raises(syncengine.BadRow, match=words) as failure:
        syncengine.run(a_spec(tmp_path, mode="insert", execution={"method": method}), connection=db.url)

    assert str(failure.value.location) == "rows.csv:3"
    assert contents(db) == before


@pytest.mark.parametrize(("name", "text", "words"), REFUSED, ids=IDS)
def test_a_json_string_with_such_a_text_is_refused_with_its_line(
    db: Database, tmp_path: Path, name: str, text: str, words: str
):
    table(db, name)
    lines = [json.dumps({"id": number, "v": v}) for number, v in ((1, None), (2, text))]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(syncengine.BadRow, match=words) as failure:
        syncengine.run(a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"], mode="update"), connection=db.url)

    assert str(failure.value.location) == "rows.jsonl:2"


def test_the_server_would_take_them_all_without_a_word(db: Database):
    for name, text, _ in REFUSED:
        db.execute(f"CREATE TABLE taken (v {name})")
        with db.conn.cursor().copy("COPY taken FROM STDIN") as copy:
            copy.write_row([text])
        db.execute("DROP TABLE taken")


def test_the_complaint_names_column_value_and_the_way_out(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a numeric(12,2), b numeric(5,1))")
    rows = [{"id": n, "a": "1.005" if n > 5 else "1", "b": "2.22" if n == 7 else None} for n in range(9)]

    error = refused(db, rows, conflict_keys=["id"])

    assert error.message == "column a: 1.005 would be rounded by numeric(12,2)"
    assert str(error.location) == "row 7"
    assert [line.strip() for line in str(error.detail).splitlines()] == [
        "more bad rows:",
        "row 8: column a: 1.005 would be rounded by numeric(12,2)",
        "row 9: column a: 1.005 would be rounded by numeric(12,2)",
    ]
    assert """{a: {expression: 'CAST(source."a" AS numeric(12,2))'}}""" in str(error.hint)


def test_a_preview_tells_of_the_same_values(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a numeric(12,2))")
    rows = [{"id": n, "a": "1.005" if n > 5 else "1"} for n in range(9)]
    spec = {"name": "t", "target": "t", "conflict_keys": ["id"]}
    before = contents(db)

    with pytest.raises(syncengine.SyncError) as shown:
        syncengine.plan(spec, source=rows, connection=db.url, diff=True)

    assert contents(db) == before
    assert str(shown.value) == str(refused(db, rows, conflict_keys=["id"]))


def test_columns_of_which_only_the_ends_differ_are_told_apart(db: Database):
    one, other = "c" * 62 + "1", "c" * 62 + "2"
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, {one} numeric(6,2), {other} numeric(6,2))")
    rows = iter([{"id": 1, one: "1", other: "7.771"}])

    error = refused(db, rows, conflict_keys=["id"])

    assert error.message == f"column {other}: a value would be rounded by numeric(6,2)"
    assert f"""{{{other}: {{expression: 'CAST(source."{other}" AS numeric(6,2))'}}}}""" in str(error.hint)


def test_the_way_out_rounds(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a numeric(12,2))")
    columns = {"a": {"expression": 'CAST(source."a" AS numeric(12,2))'}}

    sync(db, [{"id": 1, "a": "1.005"}], conflict_keys=["id"], columns=columns)

    assert db.execute("SELECT a::text FROM t") == [("1.01",)]


@pytest.mark.parametrize(
    ("stated", "column", "text", "good"),
    [
        pytest.param("numeric", "int", "1.5", "1.0", id="fraction-into-integer"),
        pytest.param("numeric(10,4)", "numeric(12,2)", "1.2345", "1.2300", id="narrower-scale"),
        pytest.param("numeric(10,1)", "numeric(12,2)", "1.25", "1.2", id="stated-scale"),
        pytest.param("timestamp", "date", "2024-01-01 12:00", "2024-01-01 00:00", id="time-into-date"),
        pytest.param(
            "double precision", "numeric(12,2)", "0.30000000000000004", "0.3", id="double-into-numeric"
        ),
    ],
)
@pytest.mark.parametrize("method", ["staged", "rows"])
def test_a_stated_type_between_text_and_column_rounds_nothing(
    db: Database, stated: str, column: str, text: str, good: str, method: str
):
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {column})")
    spec = {"columns": {"v": {"type": stated}}, "conflict_keys": ["id"], "execution": {"method": method}}

    error = refused(db, [{"id": 1, "v": good}, {"id": 2, "v": text}], **spec)
    report = sync(db, [{"id": 1, "v": good}], **spec)

    assert (error.code, str(error.location), report.inserted) == ("bad-row", "row 2", 1)


def test_types_of_a_table_to_be_created_round_nothing(db: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("id,a,note\n1,1.5,x\n2,1.005,y\n", encoding="utf-8")
    target = {"table": "t", "create": True}
    spec = a_spec(tmp_path, target=target, columns={"a": {"type": "numeric(12,2)"}})

    with pytest.raises(syncengine.BadRow, match=r"1\.005 would be rounded") as failure:
        syncengine.run(spec, connection=db.url)

    assert str(failure.value.location) == "rows.csv:3"
    assert db.one("SELECT to_regclass('t')") is None


def test_equal_records_are_duplicates_however_they_spell_their_numbers(db: Database):
    db.execute("CREATE TABLE t (id numeric(8,2) PRIMARY KEY, a numeric(12,2))")

    report = sync(db, [{"id": "1", "a": "1.5"}, {"id": "1.0", "a": "1.50"}], conflict_keys=["id"])

    assert (report.inserted, report.duplicates) == (1, 1)


def test_straight_copy_says_which_type_it_can_not_look_through(db: Database):
    db.execute("CREATE TABLE t (id int, v interval(0))")

    error = refused(db, [{"id": 1, "v": "1 s"}], mode="insert", execution={"method": "copy"})

    assert error.code == "no-strategy-fits"
    assert "interval(0)" in error.message


def test_the_plan_lists_what_no_check_can_see(db: Database):
    db.execute("CREATE TYPE parts AS (a numeric(5,2))")
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n numeric(5,2), r real, m money, c parts, d timestamptz, s smallint,"
        " x text, whole bigint, i time, prices price[])"
    )
    columns = {
        "n": {"expression": "source.n::numeric / 3"},
        "d": {"type": "date"},
        "s": {"type": "bigint"},
        "x": {"type": "numeric"},
        "whole": {"type": "int"},
        "i": {"type": "interval"},
    }
    rows = [dict.fromkeys(["id", "n", "r", "m", "c", "d", "s", "x", "whole", "i"], "1") | {"prices": "{1}"}]

    plan = syncengine.plan(
        {"name": "t", "target": "t", "columns": columns, "conflict_keys": ["id"]},
        source=rows,
        connection=db.url,
    )

    assert sorted(plan.warnings) == [
        "column c is public.parts: what its parts can't hold is rounded",
        "column i is read as interval and cast to time without time zone: what that can't hold is lost",
        "column m is money: amounts are rounded to the digits that the server's lc_monetary has",
        "column n is computed: what numeric(5,2) can't hold is rounded",
        "column prices is public.price[]: what its parts can't hold is rounded",
        "column r is real: numbers of more than 6 digits may be rounded",
    ]
