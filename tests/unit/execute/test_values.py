"""Python values as the texts that PostgreSQL reads; tests/pg asks the server what it makes of them."""

from __future__ import annotations

import datetime as dt
import enum
import json as std_json
import uuid
from collections import OrderedDict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.execute import values
from syncengine.model.badrows import NoText

TZ = dt.timezone(dt.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("a\\b\n\t", "a\\b\n\t"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(10**30), "-1" + "0" * 30),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        (0.1 + 0.2, "0.30000000000000004"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E-7"), "1E-7"),
        (b"\x00\xff", "\\x00ff"),
        (bytearray(b"a"), "\\x61"),
        (memoryview(b"a"), "\\x61"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.time(1, 2, 3, 4), "01:02:03.000004"),
        (dt.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05"),
        (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=TZ), "2024-01-02T03:04:05+05:30"),
        (dt.timedelta(days=-1, seconds=1, microseconds=2), "-1 days 1 seconds 2 microseconds"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ((1, "x"), '[1, "x"]'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_text(value: object, text: str | None):
    assert values.plain(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2, "2"),
        (Decimal("1.10"), "1.10"),
        ('ä"\\\n\u0001', '"ä\\"\\\\\\n\\u0001"'),
        ([], "[]"),
        ({}, "{}"),
        (OrderedDict([(2, "b"), ("a", {"c": ()})]), '{"2": "b", "a": {"c": []}}'),
        (dt.date(2024, 1, 1), '"2024-01-01"'),
        (b"\x01", '"\\\\x01"'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_json(value: object, text: str):
    assert values.json(value) == text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({True: 1, None: 2, 1.5: 3}, '{"true": 1, "null": 2, "1.5": 3}'),
        ({b"a": 1, dt.date(2024, 1, 1): 2}, '{"\\\\x61": 1, "2024-01-01": 2}'),
    ],
)
def test_keys_that_are_no_texts_are_written_as_values_are(keys: object, text: str):
    assert values.json(keys) == text


@pytest.mark.parametrize("keys", [{1: "a", "1": "b"}, {"x": {True: 1, "true": 2}}, [{None: 1, "null": 2}]])
def test_keys_that_json_can_not_tell_apart_are_refused(keys: object):
    with pytest.raises(NoText, match="two keys of a map"):
        values.json(keys)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_what_other_readers_read(value: object):
    assert std_json.loads(values.json(value)) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        pytest.param("json", '{"a": 1}', '{"a": 1}', id="a-text-is-json-already-in-files-of-text"),
        pytest.param("json value", "a", '"a"', id="a-text-is-a-string-in-files-of-json"),
        pytest.param("json", [1], "[1]", id="list"),
        pytest.param("json value", None, None, id="none-is-sql-null"),
        pytest.param("json", None, None, id="none-is-sql-null-in-text"),
        pytest.param("array", "{1,2}", "{1,2}", id="a-text-is-an-array-already"),
        pytest.param("array", [], "{}", id="empty-array"),
        pytest.param("array", [None, "NULL", "", 'a"\\,{}'], '{NULL,"NULL","","a\\"\\\\,{}"}', id="elements"),
        pytest.param("array", ((1, 2), (3, 4)), '{{"1","2"},{"3","4"}}', id="two-dimensions"),
        pytest.param(
            "array", [True, b"\x01", {"a": 1}], '{"true","\\\\x01","{\\"a\\": 1}"}', id="mixed-elements"
        ),
        pytest.param("array", None, None, id="no-array"),
        pytest.param(
            "json array",
            [{"a": 1}, [1, "b"], '"c"', None],
            '{"{\\"a\\": 1}","[1, \\"b\\"]","\\"c\\"",NULL}',
            id="json-items",
        ),
        pytest.param("json value array", ["c", 1], '{"\\"c\\"","1"}', id="items-of-a-json-file"),
        pytest.param("json array", "{}", "{}", id="a-text-is-an-array-of-json-already"),
    ],
)
def test_text_for_a_column_of_its_kind(kind: values.Kind, value: object, text: str | None):
    assert values.to_text(kind)(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e16, "10000000000000000"),
        (Decimal("2E+2"), "200"),
        (Decimal("1.0"), "1"),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        (Decimal("1E+999999"), "1E+999999"),
        (float("nan"), "nan"),
        (Decimal("NaN"), "NaN"),
        (True, "true"),
        ("1.0", "1.0"),
        (None, None),
    ],
)
def test_whole_numbers_for_integer_columns_lose_their_point(value: object, text: str | None):
    assert values.to_text("plain", ["integer", "bigint"])(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1.0, None, Decimal("2.00"), 3], '{"1",NULL,"2","3"}'),
        ([[1.0], [1.5]], '{{"1"},{"1.5"}}'),
        ("{1}", "{1}"),
    ],
)
def test_whole_numbers_in_arrays_of_integers_lose_it_too(value: object, text: str):
    assert values.to_text("array", ["integer[]"])(value) == text
    assert values.to_text("array", ["integer[]", "text[]"])(value) == values.for_array(value)


@pytest.mark.parametrize("reads", [["text"], ["character varying(5)"], ["integer", "character(3)"]])
def test_bytes_are_refused_by_columns_of_text(reads: list[str]):
    with pytest.raises(NoText):
        values.to_text("plain", reads)(b"a")


@pytest.mark.parametrize(
    "member", [enum.StrEnum("Colour", {"RED": "red"}).RED, enum.Enum("Colour", {"RED": "red"}).RED]
)
def test_the_text_of_an_enumeration_is_its_value(member: object):
    text = values.plain(member)

    assert (text, type(text)) == ("red", str)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "boolean"),
        (1, "number"),
        (1.0, "float"),
        (Decimal(1), "number"),
        ({}, "json"),
        ([], "json"),
        (b"", "bytes"),
        ("1", "text"),
        (dt.date(2024, 1, 1), "other"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_kind_of_a_value_for_inference(value: object, kind: str):
    assert values.kind_of(value) == kind
