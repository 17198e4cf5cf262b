"""Which types are tried for a column, and which texts look like them; tests/pg/test_create.py asks a server."""

from __future__ import annotations

import re

import pytest

from syncengine.execute.infer import candidates
from syncengine.sql.inference import PATTERNS


@pytest.mark.parametrize(
    ("kinds", "first"),
    [
        pytest.param(None, "boolean", id="texts-can-be-anything"),
        pytest.param({"boolean"}, "boolean", id="booleans"),
        pytest.param({"number"}, "bigint", id="numbers"),
        pytest.param({"float"}, "double precision", id="floats"),
        pytest.param({"json"}, "jsonb", id="structures"),
        pytest.param({"bytes"}, "bytea", id="bytes"),
        pytest.param({"text"}, "uuid", id="texts-of-a-typed-source-are-no-numbers"),
        pytest.param({"other"}, "uuid", id="dates-and-the-like"),
        pytest.param({"number", "text"}, None, id="mixed-kinds-stay-text"),
        pytest.param(set(), None, id="no-value"),
    ],
)
def test_types_to_try(kinds: set[str] | None, first: str | None):
    found = candidates(None if kinds is None else frozenset(kinds))

    assert next(iter(found), None) == first
    assert set(found) <= PATTERNS.keys()


def fitting(text: str) -> str:
    """Return the first type for texts whose pattern takes this one; in PostgreSQL `$` is the very end."""
    return next(
        (name for name in candidates(None) if re.search(PATTERNS[name].replace("$", r"\Z"), text)), "text"
    )


@pytest.mark.parametrize(
    ("text", "type_name"),
    [
        ("true", "boolean"),
        ("t", "text"),
        ("yes", "text"),
        ("0", "bigint"),
        ("-12", "bigint"),
        ("007", "text"),
        ("+49", "text"),
        ("-0", "bigint"),
        ("999999999999999999", "bigint"),
        ("9999999999999999999", "numeric"),
        ("1.50", "numeric"),
        ("1e5", "numeric"),
        ("01.5", "text"),
        (".5", "text"),
        ("1,5", "text"),
        ("١٢", "text"),
        ("1\n", "text"),
        ("2024-02-29", "date"),
        ("2024-13-01", "text"),
        ("29.02.2024", "text"),
        ("20240229", "bigint"),
        ("2024-02-29 12:00", "timestamp"),
        ("2024-02-29T12:00:00.123456", "timestamp"),
        ("2024-02-29T12:00:00Z", "timestamp with time zone"),
        ("2024-02-29 12:00:00+0530", "timestamp with time zone"),
        ("00000000-0000-0000-0000-000000000001", "uuid"),
        ("", "text"),
        ("abc", "text"),
        ("NaN", "text"),
    ],
)
def test_texts_look_like_a_type(text: str, type_name: str):
    assert fitting(text) == type_name
