"""docs/spec.md §4: which field goes to which column, and what is said where that can't be."""

from __future__ import annotations

import pytest

from syncengine.model.facts import Handover, TableFacts, TriggerFacts
from syncengine.model.task import Task
from tests.builders import a_column, a_server, a_source, a_table, a_task, an_index, complaints, parsed

PEOPLE = a_table("id integer", "name", "qty numeric(6,2)")
INSERT = "source: rows.csv\nmode: insert\n"
ALWAYS = a_column("id integer", identity="always")
BY_DEFAULT = a_column("id integer", identity="default")
GENERATED = a_column("total numeric", generated=True)
REQUIRED = a_column("code", not_null=True)


def mapping(task: Task) -> dict[str, str]:
    """Return the field, or the text of the expression, that each column takes."""
    fields = {staged.column.column: staged.column.field for staged in task.stage}
    return {column.name: column.value.text if column.value else fields[column.name] for column in task.loaded}


@pytest.mark.parametrize(
    ("spec", "fields", "table", "expected"),
    [
        pytest.param(
            "", ["qty", "id", "name"], PEOPLE, {"qty": "qty", "id": "id", "name": "name"}, id="same-names"
        ),
        pytest.param("", ["ID", "Name"], PEOPLE, {"id": "ID", "name": "Name"}, id="whatever-the-case"),
        pytest.param(
            "", ["ID", "id"], a_table("id", "ID"), {"ID": "ID", "id": "id"}, id="exact-names-keep-twins-apart"
        ),
        pytest.param(
            "ignore_fields: [ID]",
            ["ID", "id"],
            a_table("id"),
            {"id": "id"},
            id="an-ignored-field-is-the-exact-one",
        ),
        pytest.param(
            'ignore_fields: "*"',
            ["ID", "id"],
            a_table("id"),
            {"id": "id"},
            id="exact-name-before-another-case",
        ),
        pytest.param(
            'columns: {name: "E-Mail"}',
            ["id", "E-Mail"],
            PEOPLE,
            {"id": "id", "name": "E-Mail"},
            id="renamed",
        ),
        pytest.param(
            "columns: {NAME: label}",
            ["id", "label"],
            PEOPLE,
            {"id": "id", "name": "label"},
            id="column-in-any-case",
        ),
        pytest.param("columns: {name: NAME}", ["name"], PEOPLE, {"name": "name"}, id="field-in-any-case"),
        pytest.param(
            "columns: {name: id}\nignore_fields: [name]",
            ["id", "name"],
            PEOPLE,
            {"name": "id"},
            id="one-field-once",
        ),
        pytest.param(
            "columns: {id: code, name: code}",
            ["code"],
            PEOPLE,
            {"id": "code", "name": "code"},
            id="one-field-twice",
        ),
        pytest.param(
            'columns: {name: {expression: "source.First || source.last"}}',
            ["id", "FIRST", "last"],
            PEOPLE,
            {"id": "id", "name": "source.First || source.last"},
            id="fields-of-an-expression-need-no-column",
        ),
        pytest.param(
            'columns: {name: {expression: "upper(source.name)"}}',
            ["id", "name"],
            PEOPLE,
            {"id": "id", "name": "upper(source.name)"},
            id="expression-over-the-field-of-its-own-name",
        ),
        pytest.param(
            'columns: {name: {expression: "upper(source.id)"}}',
            ["id"],
            PEOPLE,
            {"id": "id", "name": "upper(source.id)"},
            id="field-of-an-expression-is-loaded-as-well-if-it-has-a-column",
        ),
        pytest.param(
            "ignore_fields: [x, Y]", ["id", "x", "y"], PEOPLE, {"id": "id"}, id="ignored-in-any-case"
        ),
        pytest.param(
            "ignore_fields: [gone]", ["id"], PEOPLE, {"id": "id"}, id="ignored-field-need-not-be-there"
        ),
        pytest.param(
            'ignore_fields: "*"', ["id", "x", "y"], PEOPLE, {"id": "id"}, id="all-without-column-ignored"
        ),
    ],
)
def test_fields_find_their_columns(spec: str, fields: list[str], table: TableFacts, expected: dict[str, str]):
    task = a_task(f"{INSERT}{spec}", table, a_source(*fields))

    assert mapping(task) == expected


