"""`columns`: renaming, expressions over the fields, types that read text, and values from every kind of source."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.features import needs
from tests.runs import counts, places, refused, sync
from tests.servers import Database

Record = dict[str, Any]
Load = Callable[..., syncengine.Report]
METHODS = ["staged", "rows"]


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    return emptied


def as_csv(rows: list[Record]) -> str:
    with open("rows.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return "rows.csv"


def as_jsonl(rows: list[Record]) -> str:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "rows.jsonl"


@pytest.fixture(params=["csv", "jsonl", "python"])
def load(request: pytest.FixtureRequest, db: Database) -> Load:
    """Load the same rows, texts and NULLs, from each kind of source."""

    def run(rows: list[Record], **spec: Any) -> syncengine.Report:
        match request.param:
            case "csv":
                return sync(db, None, source=as_csv(rows), **spec)
            case "jsonl":
                return sync(db, None, source=as_jsonl(rows), **spec)
            case _:
                return sync(db, rows, **spec)

    return run


def test_columns_are_renamed_computed_and_typed_alike_from_every_source(db: Database, load: Load):
    db.execute(
        "CREATE TABLE t (email text PRIMARY KEY, full_name text, initial char(1), amount numeric(12,2), day date,"
        " raw text, loaded_at timestamptz)"
    )
    columns = {
        "email": "E-Mail",
        "full_name": {"expression": "source.first || ' ' || source.\"Last\""},
        "initial": {"expression": "upper(left(source.first, 1))"},
        "amount": {"field": "Amount", "type": "numeric(12,2)"},
        "day": {"expression": "to_date(source.day, 'DD.MM.YYYY')"},
        "raw": "Amount",
        "loaded_at": {"expression": "now()"},
    }
    rows = [
        {
            "E-Mail": "a@x",
            "first": "ada",
            "Last": "Lovelace",
            "Amount": "1.250",
            "day": "29.02.2024",
            "more": "x",
        },
        {"E-Mail": "b@x", "first": None, "Last": "Boole", "Amount": None, "day": None, "more": "y"},
    ]

    first = load(rows, columns=columns, conflict_keys=["email"], ignore_fields=["more"])
    before = places(db)
    second = load(rows, columns=columns, conflict_keys=["email"], ignore_fields=["more"])

    assert (counts(first), counts(second)) == ({"inserted": 2}, {"unchanged": 2})
    assert places(db) == before
    assert db.execute(
        "SELECT email, full_name, initial, amount::text, day::text, raw, loaded_at > '2024-01-01' FROM t ORDER BY 1"
    ) == [
        ("a@x", "ada Lovelace", "A", "1.25", "2024-02-29", "1.250", True),
        ("b@x", None, None, None, None, None, True),
    ]


def test_a_field_may_fill_two_columns_and_an_expression(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b varchar(3), c int)")
    columns = {"a": "v", "b": "v", "c": {"expression": "char_length(source.v) + source.id::int"}}

    report = load([{"id": "1", "v": "xyz"}], columns=columns, conflict_keys=["id"])

    assert counts(report) == {"inserted": 1}
    assert db.execute("SELECT * FROM t") == [(1, "xyz", "xyz", 4)]


def test_a_field_used_by_expressions_alone_needs_no_column(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")

    load(
        [{"id": "1", "first": "a", "last": "b"}],
        columns={"v": {"expression": "concat_ws('-', source.first, source.last)"}},
        conflict_keys=["id"],
    )

    assert db.execute("SELECT * FROM t") == [(1, "a-b")]


def test_a_column_may_be_computed_under_the_name_of_its_field(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")

    load(
        [{"id": "1", "v": "  a "}],
        columns={"v": {"expression": "nullif(trim(source.v), '')"}},
        conflict_keys=["id"],
    )

    assert db.execute("SELECT * FROM t") == [(1, "a")]


def test_a_constant_needs_no_field(db: Database, load: Load):
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, origin text, n int, yes boolean, nothing text DEFAULT 'x')"
    )
    columns = {
        "origin": {"expression": "'crm'"},
        "n": {"expression": 5},
        "yes": {"expression": True},
        "nothing": {"expression": "NULL"},
    }

    load([{"id": "1"}], columns=columns, conflict_keys=["id"])

    assert db.execute("SELECT * FROM t") == [(1, "crm", 5, True, None)]


ODD = {
    "E-Mail": 'source."E-Mail"',
    "two words": 'source."two words"',
    'say "hi"': 'source."say ""hi"""',
    "ä%": 'source."ä%"',
    "CamelCase": "source.camelcase",
    "select": 'source."select"',
    "_rn": "source._rn",
    "ctid": "source.ctid",
}


