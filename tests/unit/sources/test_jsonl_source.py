"""The source jsonl: fields, values that keep their digits, and errors with their line."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from syncengine.errors import BadRow, SourceError, SyncError
from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.protocols import Source, Whereabouts
from syncengine.sources import jsonl


def a_source(
    folder: Path, data: str | bytes, name: str = "x.jsonl", expected: tuple[str, ...] = ()
) -> Source:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    where = Whereabouts(folder=str(folder), roots=(), expected=expected)
    return jsonl.PLUGIN.open_source(SourceSpec(type="jsonl", options={"path": name}), where)


def rows_of(source: Source) -> list[tuple[object, ...]]:
    with source.open(Handover.ROWS) as rows:
        return list(rows)


def test_fields_are_the_keys_of_all_records_and_missing_ones_are_null(tmp_path):
    source = a_source(tmp_path, '{"a": 1}\n\n{"b": "x", "a": null}\r\n')

    facts = source.describe()

    assert (facts.fields, facts.rows, facts.exact) == (("a", "b"), 2, True)
    assert rows_of(source) == [(1, None), (None, "x")]


def test_expected_fields_count_among_the_fields(tmp_path):
    assert a_source(tmp_path, '{"a": 1}', expected=("b", "a")).describe().fields == ("a", "b")


def test_values_keep_their_digits_and_shape(tmp_path):
    (row,) = rows_of(a_source(tmp_path, '{"a": 1.10, "b": [1e400, {"c": 12345678901234567890}], "d": true}'))

    assert repr(row) == "(Decimal('1.10'), [Decimal('1E+400'), {'c': 12345678901234567890}], True)"


@pytest.mark.parametrize("name", ["x.json", "x.ndjson.gz"])
def test_byte_order_mark_and_compression_are_taken_off(tmp_path, name):
    data = '\ufeff{"a": "é"}'.encode()

    assert rows_of(a_source(tmp_path, gzip.compress(data) if name.endswith("gz") else data, name)) == [("é",)]


def test_empty_file_has_no_rows(tmp_path):
    facts = a_source(tmp_path, "", expected=("a",)).describe()

    assert (facts.fields, facts.rows, facts.exact) == (("a",), 0, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1', "not valid JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": [-Infinity]}', "-Infinity is not JSON"),
        ("[1]", "the line holds an array, expected was one object"),
        ("null", "the line holds null"),
        ('{"a": 1, "a": 2}', 'the key "a" comes twice'),
        ('{"a": {"b": 1, "b": 1}}', 'the key "b" comes twice'),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"a": "x\\u0000"}', 'the field "a" holds a NUL character'),
        ('{"a": ' + "9" * 5000 + "}", "a number has 5000 digits"),
        ('{"a": 1e99999999999999999999}', "exponent is out of range"),
        ('{"a": ' + "[" * 100_000 + "}", "nested too deeply"),
        ('{"a": 1} {"a": 2}', "not valid JSON: Extra data"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_line_is_named_and_shown_shortened(tmp_path, line, message):
    line = line if isinstance(line, bytes) else line.encode()

    with pytest.raises(BadRow, match=message) as caught:
        rows_of(a_source(tmp_path, b'{"a": 1}\n\n' + line + b"\n"))

    assert str(caught.value.location) == "x.jsonl:3"
    assert len(caught.value.detail) < 110


def test_pair_of_surrogates_is_one_character(tmp_path):
    assert rows_of(a_source(tmp_path, '{"a": "\\ud83d\\ude00"}')) == [("😀",)]


@pytest.mark.parametrize("data", ['[{"a": 1}]', '\n [\n{"a": 1}\n]'])
def test_array_is_refused_with_the_way_out(tmp_path, data):
    with pytest.raises(SourceError, match="holds a JSON array") as caught:
        a_source(tmp_path, data, "x.json").describe()
    assert "JSON Lines" in caught.value.detail


def test_utf16_is_recognised(tmp_path):
    with pytest.raises(SyncError, match="UTF-16"):
        a_source(tmp_path, '{"a": 1}\n'.encode("utf-16")).describe()


def test_late_field_is_an_error_unless_the_spec_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "SAMPLE_RECORDS", 10)
    monkeypatch.setattr(jsonl, "SAMPLE_BYTES", 10)
    data = '{"a": 1}\n' * 20 + '{"a": 1, "b": 2}\n'

    with pytest.raises(SourceError, match=r'x\.jsonl:21: the field "b" turns up'):
        rows_of(a_source(tmp_path, data))
    source = a_source(tmp_path, data, expected=("b",))
    assert not source.describe().exact
    assert rows_of(source)[-1] == (1, 2)


def test_locate_counts_blank_lines(tmp_path):
    with a_source(tmp_path, '{"a": 1}\n\n{"a": 2}\n').open(Handover.ROWS) as rows:
        assert rows.locate(2) == "x.jsonl:3"


def test_numbers_of_all_kinds_are_int_or_decimal(tmp_path):
    (row,) = rows_of(a_source(tmp_path, '{"a": -0.0, "b": 5}'))

    assert row == (Decimal("-0.0"), 5)
    assert type(row[0]) is Decimal
