"""`target.create`: the types inferred from the whole source, the key, and what a failure leaves."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.builders import a_spec, contents
from tests.conftest import RunCli
from tests.runs import counts, places, refused, sync
from tests.servers import Database, Server

CREATE = {"table": "t", "create": True}
COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


def types_of(db: Database) -> dict[str, str]:
    return {str(name): str(type_name) for name, type_name in db.execute(COLUMNS)}


def run(db: Database, spec: Path) -> syncengine.Report:
    return syncengine.run(spec, connection=db.url)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The fields of one CSV column, as they stand in the file, and the type they make."""

    fields: list[str]
    type: str


def texts(type_name: str, *fields: str) -> Texts:
    return Texts(fields=list(fields), type=type_name)


CSV_TYPES = {
    "integers": texts("bigint", "1", "-2", "0"),
    "beyond_int4": texts("bigint", "1", "2147483648"),
    "eighteen_digits": texts("bigint", "999999999999999999", "-1"),
    "nineteen_digits": texts("numeric", "1", "9999999999999999999"),
    "forty_digits": texts("numeric", "1", "1" * 40),
    "integers_and_nulls": texts("bigint", "1", "", "3"),
    "integers_and_empty_text": texts("text", "1", '""', "3"),
    "quoted_integers": texts("bigint", '"1"', '"2"'),
    "zero_and_one": texts("bigint", "0", "1"),
    "decimals": texts("numeric", "1.5", "-0.25", "3"),
    "exponents": texts("numeric", "1e5", "2.5E-3"),
    "bare_fractions": texts("text", ".5", "1"),
    "postcodes": texts("text", "01069", "10115"),
    "one_leading_zero": texts("text", "1", "2", "007"),
    "phones": texts("text", "+49351123", "49351123"),
    "grouped": texts("text", '"1,000"', "1"),
    "padded": texts("text", " 1", "2"),
    "hexadecimal": texts("text", "0x10", "1"),
    "not_a_number": texts("text", "NaN", "1"),
    "line_end_after_number": texts("text", '"1\n"', "2"),
    "booleans": texts("boolean", "true", "FALSE", "True"),
    "letters": texts("text", "t", "f"),
    "yes": texts("text", "yes", "no"),
    "uuids": texts("uuid", "6b6f1d1c-8d1b-4d7e-9a55-0d3c6e6f0001", "6B6F1D1C-8D1B-4D7E-9A55-0D3C6E6F0002"),
    "dates": texts("date", "2024-02-29", "1969-12-31"),
    "no_such_day": texts("text", "2024-02-29", "2023-02-30"),
    "no_year_0": texts("text", "0000-01-01", "2024-01-01"),
    "german_dates": texts("text", "29.02.2024", "01.01.2024"),
    "timestamps": texts("timestamp without time zone", "2024-02-29 12:00", "2024-02-29T12:00:00.123456"),
    "no_such_timestamp": texts("text", "2023-02-29 12:00", "2024-02-29 12:00"),
    "nanoseconds": texts("text", "2024-02-29 12:00:00.123456789"),
    "zoned": texts(
        "timestamp with time zone", "2024-02-29T12:00:00Z", "2024-02-29 12:00+02", "2024-02-29 12:00:00-03:30"
    ),
    "partly_zoned": texts("text", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00"),
    "dates_and_times": texts("text", "2024-02-29", "2024-02-29 12:00"),
    "times": texts("text", "12:00", "13:30"),
    "nothing": texts("text", "", ""),
    "empty_texts": texts("text", '""', '""'),
    "json": texts("text", '"{""a"": 1}"', "[1]"),
    "names": texts("text", "Ada", "1"),
}
ROWS = 5000


@pytest.fixture(scope="module")
def from_csv(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], Database]]:
    """Load one file with a column per rule; the last of its rows is the one that decides."""
    columns = {
        name: case.fields[:1] * (ROWS - len(case.fields)) + case.fields for name, case in CSV_TYPES.items()
    }
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    folder = tmp_path_factory.mktemp("create")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with server.database() as database:
        run(database, a_spec(folder, target=CREATE))
        yield types_of(database), database


@pytest.mark.parametrize(("name", "type_name"), [(name, case.type) for name, case in CSV_TYPES.items()])
def test_type_is_that_of_all_texts_of_a_csv_column(
    name: str, type_name: str, from_csv: tuple[dict[str, str], Database]
):
    assert from_csv[0][name] == type_name


