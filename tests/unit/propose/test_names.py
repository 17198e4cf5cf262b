"""Names of tables and columns are SQL names: short enough, unlike one another, and their own where they are already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.propose.names import column_names, sql_name, table_name
from syncengine.spec.names import identifier
from syncengine.sql.names import SYSTEM_COLUMNS


@pytest.mark.parametrize(
    ("field", "name"),
    [
        pytest.param("email", "email", id="as-it-is"),
        pytest.param("E-Mail", "e_mail", id="capitals-and-hyphen"),
        pytest.param("  Order No. ", "order_no", id="spaces-and-dots"),
        pytest.param("Größe", "größe", id="umlaut"),
        pytest.param("Gro\u0308ße", "größe", id="umlaut-of-two-parts"),
        pytest.param("名字", "名字", id="chinese"),
        pytest.param("2024", "_2024", id="digits-first"),
        pytest.param("select", "select", id="reserved-word"),
        pytest.param('a "b"', "a_b", id="quotes"),
        pytest.param("line\nbreak", "line_break", id="line-break"),
        pytest.param("__a__", "a", id="underscores"),
        pytest.param("🦆", "", id="no-letter"),
    ],
)
def test_field_becomes_a_name_that_needs_no_quotes(field: str, name: str):
    assert sql_name(field) == name


def test_name_that_is_one_already_is_kept_whatever_comes_before_it():
    assert column_names(["User ID", "user_id"]) == ("user_id_2", "user_id")


@given(st.lists(st.text(), unique=True, max_size=8))
def test_columns_can_all_be_created(fields: list[str]):
    names = column_names(fields)

    assert len(set(names)) == len(fields)
    assert not SYSTEM_COLUMNS.intersection(names)
    assert [identifier(name) for name in names] == list(names)
    assert all(0 < len(name.encode()) <= 63 for name in names)


@pytest.mark.parametrize(
    ("file", "table"),
    [
        ("users.csv", "users"),
        ("Users-2026.csv.gz", "users_2026"),
        ("a.b.jsonl", "a_b"),
        ("order.tsv.zst", "order"),
        ("x" * 80 + ".csv", "x" * 63),
        ("…csv", "csv"),
    ],
)
def test_table_is_called_like_the_file(file: str, table: str):
    assert table_name(file) == table
