"""`update_columns`: what is set, in which order, and what of it decides that a row changes."""

from __future__ import annotations

import pytest

from syncengine.model.facts import TableFacts
from tests.builders import a_column, a_source, a_table, a_task, an_index, complaints, parsed

BY_ID = (an_index("id"),)
ORDERS = a_table("id integer", "name", "qty integer", "seen timestamp with time zone", indexes=BY_ID)
FIELDS = a_source("id", "name", "qty")
KEYS = "source: rows.csv\nname: orders\nconflict_keys: [id]\n"
TOTAL = a_column("total integer", generated=True)


def assignments(spec: str, table: TableFacts = ORDERS, **more: object) -> list[str]:
    """Return `column` or `column = expression` of each assignment, with a `~` if it is not compared."""
    task = a_task(f"{KEYS}{spec}", table, FIELDS, **more)
    return [
        item.column
        + (f" = {item.expression.text}" if item.expression else "")
        + ("" if item.compared else " ~")
        for item in task.assignments
    ]


@pytest.mark.parametrize(
    ("update_columns", "expected"),
    [
        pytest.param('["*"]', ["name", "qty"], id="all-but-the-keys"),
        pytest.param("[qty, name]", ["qty", "name"], id="in-the-order-given"),
        pytest.param("[QTY]", ["qty"], id="folded-as-in-sql"),
        pytest.param("[id]", ["id"], id="a-key-if-asked-for"),
        pytest.param("[]", [], id="none"),
        pytest.param("{qty: target.qty + excluded.qty}", ["qty = target.qty + excluded.qty"], id="mapping"),
        pytest.param(
            '["*", {qty: target.qty + 1}]',
            ["name", "qty = target.qty + 1"],
            id="expression-over-the-incoming-value",
        ),
        pytest.param('[{qty: target.qty + 1}, "*"]', ["name", "qty"], id="later-star-overrides"),
        pytest.param('["*", {name: keep}]', ["qty"], id="keep"),
        pytest.param('[{name: keep}, "*"]', ["name", "qty"], id="star-overrides-keep"),
        pytest.param(
            "[{name: keep}, {name: upper(excluded.name)}]",
            ["name = upper(excluded.name)"],
            id="expression-overrides-keep",
        ),
        pytest.param(
            '["*", {seen: now()}]', ["name", "qty", "seen = now() ~"], id="the-time-is-not-compared"
        ),
        pytest.param("{seen: now()}", ["seen = now() ~"], id="only-the-time"),
        pytest.param('["*", {name: keep, seen: now()}]', ["qty", "seen = now() ~"], id="several-in-one-item"),
    ],
)
def test_update_columns(update_columns: str, expected: list[str]):
    assert assignments(f"update_columns: {update_columns}") == expected


@pytest.mark.parametrize("mode", ["insert", "ignore"])
def test_modes_that_update_nothing_assign_nothing(mode: str):
    assert assignments(f"mode: {mode}") == []


def test_every_loaded_column_may_be_updated_where_the_key_is_an_expression():
    table = a_table("name", "qty integer", indexes=(an_index("lower(name)"),))

    task = a_task("conflict_keys: [lower(name)]", table)

    assert [item.column for item in task.assignments] == ["name", "qty"]


@pytest.mark.parametrize(
    ("update_columns", "expected"),
    [
        pytest.param('["*"]', ["name", "qty", "seen ~"], id="as-it-comes-in"),
        pytest.param("{seen: excluded.seen}", ["seen = excluded.seen ~"], id="by-an-expression"),
        pytest.param(
            "{seen: 'greatest(target.seen, excluded.seen)'}",
            ["seen = greatest(target.seen, excluded.seen) ~"],
            id="inside-an-expression",
        ),
        pytest.param(
            "{qty: excluded.qty}", ["qty = excluded.qty"], id="but-what-does-not-read-it-is-compared"
        ),
    ],
)
def test_a_column_loaded_with_the_time_is_not_compared(update_columns: str, expected: list[str]):
    spec = f"columns: {{seen: {{expression: now()}}}}\nupdate_columns: {update_columns}"

    assert assignments(spec) == expected