def test_what_was_inferred_holds_the_values(from_csv: tuple[dict[str, str], Database]):
    _, db = from_csv
    last = db.execute("SELECT nineteen_digits, postcodes, phones, zoned::text, nothing, empty_texts FROM t")[
        -1
    ]

    assert db.one("SELECT count(*) FROM t") == ROWS
    assert last[:3] == (9999999999999999999, "10115", "49351123")
    assert last[4:] == (None, "")


JSON_TYPES = {
    "integer": ("bigint", "1", "-2"),
    "long_integer": ("numeric", "1", "12345678901234567890"),
    "decimal": ("numeric", "1", "2.50"),
    "boolean": ("boolean", "true", "null"),
    "object": ("jsonb", '{"a": 1}', "null"),
    "array": ("jsonb", "[1]", '{"a": 1}'),
    "number_as_text": ("text", '"1"', '"2"'),
    "boolean_as_text": ("text", '"true"', '"false"'),
    "number_and_text": ("text", "1", '"1"'),
    "number_and_boolean": ("text", "1", "true"),
    "object_and_text": ("text", '{"a": 1}', '"a"'),
    "date": ("date", '"2024-02-29"', "null"),
    "instant": ("timestamp with time zone", '"2024-02-29T12:00:00Z"', '"2024-02-29T12:00:00.5+01:00"'),
    "uuid": ("uuid", '"6b6f1d1c-8d1b-4d7e-9a55-0d3c6e6f0001"', "null"),
    "nothing": ("text", "null", "null"),
}


