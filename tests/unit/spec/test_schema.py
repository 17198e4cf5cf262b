"""The published JSON Schema: valid, complete, closed, and explained for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncengine.spec.schema import json_schema, project_schema

SCHEMA = json_schema()
KEYS = (
    "version name description owner tags source target columns ignore_fields mode conflict_keys "
    "conflict_constraint conflict_where update_columns where touch_unchanged lookups null_keys duplicates "
    "delete history bad_rows limits checks before after returning session incremental depends_on sensitive "
    "keep_before_images notify matrix execution"
)
EXECUTION = "method transaction chunk_rows workers engine lock_timeout statement_timeout retries"
SOURCES = {
    "csv": "path delimiter quote escape null header encoding compression skip_lines",
    "tsv": "path delimiter quote escape null header encoding compression skip_lines",
    "jsonl": "path encoding compression absent",
    "rows": "rows",
    "parquet": "path columns filter",
    "arrow": "path columns filter",
    "sql": "url query table",
    "python": "callable args",
    "singer": "command stream config",
}


def _objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of a schema that describes a mapping."""
    if isinstance(schema, list):
        for number, item in enumerate(schema):
            yield from _objects(item, f"{path}/{number}")
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict) and "type" in schema:
            yield path, schema
        for key, item in schema.items():
            yield from _objects(item, f"{path}/{key}")


@pytest.mark.parametrize("schema", [SCHEMA, project_schema()], ids=["spec", "project"])
def test_it_is_a_valid_json_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


def test_it_has_every_key_of_a_spec() -> None:
    assert sorted(SCHEMA["properties"]) == sorted(KEYS.split())


@pytest.mark.parametrize("name", list(SOURCES))
def test_it_has_every_key_of_a_source(name: str) -> None:
    assert {"type", *SOURCES[name].split()} <= set(SCHEMA["$defs"][name]["properties"])
    assert {"$ref": f"#/$defs/{name}"} in SCHEMA["properties"]["source"]["anyOf"]


def test_it_has_every_key_of_the_execution() -> None:
    assert sorted(SCHEMA["properties"]["execution"]["properties"]) == sorted(EXECUTION.split())


@pytest.mark.parametrize("schema", [SCHEMA, project_schema()], ids=["spec", "project"])
def test_no_mapping_takes_unknown_keys(schema: dict[str, Any]) -> None:
    assert [path for path, found in _objects(schema) if found.get("additionalProperties") is not False] == []


def test_every_key_of_the_language_is_explained() -> None:
    own = {
        name: found for name, found in _objects(SCHEMA) if not name.startswith("/$defs/") or "title" in found
    }

    bare = [
        f"{path}/{key}"
        for path, found in own.items()
        for key, item in found["properties"].items()
        if "description" not in item
    ]

    assert bare == []


@pytest.mark.parametrize(
    "spec",
    [
        {"source": "a.csv", "target": "t"},
        {
            "source": {"path": "a.txt", "type": "csv", "delimiter": ";"},
            "target": {"table": "t", "create": True},
        },
        {"source": {"rows": [{"a": 1}]}, "target": "t", "update_columns": ["*", {"a": "keep"}, {"b": 0}]},
        {
            "source": {"type": "jsonl", "path": "-", "absent": "keep"},
            "target": "t",
            "duplicates": {"keep": "max", "by": "a"},
        },
        {
            "source": {"type": "sql", "url": "sqlite://", "table": "t"},
            "target": "t",
            "limits": {"max_deletes": "5%", "min_rows": 1},
        },
    ],
)
def test_documented_specs_are_valid(spec: dict[str, Any]) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(spec)) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"source": "a.csv"},
        {"source": {"type": "csv", "path": "a", "sep": ";"}, "target": "t"},
        {"source": "a.csv", "target": "t", "mode": "merge"},
        {"source": "a.csv", "target": "t", "execution": {"lock_timeout": "5"}},
    ],
)
def test_wrong_specs_are_not(spec: dict[str, Any]) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(spec)) != []