def test_what_an_unstable_function_of_the_project_gives_is_not_compared():
    spec = parsed(
        f"{KEYS}update_columns: [{{qty: app.dice()}}, {{name: app.clean(excluded.name)}}]",
        allow_functions=frozenset({"app.dice", "app.clean"}),
    )

    task = a_task(spec, ORDERS, FIELDS, unstable=frozenset({"app.dice"}))

    assert [(item.column, item.compared) for item in task.assignments] == [("qty", False), ("name", True)]


def test_names_in_expressions_are_spelt_as_the_table_does():
    table = a_table("id", "Name", "Qty integer", indexes=BY_ID)
    spec = "conflict_keys: [id]\nupdate_columns: {qty: target.QTY + 1}\nwhere: target.name <> excluded.NAME"

    task = a_task(spec, table)

    assert [ref.name for ref in task.assignments[0].expression.columns] == ["Qty"]
    assert [ref.name for ref in task.spec.where.columns] == ["Name", "Name"]


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        pytest.param("update_columns: [nmae]", "4:18: shop.orders has no column 'nmae'", "'name'", id="slip"),
        pytest.param(
            "update_columns: {nmae: keep}", "4:24: shop.orders has no column 'nmae'", "'name'", id="slip-keep"
        ),
        pytest.param(
            "update_columns: [name, {qty: target.qyt + 1}]",
            "4:30: shop.orders has no column 'qyt'",
            "'qty'",
            id="slip-in-an-expression",
        ),
        pytest.param(
            "update_columns: [seen]",
            "4:18: column seen is not loaded from the source",
            "set it by an expression",
            id="column-that-does-not-come-in",
        ),
        pytest.param(
            "update_columns: {seen: excluded.seen}",
            "4:24: the source loads no column 'seen'",
            "there are: id, name, qty",
            id="excluded-column-that-does-not-come-in",
        ),
        pytest.param(
            "where: target.seen < excluded.seen",
            "4:8: the source loads no column 'seen'",
            "",
            id="guard-likewise",
        ),
        pytest.param(
            "where: target.nmae = 'x'", "4:8: shop.orders has no column 'nmae'", "'name'", id="slip-in-guard"
        ),
        pytest.param(
            "duplicates: {keep: max, by: seen}",
            "4:13: the source loads no column 'seen'",
            "",
            id="duplicates-by",
        ),
        pytest.param(
            "returning: {columns: [id, nmae], to: out.csv}",
            "4:27: shop.orders has no column 'nmae'",
            "'name'",
            id="returning",
        ),
    ],
)
def test_what_is_not_there_is_named(spec: str, message: str, hint: str):
    (error,) = complaints(f"{KEYS}{spec}", ORDERS, FIELDS)

    assert f"{error.location.line}:{error.location.column}: {error.message}" == message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("spec", "table", "message"),
    [
        pytest.param(
            "update_columns: [name, {total: target.qty * 2}]",
            a_table("id", "name", "qty integer", TOTAL, indexes=BY_ID),
            "4:32: column total of shop.orders is generated and can't be updated",
            id="generated",
        ),
        pytest.param(
            'mode: update\nupdate_columns: ["*"]',
            a_table("id", "name", a_column("qty integer", identity="always")),
            "5:18: column qty of shop.orders is GENERATED ALWAYS AS IDENTITY and can't be updated",
            id="identity-among-all",
        ),
    ],
)
def test_columns_that_the_server_fills_can_not_be_set(spec: str, table: TableFacts, message: str):
    (error,) = complaints(f"{KEYS}{spec}", table, FIELDS)

    assert f"{error.location.line}:{error.location.column}: {error.message}" == message


def test_columns_that_the_server_fills_can_be_kept():
    table = a_table("id", "name", a_column("qty integer", identity="always"), TOTAL)
    spec = 'mode: update\nupdate_columns: ["*", {qty: keep, total: keep}]'

    assert assignments(spec, table) == ["name"]