def test_odd_field_names_are_written_as_in_sql(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    row = {"id": "1", **{name: str(number) for number, name in enumerate(ODD)}}

    report = load(
        [row, row],
        columns={"v": {"expression": " || ".join(ODD.values())}},
        conflict_keys=["id"],
        duplicates="last",
    )

    assert counts(report) == {"inserted": 1, "duplicates": 1}
    assert db.one("SELECT v FROM t") == "01234567"


@pytest.mark.parametrize("method", METHODS)
def test_fields_longer_than_a_name_may_be(db: Database, method: str):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b text, c text)")
    one, two = "x" * 70 + "1", "x" * 70 + "2"
    columns = {"a": one, "b": two, "c": {"expression": "source.ä || 'c'"}}
    long = "ä" * 40

    sync(
        db,
        [{"id": 1, one: "a", two: "b", "ä": "y", long: "z"}],
        columns=columns,
        conflict_keys=["id"],
        ignore_fields=[long],
        execution={"method": method},
    )

    assert db.execute("SELECT * FROM t") == [(1, "a", "b", "yc")]


def test_an_expression_may_name_a_long_field_whole(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    name = "Wie alt sind Sie, und wie lange wohnen Sie schon in dieser Stadt am Fluss?"

    sync(
        db,
        [{"id": 1, name: "a"}],
        columns={"v": {"expression": f'source."{name}" || source."{name[:63]}"'}},
        conflict_keys=["id"],
    )

    assert db.one("SELECT v FROM t") == "aa"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("type_name", "column"),
    [
        pytest.param("varchar(3)", {"expression": "source.v || 'x'"}, id="expression-into-varchar"),
        pytest.param("char(3)", {"expression": "source.v || 'x'"}, id="expression-into-char"),
        pytest.param("varchar(3)[]", {"expression": "ARRAY[source.v || 'x']"}, id="expression-into-array"),
        pytest.param(
            "bit(3)", {"expression": "translate(source.v, 'abcd', '0101')"}, id="expression-into-bit"
        ),
        pytest.param("varchar(3)", {"field": "v", "type": "text"}, id="field-read-as-text"),
        pytest.param("text", {"field": "v", "type": "varchar(2)"}, id="read-as-narrower"),
        pytest.param("varchar(2)", "v", id="field"),
    ],
)
def test_a_value_that_is_too_long_is_an_error_and_never_cut(
    db: Database, type_name: str, column: Any, method: str
):
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type_name})")

    error = refused(
        db,
        [{"id": 1, "v": "abcd"}],
        columns={"v": column},
        conflict_keys=["id"],
        execution={"method": method},
    )

    assert error.code == "bad-row"
    assert db.one("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_stated_type_reads_text_before_the_column_takes_it(db: Database, method: str):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, amount text, total numeric(6,1), at timestamptz)")
    columns = {
        "amount": {"type": "numeric(10,2)"},
        "total": {"field": "amount", "type": "numeric"},
        "at": {"type": "timestamp"},
    }

    report = sync(
        db,
        [{"id": 1, "amount": "01.2", "at": "2024-01-01 12:00"}],
        columns=columns,
        conflict_keys=["id"],
        execution={"method": method},
    )

    assert counts(report) == {"inserted": 1}
    assert db.execute("SELECT amount, total::text, at::text FROM t") == [
        ("1.20", "1.2", "2024-01-01 12:00:00+00")
    ]


@needs("numeric(5,-1)")
def test_a_computed_numeric_rounds_to_its_scale_and_then_stays(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a numeric(5,2), b numeric(5,-1))")
    spec = {"conflict_keys": ["id"], "columns": {"a": {"expression": "source.a::numeric / 3"}}}
    rows = [{"id": "1", "a": "10", "b": "120"}]

    load(rows, **spec)

    assert counts(load(rows, **spec)) == {"unchanged": 1}
    assert db.execute("SELECT a::text, b::text FROM t") == [("3.33", "120")]


def test_the_order_of_fields_and_columns_is_free(db: Database, load: Load):
    db.execute("CREATE TABLE t (a int, b int, c int, id int PRIMARY KEY)")

    load([{"id": "1", "c": "3", "A": "1", "b": "2"}], conflict_keys=["id"])

    assert db.execute("SELECT * FROM t") == [(1, 2, 3, 1)]


@pytest.mark.parametrize(
    ("ignore", "rows"),
    [
        pytest.param(["x"], [{"id": "1", "x": "1"}], id="named"),
        pytest.param("*", [{"id": "1", "x": "1", "y": "2"}], id="all"),
        pytest.param(["X"], [{"id": "1", "x": "1"}], id="another-case"),
        pytest.param(["v"], [{"id": "1", "v": "1"}], id="one-that-has-a-column"),
        pytest.param(["x", "not there"], [{"id": "1", "x": "1"}], id="one-that-is-not-there"),
    ],
)
def test_ignored_fields_are_not_loaded(db: Database, load: Load, ignore: Any, rows: list[Record]):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")

    load(rows, conflict_keys=["id"], ignore_fields=ignore)

    assert db.execute("SELECT * FROM t") == [(1, None)]