def test_types_of_json_values_are_kept(db: Database, tmp_path: Path):
    lines = [
        "{" + ", ".join(f'"{name}": {case[n]}' for name, case in JSON_TYPES.items()) + "}" for n in (1, 2)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")

    run(db, a_spec(tmp_path, "rows.jsonl", CREATE))

    assert types_of(db) == {name: case[0] for name, case in JSON_TYPES.items()}
    assert db.execute(
        "SELECT object, decimal::text, number_and_text, number_and_boolean, object_and_text FROM t"
    ) == [
        ({"a": 1}, "1", "1", "1", '{"a": 1}'),
        (None, "2.50", "1", "true", "a"),
    ]


def test_a_field_that_turns_up_late_gets_its_column(db: Database, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2, "b": "x"}\n', encoding="utf-8")

    run(db, a_spec(tmp_path, "rows.jsonl", CREATE))

    assert db.execute("SELECT * FROM t ORDER BY a") == [(1, None), (2, "x")]


ZONE = datetime.timezone(datetime.timedelta(hours=2))
PYTHON_TYPES: dict[str, tuple[str, object, object]] = {
    "integer": ("bigint", 1, 2**40),
    "long_integer": ("numeric", 1, 2**70),
    "decimal": ("numeric", Decimal("1.10"), 1),
    "decimal_nan": ("numeric", Decimal("1.10"), Decimal("NaN")),
    "float": ("double precision", 0.1, 1e300),
    "float_nan": ("double precision", 0.1, float("nan")),
    "float_infinity": ("double precision", 0.1, float("-inf")),
    "boolean": ("boolean", True, None),
    "bytes": ("bytea", b"\x00\xff", b""),
    "naive": ("timestamp without time zone", datetime.datetime(2024, 2, 29, 12, 0, 0, 5), None),
    "aware": ("timestamp with time zone", datetime.datetime(2024, 2, 29, 12, tzinfo=ZONE), None),
    "date": ("date", datetime.date(2024, 2, 29), datetime.date(1, 1, 1)),
    "uuid": ("uuid", uuid.UUID(int=1), uuid.UUID(int=2)),
    "nested": ("jsonb", {"a": [1]}, [Decimal("1.10")]),
    "number_as_text": ("text", "1", "2"),
    "mixed": ("text", 1, "x"),
}


def test_types_of_python_values_are_kept(db: Database):
    rows = [{name: case[n] for name, case in PYTHON_TYPES.items()} for n in (1, 2)]

    sync(db, rows, target=CREATE)

    assert types_of(db) == {name: case[0] for name, case in PYTHON_TYPES.items()}
    stored = db.execute(
        'SELECT "integer", long_integer, "decimal", "float", bytes, aware, "date", uuid FROM t'
    )
    assert stored == [
        tuple(
            row[name]
            for name in ("integer", "long_integer", "decimal", "float", "bytes", "aware", "date", "uuid")
        )
        for row in rows
    ]


def test_stated_types_win_and_the_others_are_inferred(db: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("id,code,price,note\n1,7,2,3\n", encoding="utf-8")
    columns = {
        "code": {"type": "text"},
        "price": {"field": "price", "type": "numeric(12,2)"},
        "note": {"type": "varchar(5)"},
    }

    run(db, a_spec(tmp_path, target=CREATE, columns=columns))

    assert types_of(db) == {
        "code": "text",
        "price": "numeric(12,2)",
        "note": "character varying(5)",
        "id": "bigint",
    }
    assert db.execute("SELECT code, price::text FROM t") == [("7", "2.00")]


@pytest.mark.parametrize("method", ["copy", "staged", "rows"])
def test_with_all_types_stated_nothing_is_inferred(db: Database, tmp_path: Path, method: str):
    (tmp_path / "rows.csv").write_text("id,day\n1,2024-02-29\n", encoding="utf-8")
    columns = {"id": {"type": "int"}, "day": {"type": "text"}}

    report = run(db, a_spec(tmp_path, target=CREATE, columns=columns, execution={"method": method}))

    assert (report.strategy, counts(report)) == (method, {"inserted": 1})
    assert types_of(db) == {"id": "integer", "day": "text"}


def test_a_value_against_its_stated_type_leaves_no_table(db: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("id,code\n1,a\nx,b\n", encoding="utf-8")
    before = contents(db)

    with pytest.raises(syncengine.BadRow) as failure:
        run(db, a_spec(tmp_path, target=CREATE, columns={"id": {"type": "int"}}))

    assert "id" in str(failure.value)
    assert contents(db) == before


def test_an_expressions_type_is_text_unless_stated(db: Database):
    columns = {
        "both": {"expression": "source.a || source.b"},
        "total": {"expression": "source.a::int + 1", "type": "int"},
    }

    sync(db, [{"a": 1, "b": 2}], target=CREATE, columns=columns, ignore_fields=["b"])

    assert types_of(db) == {"both": "text", "total": "integer", "a": "bigint"}
    assert db.execute('SELECT a, "both", total FROM t') == [(1, "12", 2)]


def test_conflict_keys_become_the_primary_key_and_the_second_run_writes_nothing(db: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("day,region,n\n2024-01-01,b,1\n2024-01-01,a,2\n", encoding="utf-8")
    spec = a_spec(tmp_path, target=CREATE, conflict_keys=["region", "day"])

    first = run(db, spec)
    before = places(db)
    second = run(db, spec)

    assert (counts(first), counts(second)) == ({"inserted": 2}, {"unchanged": 2})
    assert places(db) == before
    assert db.execute(
        "SELECT attname::text FROM pg_index, unnest(indkey) WITH ORDINALITY AS k (n, place), pg_attribute"
        " WHERE indrelid = 't'::regclass AND indisprimary AND attrelid = indrelid AND attnum = n ORDER BY place"
    ) == [("region",), ("day",)]


def test_the_later_file_may_hold_larger_numbers(db: Database, tmp_path: Path):
    spec = a_spec(tmp_path, target=CREATE, conflict_keys=["id"])
    (tmp_path / "rows.csv").write_text("id,n\n1,1\n", encoding="utf-8")
    run(db, spec)
    (tmp_path / "rows.csv").write_text("id,n\n1,99999999999\n", encoding="utf-8")

    assert counts(run(db, spec)) == {"updated": 1}


def test_without_keys_the_rows_are_inserted_each_time(db: Database):
    for expected in (2, 4):
        assert counts(sync(db, [{"a": 1}, {"a": 1}], target=CREATE)) == {"inserted": 2}
        assert db.one("SELECT count(*) FROM t") == expected


@pytest.mark.parametrize("mode", ["ignore", "upsert", "update"])
def test_every_mode_with_keys_creates(db: Database, mode: str):
    rows = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]

    report = sync(db, rows, target=CREATE, mode=mode, conflict_keys=["id"])

    assert counts(report) == ({"skipped": 2} if mode == "update" else {"inserted": 2})
    assert types_of(db) == {"id": "bigint", "v": "text"}


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        pytest.param([{"id": 1, "v": "a"}, {"id": 1, "v": "b"}], "duplicate-keys", id="duplicate-keys"),
        pytest.param([{"id": 1, "v": "a"}, {"id": None, "v": "b"}], "null-keys", id="null-keys"),
    ],
)
def test_a_failure_after_the_inference_leaves_neither_table_nor_staging(
    db: Database, rows: object, code: str
):
    error = refused(db, rows, target=CREATE, conflict_keys=["id"])

    assert error.code == code
    assert contents(db) == {}


def test_a_source_that_breaks_off_leaves_neither_table_nor_staging(db: Database):
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"id": n} for n in range(3000))
        raise RuntimeError("the line went dead")

    error = refused(db, rows(), target=CREATE, conflict_keys=["id"])

    assert (error.code, error.detail) == ("source-unreadable", "the line went dead")
    assert contents(db) == {}


