"""What a plan says of casts that may lose something; the columns are those of a table, the types as written."""

from __future__ import annotations

import pytest

from syncengine.lossy import lossy_casts
from tests.builders import a_column, a_table, a_task


def said(column: str, spec: str = "", **facts: object) -> list[str]:
    """Return what is said of one column x, without its name."""
    found = a_column(f"x {column}", input_type=column, **facts)
    text = f"conflict_keys: [id]\nmode: update\n{spec}"
    sentences = lossy_casts(a_task(text, a_table("id bigint", found)))
    return [sentence.removeprefix("column x is ") for sentence in sentences]


@pytest.mark.parametrize(
    "column", ["bigint", "numeric(12,2)", "double precision", "text", "timestamp", "jsonb", "varchar(5)"]
)
def test_nothing_is_said_of_what_is_checked_or_whole(column: str):
    assert said(column, rounds="(" in column) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("real", "more than 6 digits"),
        ("real[]", "more than 6 digits"),
        ("money", "lc_monetary"),
        ("ext.vector", "6 digits"),
    ],
)
def test_types_that_round_by_themselves_are_named(column: str, words: str):
    (sentence,) = said(column)

    assert words in sentence


def test_a_composite_that_rounds_within_is_named():
    assert said("pair", rounds_inside=True) == ["pair: what its parts can't hold is rounded"]


@pytest.mark.parametrize(
    ("column", "rounds", "sentences"), [("numeric(12,2)", True, 1), ("numeric", False, 0)]
)
def test_a_computed_column_is_rounded_on_purpose_but_named(column: str, rounds: bool, sentences: int):
    spec = "columns: {x: {expression: source.x::numeric / 3}}"

    assert len(said(column, spec, rounds=rounds)) == sentences


@pytest.mark.parametrize(
    ("stated", "column", "is_named"),
    [
        pytest.param("int", "bigint", False, id="wider"),
        pytest.param("bigint", "int", False, id="too-large-is-an-error"),
        pytest.param("numeric", "text", False, id="text-holds-all"),
        pytest.param("date", "timestamptz", False, id="midnight"),
        pytest.param("numeric", "bigint", False, id="checked"),
        pytest.param("interval", "time", True, id="days-are-dropped"),
        pytest.param("double precision", "real", True, id="digits"),
        pytest.param("text", "timestamp", True, id="text-is-not-looked-at"),
    ],
)
def test_a_stated_type_is_named_where_its_cast_may_lose(stated: str, column: str, is_named: bool):
    spec = f"columns: {{x: {{type: {stated}}}}}"
    task = a_task(
        f"conflict_keys: [id]\nmode: update\n{spec}",
        a_table("id bigint", a_column(f"x {CANONICAL.get(column, column)}")),
        declared={
            "x": a_column(f"x {CANONICAL.get(stated, stated)}", input_type=CANONICAL.get(stated, stated))
        },
    )

    assert any("is read as" in sentence for sentence in lossy_casts(task)) is is_named


CANONICAL = {
    "int": "integer",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
}
