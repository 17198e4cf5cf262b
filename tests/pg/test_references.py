"""Foreign keys between tables as the catalog shows them: names, search path, partitions, missing tables."""

from __future__ import annotations

import pytest

from syncengine.catalog import references
from tests.servers import Database

SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, friend int REFERENCES shop.customers);
CREATE TABLE shop.orders (
    id int PRIMARY KEY,
    buyer int CONSTRAINT buyer_fkey REFERENCES shop.customers,
    payer int CONSTRAINT payer_fkey REFERENCES shop.customers
);
CREATE TABLE items (order_id int CONSTRAINT order_fkey REFERENCES shop.orders)"""


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


def keys(db: Database, *names: str) -> list[tuple[str, str, str]]:
    """Return (child, parent, constraint) between tables, named `schema.table` or `table`."""
    tables = [(schema or None, table) for schema, _, table in (name.rpartition(".") for name in names)]
    found = references(db.conn, tables)
    return [(names[child], names[parent], constraint) for child, parent, constraint in found.keys]


def test_keys_between_the_tables_and_no_others(db: Database):
    db.execute(SHOP)

    assert keys(db, "items", "shop.orders", "shop.customers") == [
        ("items", "shop.orders", "order_fkey"),
        ("shop.orders", "shop.customers", "buyer_fkey"),
        ("shop.orders", "shop.customers", "payer_fkey"),
    ]
    assert keys(db, "items", "shop.customers") == []
    assert keys(db, "shop.customers") == []


def test_tables_are_found_as_sql_finds_them(db: Database):
    db.execute(SHOP + "; CREATE TABLE public.customers (id int)")
    db.execute("SET search_path = shop, public")

    found = references(
        db.conn, [(None, "customers"), ("shop", "customers"), ("public", "customers"), (None, "gone")]
    )

    plain, qualified, other, gone = found.tables
    assert (plain == qualified, plain == other, gone) == (True, False, ("shop", "gone"))
    assert keys(db, "orders", "customers")[0] == ("orders", "customers", "buyer_fkey")
    db.execute("RESET search_path")


def test_missing_tables_with_one_name_are_one_table(db: Database):
    first, second, other = references(db.conn, [(None, "t"), ("public", "t"), ("elsewhere", "t")]).tables

    assert (first == second, first == other) == (True, False)


def test_a_table_stands_for_its_partitions_and_constraints_have_their_own_names(db: Database):
    db.execute("""
        CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (10);
        CREATE TABLE child (id int CONSTRAINT whole_fkey REFERENCES parent) PARTITION BY RANGE (id);
        CREATE TABLE child_1 PARTITION OF child FOR VALUES FROM (0) TO (10);
        CREATE TABLE solo (id int) PARTITION BY RANGE (id);
        CREATE TABLE solo_1 PARTITION OF solo FOR VALUES FROM (0) TO (10);
        ALTER TABLE solo_1 ADD CONSTRAINT part_fkey FOREIGN KEY (id) REFERENCES parent""")

    assert keys(db, "child", "parent") == [("child", "parent", "whole_fkey")]
    assert keys(db, "child_1", "parent") == [("child_1", "parent", "whole_fkey")]
    assert keys(db, "child", "parent_1") == [("child", "parent_1", "whole_fkey")]
    assert keys(db, "solo", "parent") == [("solo", "parent", "part_fkey")]


def test_nobody_needs_rights_on_the_tables(db: Database):
    db.execute(SHOP)
    db.execute(
        "REVOKE ALL ON SCHEMA shop FROM PUBLIC; DROP ROLE IF EXISTS nobody_much; CREATE ROLE nobody_much"
    )
    db.execute("SET ROLE nobody_much")

    assert len(keys(db, "items", "shop.orders", "shop.customers")) == 3
    db.execute("RESET ROLE; DROP ROLE nobody_much")
