"""Where a server's error about a row points to."""

from __future__ import annotations

import pytest

from syncengine.errors import Location
from syncengine.execute.blame import copy_line, place


@pytest.mark.parametrize(
    ("context", "line"),
    [
        pytest.param('COPY stage_1a, line 3, column qty: "x"', 3, id="column"),
        pytest.param("COPY stage_1a, line 12", 12, id="line"),
        pytest.param('COPY stage_1a, line 7: "a,b"', 7, id="whole-line"),
        pytest.param("COPY stage_1a, ligne 4, colonne qty : « x »", 4, id="french"),
        pytest.param("COPY stage_1a, Zeile 2, Spalte qty: »1, 9«", 2, id="german"),
        pytest.param("COPY stage_1a, 5 行, qty 列", 5, id="number-first"),
        pytest.param(
            'PL/pgSQL function f(integer) line 99 at RAISE\nCOPY orders, line 6, column qty: "x"',
            6,
            id="in-a-trigger",
        ),
        pytest.param('SQL statement "SELECT 1"', None, id="no-copy"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_line_of_a_copy(context: str, line: int | None):
    assert copy_line(context) == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("users.csv:3", Location("users.csv", 3)),
        ("C:/data/users.csv:30", Location("C:/data/users.csv", 30)),
        ("row 7", Location("row 7")),
        ("a:b", Location("a:b")),
        ("-:2", Location("-", 2)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_place(text: str, expected: Location):
    assert place(text) == expected
