"""The quick check of shapes: what it lets through, jsonschema lets through as well."""

from __future__ import annotations

import sys
from subprocess import check_output
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from syncengine.spec.schema import json_schema, project_schema, source_schema, spec_schema
from syncengine.spec.sound import sound

SCHEMAS = [spec_schema(), project_schema(), json_schema(), source_schema("csv"), source_schema("parquet")]
KEYS = sorted({key for schema in SCHEMAS for key in schema["properties"]})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2)
    | st.sampled_from(["", "5s", "5%", "upsert", "error", "a.csv", "csv", "*", "x\n"])
)
WORDS = st.sampled_from(
    [*KEYS, "field", "type", "by", "keep", "soft", "path", "max", "to", "sql", "table", "match"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
SPECS = st.fixed_dictionaries(
    {"source": st.just("a.csv") | VALUES, "target": st.just("t") | VALUES},
    optional={key: VALUES for key in KEYS if key not in ("source", "target")},
) | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2)


@given(value=SPECS, number=st.integers(0, len(SCHEMAS) - 1))
def test_what_is_sound_fits_the_schema(value: object, number: int) -> None:
    if sound(value, SCHEMAS[number]):
        assert list(Draft202012Validator(SCHEMAS[number]).iter_errors(value)) == []


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        pytest.param(1, {"type": "integer", "multipleOf": 2}, id="unknown-keyword"),
        pytest.param(True, {"type": "integer"}, id="true-is-no-number"),
        pytest.param("x", {"$ref": "https://example.org/schema"}, id="other-schema"),
        pytest.param(True, {"enum": [1]}, id="true-is-not-1"),
        pytest.param(["a", "a"], {"uniqueItems": True}, id="twice"),
        pytest.param({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, id="unknown-key"),
        pytest.param({}, {"required": ["a"]}, id="missing"),
        pytest.param(0, {"minimum": 1}, id="too-small"),
        pytest.param("5", {"pattern": "%$"}, id="pattern"),
        pytest.param(1, {"anyOf": [{"type": "string"}, False]}, id="no-branch"),
        pytest.param("", {"minLength": 1}, id="too-short"),
        pytest.param([1, 2], {"maxItems": 1}, id="too-many"),
    ],
)
def test_what_does_not_fit_or_cannot_be_told_is_not_sound(value: object, schema: dict[str, Any]) -> None:
    assert not sound(value, schema)


def test_a_plain_spec_is_loaded_without_what_words_problems_and_reads_sql() -> None:
    program = (
        "import sys\nfrom syncengine import load\n"
        "load(['/dev/stdin'])\n"
        "print(sorted({'jsonschema', 'postgast', 'pyarrow', 'asyncio'} & set(sys.modules)))"
    )
    spec = (
        "{name: users, source: users.csv, target: public.users, conflict_keys: [id], limits: {min_rows: 1}}"
    )

    assert check_output([sys.executable, "-c", program], input=spec, text=True) == "[]\n"
