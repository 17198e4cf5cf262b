"""The filter of columnar sources: what can be written, what it chooses, and what is refused."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from syncengine.errors import SpecError
from syncengine.sources._filter import parse
from syncengine.sources._tables import condition

ROWS = pa.record_batch(
    {
        "n": [1, 2, 3, None],
        "word": pa.array(["a", "it's", None, "b"]).dictionary_encode(),
        "odd name": [1.5, 2.5, None, 4.0],
        "day": pa.array([0, 1, 2, 3], pa.int32()).cast(pa.date32()),
        "ok": [True, False, None, True],
        "and": [1, 1, 2, 2],
    }
)

CHOSEN: dict[str, list[int]] = {
    "n = 1": [0],
    "n <> 1": [1, 2],
    "n != 1 AND n <= 2": [1],
    "n < 2 OR n > 2": [0, 2],
    "NOT n = 1": [1, 2],
    "n IN (1, 3)": [0, 2],
    "n not in (1, 3)": [1],
    "n IS NULL": [3],
    "n is not null and (word = 'a' or word is null)": [0, 2],
    "word = 'it''s'": [1],
    '"odd name" >= 2.5': [1, 3],
    "day >= '1970-01-03'": [2, 3],
    "ok = true": [0, 3],
    "n = 1 OR n = 2 AND ok = true": [0],
    '"and" = 2': [2, 3],
    "n = -1": [],
}


@pytest.mark.parametrize(("text", "places"), CHOSEN.items(), ids=CHOSEN)
def test_filter_chooses_rows_as_sql_does(text: str, places: list[int]):
    numbered = ROWS.append_column("place", pa.array(range(4)))

    found = numbered.filter(condition(parse(text), ROWS.schema))

    assert found["place"].to_pylist() == places


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`filter` has the end where a field was expected"),
        ("n", "`filter` has the end where =, <>"),
        ("n = ", "where a 'text', a number, true or false was expected"),
        ("n = n", "`filter` has `n`"),
        ("n = 'a", "`filter` has `'`"),
        ("n = 1; DROP TABLE t", "`filter` has `;` where the end was expected"),
        ("lower(word) = 'a'", "`filter` has `(`"),
        ("(n = 1", "where ) after ( was expected"),
        ("n IN 1", "where ( after IN was expected"),
        ("n IS 1", "where NULL after IS was expected"),
        ("n = 1 n = 2", "where the end was expected"),
    ],
)
def test_what_is_no_filter_is_refused_at_its_word(text: str, message: str):
    with pytest.raises(SpecError) as failure:
        parse(text)

    assert message in failure.value.message
    assert failure.value.hint


@pytest.mark.parametrize(
    "text", ["n = 'a'", "n = '1'", "n = true", "n = 1.5", "word = 1", "day = 'soon'", "ok = 1"]
)
def test_a_literal_of_another_type_is_refused(text: str):
    with pytest.raises(SpecError, match="`filter` compares the field"):
        condition(parse(text), ROWS.schema)


def test_a_field_may_hold_any_word(tmp_path: Any):
    assert parse('"a ""b""" = 1').field == 'a "b"'