def test_an_ignored_field_may_hold_anything(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")

    load([{"id": "1", "n": "no number"}], conflict_keys=["id"], ignore_fields=["n"])

    assert db.execute("SELECT * FROM t") == [(1, None)]


def test_unknown_names_are_all_named_at_once(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
    columns = {"nmae": "id", "naem": "first", "id": {"expression": "source.idd::int"}}

    with pytest.raises(syncengine.SpecErrors) as failure:
        load([{"id": "1", "first": "a"}], columns=columns, conflict_keys=["id"])

    text = str(failure.value)
    for part in ("no column 'nmae'", "no column 'naem'", "did you mean 'name'", "no field 'idd'"):
        assert part in text
    assert failure.value.exit_code == 3


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        pytest.param("target.v", "source", id="target"),
        pytest.param("excluded.v", "source", id="excluded"),
        pytest.param("v", "source.v", id="unqualified"),
        pytest.param("lower(source.v", "syntax", id="syntax"),
        pytest.param("source.v + 1", "operator", id="no-operator"),
        pytest.param("pg_sleep(1)", "pg_sleep", id="function"),
        pytest.param("(SELECT 1)", "", id="subquery"),
        pytest.param("count(*)", "count", id="aggregate"),
    ],
)
def test_an_expression_that_cannot_be_is_refused_before_a_row_is_read(
    db: Database, expression: str, says: str
):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")

    error = refused(
        db, [{"id": 1, "v": "a"}], columns={"v": {"expression": expression}}, conflict_keys=["id"]
    )

    assert error.exit_code == 3
    assert says in str(error)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("columns", "says"),
    [
        pytest.param({"n": {"expression": "source.v::int"}}, "zwei", id="cast"),
        pytest.param({"n": {"expression": "10 / char_length(source.v)"}}, "division by zero", id="division"),
    ],
)
def test_an_expression_that_fails_on_a_value_names_its_column(
    db: Database, columns: Any, says: str, method: str
):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n bigint)")
    rows = [{"id": 1, "v": "1"}, {"id": 2, "v": "" if "division" in says else "zwei"}]

    error = refused(db, rows, columns=columns, conflict_keys=["id"], execution={"method": method})

    assert error.code == "bad-row"
    assert says in str(error)
    assert (error.message.startswith("column n: "), str(error.location)) == (True, "<spec>/columns/n")


# JSON, arrays and other structured values.
def test_json_columns_take_what_each_source_holds(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, doc jsonb)")
    Path("rows.csv").write_text('id,doc\n1,"{""a"": [1]}"\n2,"""text"""\n3,5\n4,null\n5,\n', encoding="utf-8")
    Path("rows.jsonl").write_text(
        '{"id": 11, "doc": {"a": [1]}}\n{"id": 12, "doc": "text"}\n{"id": 13, "doc": 5}\n{"id": 14, "doc": "{}"}\n'
        '{"id": 15, "doc": null}\n{"id": 16, "doc": true}\n{"id": 17, "doc": 1.10}\n{"id": 18, "doc": "é\\n\\"\\\\"}\n',
        encoding="utf-8",
    )

    sync(db, None, source="rows.csv", conflict_keys=["id"])
    sync(db, None, source="rows.jsonl", conflict_keys=["id"])
    sync(
        db,
        None,
        source={"type": "rows", "rows": [{"id": 21, "doc": {"a": None}}, {"id": 22, "doc": "text"}]},
        conflict_keys=["id"],
    )
    sync(
        db,
        [{"id": 31, "doc": {"a": [True, 1.5]}}, {"id": 32, "doc": '{"b": 2}'}, {"id": 33, "doc": [1]}],
        conflict_keys=["id"],
    )

    assert dict(db.execute("SELECT id, doc::text FROM t")) == {
        1: '{"a": [1]}',
        2: '"text"',
        3: "5",
        4: "null",
        5: None,
        11: '{"a": [1]}',
        12: '"text"',
        13: "5",
        14: '"{}"',
        15: None,
        16: "true",
        17: "1.10",
        18: json.dumps('é\n"\\', ensure_ascii=False),
        21: '{"a": null}',
        22: '"text"',
        31: '{"a": [true, 1.5]}',
        32: '{"b": 2}',
        33: "[1]",
    }