@pytest.mark.parametrize(
    ("spec", "fields", "table", "expected"),
    [
        pytest.param("", 3, PEOPLE, {"id": "1", "name": "2", "qty": "3"}, id="in-order"),
        pytest.param(
            "ignore_fields: ['2']", 4, PEOPLE, {"id": "1", "name": "3", "qty": "4"}, id="without-ignored-ones"
        ),
        pytest.param(
            'ignore_fields: "*"', 5, PEOPLE, {"id": "1", "name": "2", "qty": "3"}, id="surplus-ignored"
        ),
        pytest.param(
            "columns: {name: '1'}", 3, PEOPLE, {"name": "1", "id": "2", "qty": "3"}, id="one-is-named"
        ),
        pytest.param(
            "", 2, a_table("a", GENERATED, "b"), {"a": "1", "b": "2"}, id="generated-columns-left-out"
        ),
    ],
)
def test_numbered_fields_go_to_the_columns_in_order(
    spec: str, fields: int, table: TableFacts, expected: dict[str, str]
):
    source = a_source(*(str(number) for number in range(1, fields + 1)), named=False)

    assert mapping(a_task(f"{INSERT}{spec}", table, source)) == expected


@pytest.mark.parametrize(
    ("spec", "fields", "table", "message", "hint"),
    [
        pytest.param(
            "",
            ["id", "nmae"],
            PEOPLE,
            "1: field 'nmae' of the source matches no column of shop.orders",
            "did you mean 'name'?",
            id="slip-of-a-field",
        ),
        pytest.param(
            "",
            ["id", "colour"],
            PEOPLE,
            "1: field 'colour' of the source matches no column of shop.orders",
            "`ignore_fields: ['colour']`",
            id="field-without-a-column",
        ),
        pytest.param(
            "",
            ["id", "p", "q", "r", "s"],
            PEOPLE,
            "1: 4 fields of the source match no column of shop.orders: p, q, r, s",
            'ignore_fields: "*"',
            id="many-at-once",
        ),
        pytest.param(
            "",
            ["1", "anna"],
            PEOPLE,
            "1: no field of the source matches",
            "header: false",
            id="header-is-a-row",
        ),
        pytest.param(
            "columns: {nmae: id}",
            ["id"],
            PEOPLE,
            "3: shop.orders has no column 'nmae'",
            "'name'",
            id="slip-of-a-column",
        ),
        pytest.param(
            "columns: {name: lable}",
            ["id", "label"],
            PEOPLE,
            "3: the source has no field 'lable'",
            "did you mean 'label'?",
            id="slip-of-a-field-in-columns",
        ),
        pytest.param(
            "columns: {name: {expression: upper(source.lable)}}",
            ["id", "label"],
            PEOPLE,
            "3: the source has no field 'lable'",
            "did you mean 'label'?",
            id="slip-in-an-expression",
        ),
        pytest.param(
            "columns: {name: id, NAME: label}",
            ["id", "label"],
            PEOPLE,
            "3: column name is there twice",
            "leave one of them out",
            id="column-twice-but-for-the-case",
        ),
        pytest.param(
            "columns: {name: id}",
            ["id", "name"],
            PEOPLE,
            "1: field 'name' of the source is not loaded: column name is filled from something else",
            "ignore_fields: ['name']",
            id="column-taken-by-another-field",
        ),
        pytest.param(
            "",
            ["id", "total"],
            a_table("id", GENERATED),
            "1: column total of shop.orders is generated and can't be loaded",
            "ignore_fields: [total]",
            id="generated-column",
        ),
        pytest.param(
            "columns: {total: id}",
            ["id"],
            a_table("id", GENERATED),
            "3: column total of shop.orders is generated and can't be loaded",
            "ignore_fields: [id]",
            id="generated-column-asked-for",
        ),
        pytest.param(
            "",
            ["id", "name"],
            a_table(ALWAYS, "name"),
            "1: column id of shop.orders is GENERATED ALWAYS AS IDENTITY and can't be loaded",
            "ALTER TABLE shop.orders ALTER COLUMN id SET GENERATED BY DEFAULT;",
            id="identity-column",
        ),
        pytest.param(
            "",
            ["id"],
            a_table("id", REQUIRED),
            "1: column code of shop.orders is NOT NULL without a default, and the source does not load it",
            "ALTER TABLE shop.orders ALTER COLUMN code SET DEFAULT …;",
            id="required-column-is-not-loaded",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_remedy(
    spec: str, fields: list[str], table: TableFacts, message: str, hint: str
):
    (error,) = complaints(f"{INSERT}{spec}", table, a_source(*fields))

    assert f"{error.location.line}: {error.message}".startswith(message)
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("mode", "table"),
    [
        pytest.param(
            "insert", a_table("id", a_column("n", not_null=True, has_default=True)), id="it-has-a-default"
        ),
        pytest.param(
            "insert", a_table("id", a_column("n", not_null=True, identity="always")), id="it-is-an-identity"
        ),
        pytest.param(
            "insert", a_table("id", a_column("n", not_null=True, generated=True)), id="it-is-generated"
        ),
        pytest.param(
            "upsert", a_table("id", REQUIRED, indexes=(an_index("id"),)), id="stored-rows-can-be-updated"
        ),
        pytest.param("update", a_table("id", REQUIRED), id="nothing-is-inserted"),
        pytest.param(
            "insert",
            a_table("id", REQUIRED, triggers=(TriggerFacts(name="t", timing="BEFORE", events=("INSERT",)),)),
            id="a-trigger-may-fill-it",
        ),
    ],
)
def test_a_required_column_may_be_left_out_where(mode: str, table: TableFacts):
    keys = "" if mode == "insert" else "conflict_keys: [id]"

    assert mapping(a_task(f"mode: {mode}\n{keys}", table, a_source("id"))) == {"id": "id"}


def test_an_identity_by_default_can_be_loaded():
    assert mapping(a_task(INSERT, a_table(BY_DEFAULT), a_source("id"))) == {"id": "id"}


def test_an_identity_column_can_be_the_key_of_an_update():
    task = a_task("mode: update\nconflict_keys: [id]", a_table(ALWAYS, "name"))

    assert [item.column for item in task.assignments] == ["name"]


def test_numbered_fields_must_be_as_many_as_columns():
    (error,) = complaints(INSERT, PEOPLE, a_source("1", "2", named=False))

    assert error.message == "the source has 2 fields without names, shop.orders has 3 columns for them"
    assert "header: [id, name, qty]" in error.hint


@pytest.mark.parametrize(
    ("spec", "staged"),
    [
        pytest.param("", ["id integer", "name text", "qty numeric(6,2)"], id="each-as-its-column"),
        pytest.param(
            "columns: {qty: {expression: cast(source.qty AS numeric)}}",
            ["id integer", "name text", "qty text"],
            id="what-an-expression-reads-as-text",
        ),
        pytest.param(
            "columns: {qty: {field: qty, type: 'numeric(9,4)'}}",
            ["id integer", "name text", "qty numeric(9, 4)"],
            id="as-the-type-that-is-said",
        ),
        pytest.param(
            "columns: {id: name}\nignore_fields: [id]",
            ["id_2 text", "id integer", "qty numeric(6,2)"],
            id="ignored-fields-come-along-as-text-with-csv-bytes",
        ),
    ],
)
def test_fields_are_staged(spec: str, staged: list[str]):
    task = a_task(f"{INSERT}{spec}", PEOPLE)

    assert [f"{item.column.column} {item.type}" for item in task.stage] == staged


def test_only_fields_that_are_needed_are_staged_from_rows():
    source = a_source("id", "name", "x", handovers=Handover.ROWS, csv=None)

    task = a_task(f"{INSERT}ignore_fields: [x]", PEOPLE, source)

    assert [item.column.field for item in task.stage] == ["id", "name"]


def test_names_of_fields_that_are_no_names_in_sql_are_cut_to_63_bytes_and_kept_apart():
    long = "ä" * 40
    spec = f"{INSERT}columns: {{id: {long}1, name: {long}2, qty: {{expression: '1'}}}}"

    task = a_task(spec, PEOPLE, a_source(f"{long}1", f"{long}2"))

    assert [item.column.column for item in task.stage] == ["ä" * 31, "ä" * 30 + "_2"]


def test_a_table_to_be_created_takes_every_field_in_order_and_then_what_is_computed():
    missing = a_table(exists=False, privileges=frozenset({"CREATE"}))
    spec = """
target: {table: shop.orders, create: true}
mode: insert
columns: {day: {expression: now(), type: date}, qty: {field: Qty, type: "numeric(6,2)"}}
"""
    task = a_task(spec, missing, a_source("id", "Qty"))

    columns = [(column.name, column.type) for column in task.table.columns]
    assert columns == [("id", "text"), ("qty", "numeric(6, 2)"), ("day", "date")]
    assert task.infers


def test_values_that_depend_on_the_time_are_marked():
    table = a_table("id", "a timestamp with time zone", "b", "c")
    spec = """
mode: insert
columns:
  a: {expression: now()}
  b: {expression: app.clock(source.id)}
  c: {expression: app.pure(source.id)}
"""
    found = parsed(spec, allow_functions=frozenset({"app.clock", "app.pure"}))

    task = a_task(found, table, a_source("id"), unstable=frozenset({"app.clock"}))

    assert [column.name for column in task.loaded if column.stable] == ["a", "b"]


def test_all_problems_come_at_once_in_file_order():
    spec = """\
source: rows.csv
target: shop.orders
columns:
  nmae: id
  name: {expression: upper(source.firts)}
conflict_keys: [idd]
update_columns: [qti, {name: target.x}]
where: excluded.z > target.qty
duplicates: {keep: max, by: versoin}
returning: {columns: [idd], to: out.csv}
"""
    errors = complaints(spec, PEOPLE, a_source("id", "first", "region"))

    assert [f"{error.location.line}: {error.message}" for error in errors] == [
        "1: field 'region' of the source matches no column of shop.orders",
        "4: shop.orders has no column 'nmae'",
        "5: the source has no field 'firts'",
        "6: shop.orders has no column 'idd'",
        "7: shop.orders has no column 'qti'",
        "7: shop.orders has no column 'x'",
        "8: the source loads no column 'z'",
        "9: the source loads no column 'versoin'",
        "10: shop.orders has no column 'idd'",
    ]
    assert {str(error.location).partition(":")[0] for error in errors} == {"s.yaml"}


def test_a_field_that_does_not_fit_is_not_blamed_on_the_rest_of_the_spec():
    spec = "source: rows.csv\nconflict_keys: [id]\nupdate_columns: [name]\nwhere: excluded.qty > 0"

    errors = complaints(spec, PEOPLE, a_source("a"))

    assert [error.message for error in errors] == [
        "no field of the source matches a column of shop.orders",
        "no unique index on shop.orders covers conflict_keys (id)",
    ]


def test_an_unfit_server_and_an_unfit_spec_are_told_together():
    server = a_server(read_only=True)

    errors = complaints(f"{INSERT}columns: {{nmae: id}}", PEOPLE, a_source("id"), server)

    assert [error.location.line for error in errors] == [3, 4]
