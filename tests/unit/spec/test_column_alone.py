"""Conflict keys that are a plain column's name are known without the grammar, and as the grammar has them."""

from __future__ import annotations

import time

import pytest

from syncengine.errors import Location, SpecError
from syncengine.spec import expressions
from syncengine.spec.names import column_alone, identifier
from syncengine.values import replace

HERE = Location("spec.yaml", 1, 1)
# A name with spaces around it goes to the grammar.
COLUMNS = [
    "id",
    "Id",
    "_x$1",
    "name",
    "values",
    "coalesce",
    "interval",
    "row",
    "key",
    "type",
    "year",
    "position",
]


@pytest.mark.parametrize("text", COLUMNS)
def test_a_plain_name_is_the_column_that_the_grammar_reads(text: str) -> None:
    quick = expressions.parse(text, location=HERE, allowed=frozenset())
    slow = expressions.parse(f" {text}", location=HERE, allowed=frozenset())

    assert column_alone(text)
    assert quick == replace(slow, text=text)


@pytest.mark.parametrize(
    "text", ["lower(id)", "a.b", '"a"', "a b", "1a", "", "ä", "x" * 64, "null", "USER", "left"]
)
def test_anything_else_is_left_to_the_grammar(text: str) -> None:
    assert column_alone(text) is None


@pytest.mark.parametrize("letter", ["ж", "数", "é", "_", "a"])
def test_a_long_text_that_is_no_name_is_told_at_once(letter: str) -> None:
    began = time.perf_counter()

    assert identifier(letter * 60 + " 1") is None
    assert identifier(letter * 60) == letter * 60
    assert time.perf_counter() - began < 1


def test_a_reserved_word_is_still_no_column() -> None:
    with pytest.raises(SpecError):
        expressions.parse("select", location=HERE, allowed=frozenset())
