"""Rows as COPY text: many at once as one by one, and what is odd is left to that."""

from __future__ import annotations

import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncengine.execute.rowtext import RowText, line
from syncengine.execute.values import kind_of, to_text
from syncengine.model.steps import StagedColumn

KINDS = ("plain", "json", "json value", "array", "json array", "json value array")
READS = ((), ("integer",), ("text",), ("numeric(12,2)",), ("uuid",), ("integer[]",))


class Colour(StrEnum):
    RED = "red"


def one_by_one(rows: list[tuple[object, ...]], columns: list[StagedColumn]) -> bytes:
    writes = [to_text(column.kind, column.reads) for column in columns]
    return b"".join(line([write(value) for write, value in zip(writes, row, strict=True)]) for row in rows)


def at_once(rows, columns, *, of_json=False, kinds=None, unstaged=False):
    fields = [column.field for column in columns]
    return RowText(columns, fields, kinds, unstaged=unstaged, of_json=of_json).block(rows)


TEXTS = st.one_of(
    st.text(st.sampled_from("ab\\\"'\t\n\r\v\f\b,N. é😀\x1d\x1e\x1f\x7f"), max_size=5),
    st.sampled_from(["", "\\N", "\\."]),
)
OF_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), TEXTS
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
OF_PYTHON = st.one_of(
    OF_JSON,
    st.floats(),
    st.binary(max_size=3),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.sampled_from([Colour.RED, (1, 2), {"a": 1.5}, [float("nan")]]),
)
COLUMNS = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(READS)), min_size=1, max_size=3).map(
    lambda found: [
        StagedColumn(field=str(place), column=str(place), kind=kind, reads=reads)
        for place, (kind, reads) in enumerate(found)
    ]
)


@st.composite
def tables(draw, values):
    """Draw columns, and rows whose columns mostly hold values of few types."""
    columns = draw(COLUMNS)
    rows = draw(st.lists(st.tuples(*[values for _ in columns]), min_size=1, max_size=4))
    return columns, rows


@settings(max_examples=250, deadline=None)
@given(table=tables(OF_PYTHON), again=st.integers(1, 3))
def test_rows_at_once_are_what_they_are_one_by_one(table, again):
    columns, rows = table
    try:
        wanted = one_by_one(rows * again, columns)
    except Exception:
        wanted = None

    found = at_once(rows * again, columns)

    assert found in (wanted, None)


@settings(max_examples=250, deadline=None)
@given(table=tables(OF_JSON))
@example(
    table=([StagedColumn(field="0", column="0", kind="json value")], [({"a": [Decimal("1E+400"), {}, []]},)])
)
def test_values_of_json_at_once_are_what_they_are_one_by_one(table):
    columns, rows = table

    assert at_once(rows, columns, of_json=True) in (one_by_one(rows, columns), None)


USUAL = (
    (1, "x\ty\\\n", None, True, Decimal("1.10"), 1.5, UUID(int=1), datetime.date(2024, 1, 2)),
    (2, None, "", False, Decimal("1E+5"), None, None, datetime.date(2024, 1, 3)),
)


def test_usual_rows_are_done_at_once():
    columns = [StagedColumn(field=str(place), column=str(place)) for place in range(8)]

    assert at_once(USUAL, columns) == one_by_one([*USUAL], columns)


@pytest.mark.parametrize("text", ["\0", "\x1d", "\x1e", "\x1f", "\ud800"], ids=ascii)
def test_odd_characters_are_left_to_be_done_one_by_one(text):
    assert at_once([("a",), (text,), (None,)], [StagedColumn(field="a", column="a")]) is None


@pytest.mark.parametrize(
    ("type_name", "good", "bad"),
    [
        ("timestamp with time zone", "2024-01-01T00:00:00.123456+05:00", "2024-01-01 00:00:00.1234567+05"),
        ("timestamp without time zone", "2024-01-01 00:00:00", "January 8, 1999 UTC"),
        ("date", "2024-01-01T00:00", "2024-01-01T01:00"),
        ("character varying(3)", "abc", "abc "),
        ("numeric(12,2)", "1.10", "1.005\t"),
    ],
)
def test_texts_that_would_lose_something_are_left_to_be_told_of(type_name, good, bad):
    columns = [StagedColumn(field="a", column="a", reads=(type_name,))]

    assert at_once([(good,), (None,)], columns, unstaged=True) == line([good]) + line([None])
    assert at_once([(good,), (bad,)], columns, unstaged=True) is None


def test_kinds_are_those_of_all_values():
    values = (1, None, "a", 1.5, [1], b"x", Decimal(1), Colour.RED)
    kinds: dict[str, set[str]] = {"a": set()}

    at_once([(value,) for value in values], [StagedColumn(field="a", column="a")], kinds=kinds)

    assert kinds == {"a": {kind_of(value) for value in values if value is not None}}