def test_expression_keys_need_an_index_made_by_hand(db: Database):
    error = refused(db, [{"email": "a"}], target=CREATE, conflict_keys=["lower(email)"])

    assert error.exit_code == 3
    assert "primary key" in str(error)
    assert contents(db) == {}


def test_two_creates_at_once_leave_one_table_with_all_rows(db: Database):
    outcomes: list[syncengine.Report | syncengine.SyncError] = []
    ready = threading.Barrier(2)

    def wait(event: object) -> None:
        if type(event).__name__ == "UnitStarted" and getattr(event, "unit", "") == "publish":
            ready.wait(10)

    def create(start: int) -> None:
        rows = [{"id": n, "v": str(n)} for n in range(start, start + 10)]
        spec = {"name": f"t{start}", "target": CREATE, "conflict_keys": ["id"], "execution": {"retries": 0}}
        try:
            outcomes.append(syncengine.run(spec, source=rows, connection=db.url, emit=wait))
        except syncengine.SyncError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=create, args=(start,)) for start in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    reports = [outcome for outcome in outcomes if isinstance(outcome, syncengine.Report)]
    assert db.one("SELECT count(*) FROM t") == sum(report.inserted for report in reports) >= 10
    for error in (outcome for outcome in outcomes if isinstance(outcome, syncengine.SyncError)):
        assert (error.code, error.message) == ("conflict", 'relation "t" already exists')
        assert "run it again" in str(error)
    assert list(contents(db)) == ["public.t"]


def test_a_role_without_create_is_told_what_to_grant(db: Database):
    with (
        a_role(db, "GRANT USAGE ON SCHEMA public TO {}") as url,
        pytest.raises(syncengine.SyncError) as failure,
    ):
        syncengine.run({"name": "t", "target": CREATE}, source=[{"a": 1}], connection=url)

    assert failure.value.exit_code == 3
    assert "GRANT CREATE ON SCHEMA public" in str(failure.value)
    assert contents(db) == {}


def test_a_role_that_may_not_keep_what_types_are_inferred_from_is_told_so_by_the_plan(db: Database):
    spec = {"name": "t", "target": CREATE, "conflict_keys": ["a"]}
    rows = [{"a": 1}]
    with a_role(db, "GRANT USAGE, CREATE ON SCHEMA public TO {}") as url:
        with pytest.raises(syncengine.SyncError, match="types are inferred") as failure:
            syncengine.plan(spec, source=rows, connection=url)
        stated = syncengine.run({**spec, "columns": {"a": {"type": "int"}}}, source=rows, connection=url)

    assert (failure.value.code, stated.inserted) == ("no-strategy-fits", 1)
    assert f"GRANT CREATE ON DATABASE {db.name}" in str(failure.value)


@contextmanager
def a_role(db: Database, *grants: str) -> Iterator[str]:
    """Make a role with some rights, and give the URL it logs in by."""
    name = f"r_{uuid.uuid4().hex[:8]}"
    db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    for grant in grants:
        db.execute(grant.format(name))
    yield f"postgresql://{name}:x@{db.url.partition('@')[2]}"
    db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize("keys", [{}, {"conflict_keys": ["a"]}], ids=["insert", "upsert"])
def test_a_header_alone_makes_an_empty_table_of_texts(db: Database, tmp_path: Path, keys: dict[str, Any]):
    (tmp_path / "rows.csv").write_text("a,b\n", encoding="utf-8")

    report = run(db, a_spec(tmp_path, target=CREATE, **keys))

    assert (report.rows_read, types_of(db)) == (0, {"a": "text", "b": "text"})


def test_a_source_without_fields_cannot_make_a_table(db: Database):
    error = refused(db, [], target=CREATE)

    assert error.exit_code == 3
    assert contents(db) == {}