def test_nested_json_keeps_its_digits(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, doc jsonb, plain json)")
    text = '{"n": 1.10, "big": 123456789012345678901234567890, "deep": [{"x": 0.1}]}'
    Path("rows.jsonl").write_text(f'{{"id": 1, "doc": {text}, "plain": {text}}}\n', encoding="utf-8")

    first = sync(db, None, source="rows.jsonl", conflict_keys=["id"])
    second = sync(db, None, source="rows.jsonl", conflict_keys=["id"])

    assert (counts(first), counts(second)) == ({"inserted": 1}, {"unchanged": 1})
    assert db.one("SELECT doc ->> 'n' FROM t") == "1.10"
    assert db.one("SELECT plain ->> 'big' FROM t") == "123456789012345678901234567890"


@pytest.mark.parametrize("kind", ["jsonl", "python"])
def test_lists_fill_arrays_and_mappings_fill_text(db: Database, kind: str):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int[], s text[], m int[][], v text)")
    row = {
        "id": 1,
        "n": [1, None, 3],
        "s": ["a", 'b "c"', "", "NULL", "x,y", "\\", None],
        "m": [[1, 2], [3, 4]],
        "v": {"a": [1]},
    }
    again = {"id": 2, "n": [], "s": "{p,q}", "m": None, "v": [1, "x"]}

    rows = [row, again]
    spec = {"conflict_keys": ["id"]}
    first = sync(db, rows, **spec) if kind == "python" else sync(db, None, source=as_jsonl(rows), **spec)

    assert counts(first) == {"inserted": 2}
    assert db.execute("SELECT * FROM t ORDER BY id") == [
        (1, [1, None, 3], ["a", 'b "c"', "", "NULL", "x,y", "\\", None], [[1, 2], [3, 4]], '{"a": [1]}'),
        (2, [], ["p", "q"], None, '[1, "x"]'),
    ]


def test_expressions_see_json_as_text(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, city text, first_tag text, n int)")
    rows = [{"id": 1, "address": {"city": "Bonn"}, "tags": ["x", "y"], "n": "7"}]
    columns = {
        "city": {"expression": "source.address::jsonb ->> 'city'"},
        "first_tag": {"expression": "source.tags::jsonb ->> 0"},
        "n": {"expression": "source.n::int + 1"},
    }

    sync(db, None, source=as_jsonl(rows), columns=columns, conflict_keys=["id"])

    assert db.execute("SELECT * FROM t") == [(1, "Bonn", "x", 8)]


def test_python_values_keep_their_meaning(db: Database):
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, b bytea, at timestamptz, d date, h time, span interval,"
        " yes boolean, f float8)"
    )
    zone = datetime.timezone(datetime.timedelta(hours=2))
    row = {
        "id": 1,
        "b": b"\x00\xff\\",
        "at": datetime.datetime(2024, 2, 29, 12, 0, 0, 5, zone),
        "d": datetime.date(1, 1, 1),
        "h": datetime.time(1, 2, 3),
        "span": datetime.timedelta(days=-1, microseconds=5),
        "yes": False,
        "f": 0.1 + 0.2,
    }

    first, second = (sync(db, [row], conflict_keys=["id"]) for _ in range(2))

    assert (counts(first), counts(second)) == ({"inserted": 1}, {"unchanged": 1})
    (stored,) = db.execute("SELECT * FROM t")
    assert stored == tuple(row.values())


@pytest.mark.parametrize("mode", ["insert", "ignore", "upsert", "update"])
def test_every_mode_loads_computed_columns(db: Database, mode: str, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, kept text DEFAULT 'd')")
    db.execute("INSERT INTO t VALUES (1, 'old')")
    rows = [{"id": "2", "v": "b"}] if mode == "insert" else [{"id": "1", "v": "a"}, {"id": "2", "v": "b"}]
    keys = {} if mode == "insert" else {"conflict_keys": ["id"]}

    load(rows, mode=mode, columns={"v": {"expression": "upper(source.v)"}}, **keys)

    assert (
        db.execute("SELECT * FROM t ORDER BY id")
        == {
            "insert": [(1, "old", "d"), (2, "B", "d")],
            "ignore": [(1, "old", "d"), (2, "B", "d")],
            "upsert": [(1, "A", "d"), (2, "B", "d")],
            "update": [(1, "A", "d")],
        }[mode]
    )


def test_a_generated_column_cannot_be_loaded_but_may_be_left_out(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)")

    error = refused(db, [{"id": 1, "g": 5}], conflict_keys=["id"])
    report = sync(db, [{"id": 1, "g": 5}], conflict_keys=["id"], ignore_fields=["g"])

    assert (error.exit_code, "generated" in str(error)) == (3, True)
    assert counts(report) == {"inserted": 1}
    assert db.execute("SELECT * FROM t") == [(1, 2)]


def test_a_time_among_the_columns_does_not_make_rows_of_one_key_different(db: Database, load: Load):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz)")

    report = load(
        [{"id": "1"}, {"id": "1"}], conflict_keys=["id"], columns={"at": {"expression": "clock_timestamp()"}}
    )

    assert counts(report) == {"inserted": 1, "duplicates": 1}
