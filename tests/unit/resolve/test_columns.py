"""SPEC.md §4: which field goes to which column, and what is said where that can't be."""

from __future__ import annotations

import pytest

from syncengine.model.facts import Handover, TableFacts, TriggerFacts
from syncengine.model.task import Task
from tests.builders import a_column, a_server, a_source, a_table, a_task, an_index, complaints

PEOPLE = a_table("id integer", "name", "qty numeric(6,2)")
INSERT = "mode: insert\n"
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
        pytest.param("", ["qty", "id", "name"], PEOPLE, {"qty": "qty", "id": "id", "name": "name"}, id="same-names"),
        pytest.param("", ["ID", "Name"], PEOPLE, {"id": "ID", "name": "Name"}, id="whatever-the-case"),
        pytest.param(
            "", ["ID", "id"], a_table("id", "ID"), {"ID": "ID", "id": "id"}, id="exact-names-keep-twins-apart"
        ),
        pytest.param(
            "ignore_fields: [ID]", ["ID", "id"], a_table("id"), {"id": "id"}, id="an-ignored-field-is-the-exact-one"
        ),
        pytest.param(
            'ignore_fields: "*"', ["ID", "id"], a_table("id"), {"id": "id"}, id="exact-name-before-another-case"
        ),
        pytest.param(
            'columns: {name: "E-Mail"}', ["id", "E-Mail"], PEOPLE, {"id": "id", "name": "E-Mail"}, id="renamed"
        ),
        pytest.param(
            "columns: {NAME: label}", ["id", "label"], PEOPLE, {"id": "id", "name": "label"}, id="column-in-any-case"
        ),
        pytest.param("columns: {name: NAME}", ["name"], PEOPLE, {"name": "name"}, id="field-in-any-case"),
        pytest.param(
            "columns: {name: id}\nignore_fields: [name]", ["id", "name"], PEOPLE, {"name": "id"}, id="one-field-once"
        ),
        pytest.param(
            "columns: {id: code, name: code}", ["code"], PEOPLE, {"id": "code", "name": "code"}, id="one-field-twice"
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
        pytest.param("ignore_fields: [x, Y]", ["id", "x", "y"], PEOPLE, {"id": "id"}, id="ignored-in-any-case"),
        pytest.param("ignore_fields: [gone]", ["id"], PEOPLE, {"id": "id"}, id="ignored-field-need-not-be-there"),
        pytest.param('ignore_fields: "*"', ["id", "x", "y"], PEOPLE, {"id": "id"}, id="all-without-column-ignored"),
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
        pytest.param('ignore_fields: "*"', 5, PEOPLE, {"id": "1", "name": "2", "qty": "3"}, id="surplus-ignored"),
        pytest.param("columns: {name: '1'}", 3, PEOPLE, {"name": "1", "id": "2", "qty": "3"}, id="one-is-named"),
        pytest.param("", 2, a_table("a", GENERATED, "b"), {"a": "1", "b": "2"}, id="generated-columns-left-out"),
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
            "3: field 'nmae' of the source matches no column of shop.orders",
            "did you mean 'name'?",
            id="slip-of-a-field",
        ),
        pytest.param(
            "",
            ["id", "colour"],
            PEOPLE,
            "3: field 'colour' of the source matches no column of shop.orders",
            "`ignore_fields: ['colour']`",
            id="field-without-a-column",
        ),
        pytest.param(
            "",
            ["id", "p", "q", "r", "s"],
            PEOPLE,
            "3: 4 fields of the source match no column of shop.orders: p, q, r, s",
            'ignore_fields: "*"',
            id="many-at-once",
        ),
        pytest.param(
            "", ["1", "anna"], PEOPLE, "3: no field of the source matches", "header: false", id="header-is-a-row"
        ),
        pytest.param(
            "columns: {nmae: id}", ["id"], PEOPLE, "2: shop.orders has no column 'nmae'", "'name'", id="slip-of-a-column"
        ),
        pytest.param(
            "columns: {name: lable}",
            ["id", "label"],
            PEOPLE,
            "2: the source has no field 'lable'",
            "did you mean 'label'?",
            id="slip-of-a-field-in-columns",
        ),
        pytest.param(
            "columns: {name: {expression: upper(source.lable)}}",
            ["id", "label"],
            PEOPLE,
            "2: the source has no field 'lable'",
            "did you mean 'label'?",
            id="slip-in-an-expression",
        ),
        pytest.param(
            "columns: {name: id, NAME: label}",
            ["id", "label"],
            PEOPLE,
            "2: column name is there twice",
            "leave one of them out",
            id="column-twice-but-for-the-case",
        ),
        pytest.param(
            "columns: {name: id}",
            ["id", "name"],
            PEOPLE,
            "3: field 'name' of the source matches no column",
            "ignore_fields: ['name']",
            id="column-taken-by-another-field",
        ),
        pytest.param(
            "",
            ["id", "total"],
            a_table("id", GENERATED),
            "3: column total of shop.orders is generated and can't be loaded",
            "ignore_fields: [total]",
            id="generated-column",
        ),
        pytest.param(
            "columns: {total: id}",
            ["id"],
            a_table("id", GENERATED),
            "2: column total of shop.orders is generated and can't be loaded",
            "ignore_fields: [id]",
            id="generated-column-asked-for",
        ),
        pytest.param(
            "",
            ["id", "name"],
            a_table(ALWAYS, "name"),
            "3: column id of shop.orders is GENERATED ALWAYS AS IDENTITY and can't be loaded",
            "ALTER TABLE shop.orders ALTER COLUMN id SET GENERATED BY DEFAULT;",
            id="identity-column",
        ),
        pytest.param(
            "",
            ["id"],
            a_table("id", REQUIRED),
            "3: column code of shop.orders is NOT NULL without a default, and the source does not load it",
            "ALTER TABLE shop.orders ALTER COLUMN code SET DEFAULT …;",
            id="required-column-is-not-loaded",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_remedy(
    spec: str, fields: list[str], table: TableFacts, message: str, hint: str
):
    (error,) = complaints(f"{INSERT}{spec}\nsource: rows.csv", table, a_source(*fields))

    assert f"{error.location.line}: {error.message}".startswith(message.replace("3:", f"{2 + bool(spec)}:"))
    assert hint in (error.hint or "")
