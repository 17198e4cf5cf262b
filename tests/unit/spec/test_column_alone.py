"""Conflict keys that are a plain column's name are known without the grammar, and as the grammar has them."""

from __future__ import annotations

import pytest

from syncengine.errors import Location, SpecError
from syncengine.spec import expressions
from syncengine.spec.names import column_alone
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


def test_a_reserved_word_is_still_no_column() -> None:
    with pytest.raises(SpecError):
        expressions.parse("select", location=HERE, allowed=frozenset())
