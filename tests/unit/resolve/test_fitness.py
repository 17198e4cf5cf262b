"""Tables and servers that can't take the rows, and rights that the role lacks, each with its remedy."""

from __future__ import annotations

import pytest

from syncengine.errors import MissingPrivilege, TargetError
from syncengine.model.facts import ServerFacts, TableFacts, TriggerFacts
from tests.builders import a_column, a_server, a_table, a_task, an_index, complaints

COLUMNS = ("id integer", "Name", "qty integer")
BY_ID = (an_index("id"),)
KEYS = "source: rows.csv\ntarget: shop.orders\nconflict_keys: [id]\n"
INSTEAD = (TriggerFacts(name="t", timing="INSTEAD OF", events=("INSERT", "UPDATE")),)


def orders(**facts: object) -> TableFacts:
    return a_table(*COLUMNS, **{"indexes": BY_ID, **facts})


def view(**facts: object) -> TableFacts:
    return orders(relation="view", kind_text="view", **facts)


@pytest.mark.parametrize(
    ("table", "found", "message", "hint"),
    [
        pytest.param(
            orders(),
            a_server(in_recovery=True),
            "the server is a hot standby, so shop.orders can't be written",
            "connect to the primary",
            id="standby",
        ),
        pytest.param(
            orders(),
            a_server(read_only=True),
            "the server only allows reading, so shop.orders can't be written",
            "SET default_transaction_read_only = off;",
            id="read-only",
        ),
        pytest.param(
            a_table(exists=False, schema="Shop", schema_usage=False),
            a_server(role="the loader"),
            "the loader may not look into schema Shop",
            'GRANT USAGE ON SCHEMA "Shop" TO "the loader";',
            id="no-usage-of-the-schema",
        ),
        pytest.param(
            a_table(exists=False, schema="Shop", schema_exists=False),
            a_server(),
            "schema Shop does not exist",
            'CREATE SCHEMA "Shop";',
            id="no-schema",
        ),
        pytest.param(
            a_table(exists=False),
            a_server(),
            "table shop.orders does not exist",
            "`target: {table: shop.orders, create: true}`",
            id="no-table",
        ),
        pytest.param(
            orders(relation="other", kind_text="sequence"),
            a_server(),
            "shop.orders is a sequence, which takes no rows",
            "",
            id="sequence",
        ),
        pytest.param(
            orders(rules=("Log it",)),
            a_server(),
            "shop.orders has rewrite rules (Log it), which COPY passes by and which change what is written",
            'DROP RULE "Log it" ON shop.orders;',
            id="rule",
        ),
        pytest.param(
            orders(row_security=True),
            a_server(role="the loader"),
            "row-level security of shop.orders applies to the loader, which may not see every row it would change",
            'ALTER ROLE "the loader" BYPASSRLS;',
            id="row-level-security",
        ),
        pytest.param(
            view(insertable=False),
            a_server(),
            "shop.orders is a view that can't be inserted into",
            "sync its base table",
            id="view-without-inserts",
        ),
        pytest.param(
            view(updatable=False),
            a_server(),
            "shop.orders is a view that can't be updated",
            "sync its base table",
            id="view-without-updates",
        ),
    ],
)
def test_what_takes_no_rows_is_refused(table: TableFacts, found: ServerFacts, message: str, hint: str):
    (error,) = complaints(KEYS, table, None, found)

    assert (error.message, error.location.line) == (message, 2)
    assert isinstance(error, TargetError)
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("spec", "table"),
    [
        pytest.param("mode: update", view(insertable=False), id="update-inserts-nothing"),
        pytest.param("mode: ignore", view(updatable=False), id="ignore-updates-nothing"),
        pytest.param(
            "mode: upsert",
            view(insertable=False, updatable=False, triggers=INSTEAD),
            id="instead-of-triggers",
        ),
    ],
)
def test_a_view_is_fine_where_it_takes_what_the_mode_writes(spec: str, table: TableFacts):
    assert a_task(f"{KEYS}{spec}", table).table is table