def test_an_empty_source_with_stated_columns_makes_the_table(db: Database):
    report = sync(
        db, [], target=CREATE, columns={"id": {"type": "int"}, "v": {"type": "text"}}, conflict_keys=["id"]
    )

    assert (report.rows_read, types_of(db)) == (0, {"id": "integer", "v": "text"})


ODD_NAMES = [
    "E-Mail",
    "select",
    'say "hi"',
    "100%",
    "ä b",
    "a.b",
    "ctid2",
    "x" * 63,
    "_op",
    "_rn",
    "{}",
    "$1",
    ":x",
    " ",
]


def test_odd_field_names_become_the_columns(db: Database, tmp_path: Path):
    header = ",".join('"' + name.replace('"', '""') + '"' for name in ODD_NAMES)
    line = ",".join(str(n) for n in range(len(ODD_NAMES)))
    (tmp_path / "rows.csv").write_text(f"{header}\n{line}\n", encoding="utf-8")
    spec = a_spec(tmp_path, target=CREATE, conflict_keys=["E-Mail"])

    first, second = run(db, spec), run(db, spec)

    assert list(types_of(db)) == ODD_NAMES
    assert (counts(first), counts(second)) == ({"inserted": 1}, {"unchanged": 1})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 64, id="long"),
        pytest.param("ctid", id="system-column"),
        pytest.param("ä" * 32, id="bytes"),
    ],
)
def test_a_name_that_cannot_be_a_column_is_refused_before_anything_is_made(
    db: Database, tmp_path: Path, name: str
):
    (tmp_path / "rows.csv").write_text(f"id,{name}\n1,2\n", encoding="utf-8")

    with pytest.raises(syncengine.SyncError) as failure:
        run(db, a_spec(tmp_path, target=CREATE))

    assert failure.value.exit_code == 3
    assert name in str(failure.value)
    assert contents(db) == {}


def test_fields_that_differ_in_case_alone_become_two_columns(db: Database):
    sync(db, [{"Id": 1, "ID": 2}], target=CREATE)

    assert db.execute('SELECT "Id", "ID" FROM t') == [(1, 2)]


def test_plan_says_that_types_are_inferred_and_writes_nothing(newdb: Database, tmp_path: Path, cli: RunCli):
    (tmp_path / "rows.csv").write_text("id,v\n1,a\n", encoding="utf-8")
    spec = a_spec(tmp_path, target=CREATE, conflict_keys=["id"])
    before = contents(newdb)

    done = cli("plan", spec, "--connection", newdb.url, cwd=tmp_path)

    assert (done.returncode, contents(newdb)) == (0, before)
    assert "the types of id, v are inferred from the whole source" in done.stdout
    assert newdb.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'syncengine'") == []


def carried_out(plan: syncengine.Plan) -> list[str]:
    """Return the steps of a run that meets neither duplicates nor other writers."""
    steps = [step for step in plan.steps if not getattr(step, "last_resort", False)]
    steps = [step for step in steps if not step.title.startswith("another session may have made the ledger")]
    for number, step in enumerate(steps):
        if spares := getattr(step, "spares", 0):
            del steps[number + 1 : number + 1 + spares]
    return [step.title for step in steps]


def test_plan_and_run_name_the_same_strategy_and_steps(db: Database):
    rows = [{"id": 1, "v": "a"}]
    spec = {"name": "t", "target": CREATE, "conflict_keys": ["id"]}
    seen: list[str] = []

    def note(event: object) -> None:
        if type(event).__name__ == "StepFinished":
            seen.append(getattr(event, "step", ""))

    planned = syncengine.plan(spec, source=rows, connection=db.url)
    report = syncengine.run(spec, source=rows, connection=db.url, emit=note)

    assert report.strategy == planned.strategy
    run_id = next(step for step in seen if step.startswith("create syncengine.stage_")).removeprefix(
        "create syncengine.stage_"
    )
    # The types were inferred in between, so that the plan of the run has no unit for the ledger any more.
    assert [step.replace(run_id, "run") for step in seen] == carried_out(planned)


def test_a_missing_table_without_create_names_the_remedy(db: Database):
    error = refused(db, [{"a": 1}])

    assert error.exit_code == 3
    assert "create: true" in str(error)


def test_a_missing_schema_is_refused_with_the_statement_that_makes_it(db: Database):
    error = refused(db, [{"a": 1}], target={"table": "shop.t", "create": True})

    assert error.exit_code == 3
    assert "CREATE SCHEMA shop" in str(error)