def test_a_schema_that_takes_no_new_table_is_refused():
    missing = a_table(exists=False, schema="Shop", privileges=frozenset())

    (error,) = complaints("target: {table: '\"Shop\".orders', create: true}\nconflict_keys: [id]", missing)

    assert isinstance(error, MissingPrivilege)
    assert error.hint == 'GRANT CREATE ON SCHEMA "Shop" TO loader;'


@pytest.mark.parametrize(
    ("spec", "rights"),
    [
        pytest.param("mode: insert", "INSERT", id="insert-reads-nothing"),
        pytest.param("mode: ignore", "SELECT INSERT", id="ignore-updates-nothing"),
        pytest.param("mode: update", "SELECT UPDATE", id="update-inserts-nothing"),
        pytest.param("mode: upsert\nupdate_columns: []", "SELECT INSERT", id="upsert-that-updates-nothing"),
    ],
)
def test_no_right_is_asked_for_that_is_not_needed(spec: str, rights: str):
    assert a_task(f"{KEYS}{spec}", orders(privileges=frozenset(rights.split())))


@pytest.mark.parametrize(
    ("spec", "rights", "grants"),
    [
        pytest.param("mode: insert", "", ["INSERT ON"], id="insert"),
        pytest.param("", "INSERT", ["SELECT ON", 'UPDATE ("Name", qty) ON'], id="upsert"),
        pytest.param("mode: ignore", "INSERT", ["SELECT ON"], id="ignore-compares-what-it-loads"),
        pytest.param(
            "update_columns: [qty]", "SELECT INSERT", ["UPDATE (qty) ON"], id="only-what-is-updated"
        ),
        pytest.param(
            "update_columns: [qty]", "INSERT UPDATE", ["SELECT (id, qty) ON"], id="only-what-is-compared"
        ),
        pytest.param(
            "update_columns: [qty]\nwhere: target.name <> 'x'",
            "INSERT UPDATE",
            ["SELECT ON"],
            id="and-what-the-guard-reads",
        ),
        pytest.param(
            "update_columns: {qty: target.id}",
            "INSERT",
            ["SELECT (id, qty) ON", "UPDATE (qty) ON"],
            id="both",
        ),
        pytest.param(
            "mode: insert\nreturning: {columns: [name], to: out.csv}",
            "INSERT",
            ['SELECT ("Name") ON'],
            id="returned-columns-are-read",
        ),
    ],
)
def test_a_missing_right_comes_with_its_grant(spec: str, rights: str, grants: list[str]):
    errors = complaints(f"{KEYS}{spec}", orders(privileges=frozenset(rights.split())))

    assert [error.hint for error in errors] == [f"GRANT {what} shop.orders TO loader;" for what in grants]
    assert {type(error) for error in errors} == {MissingPrivilege}


def test_rights_to_single_columns_are_enough():
    columns = [a_column(name, privileges=frozenset({"SELECT", "INSERT"})) for name in ("id", "name")]
    qty = a_column("qty", privileges=frozenset({"SELECT", "INSERT", "UPDATE"}))
    table = a_table(*columns, qty, indexes=BY_ID, privileges=frozenset())

    assert a_task(f"{KEYS}update_columns: [qty]", table)


def test_rows_that_are_found_by_their_place_need_the_right_to_the_whole_table():
    columns = [
        a_column(name, privileges=frozenset({"SELECT", "INSERT", "UPDATE"})) for name in ("id", "name")
    ]
    table = a_table(*columns, indexes=(an_index("lower(name)"),), privileges=frozenset())

    (error,) = complaints("conflict_keys: [lower(name)]", table)

    assert (error.detail, error.hint) == (None, "GRANT SELECT ON shop.orders TO loader;")


def test_rows_of_a_view_can_not_be_found_by_their_place():
    (error,) = complaints(
        "conflict_keys: [lower(name)]", view(indexes=()), infer_arbiter=lambda keys: BY_ID[0]
    )

    assert error.message == "shop.orders is a view, whose rows are found by plain key columns only"


def test_every_obstacle_is_told_at_once():
    table = orders(rules=("r",), row_security=True, privileges=frozenset())

    errors = complaints(f"{KEYS}update_columns: [nmae]", table)

    assert [error.location.line for error in errors] == [2, 2, 2, 2, 4]
