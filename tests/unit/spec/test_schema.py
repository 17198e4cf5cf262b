"""The published JSON Schema: valid, complete, closed, and explained for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncengine.spec.editor import project_schema_for_editors, spec_schema_for_editors
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


# What editors show


EDITED = {"spec": spec_schema_for_editors(), "project": project_schema_for_editors()}


def _keys(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key that a schema knows, at any depth, with its schema."""
    for _, found in _objects({"type": "object", **schema}, path):
        yield from found["properties"].items()


KEYS_SHOWN = [
    pytest.param(found, id=f"{name}-{number}-{key}")
    for name, schema in EDITED.items()
    for number, (key, found) in enumerate(_keys(schema))
]


@pytest.mark.parametrize("found", KEYS_SHOWN)
def test_every_key_at_any_depth_has_a_title_and_a_description(found: dict[str, Any]) -> None:
    assert found["title"]
    assert found["markdownDescription"] == found["description"] != ""


def test_every_key_of_a_spec_shows_what_may_be_written() -> None:
    ways = {"examples", "default", "enum", "const", "anyOf", "properties"}
    bare = [
        key
        for key, found in _keys(EDITED["spec"])
        if not (ways & found.keys() or found.get("type") == "boolean" or "`" in found["description"])
    ]

    assert bare == []


@pytest.mark.parametrize("name", EDITED)
def test_every_example_and_default_is_valid(name: str) -> None:
    schema = EDITED[name]
    wrong = [
        (key, value)
        for key, found in _keys(schema)
        for value in [*found.get("examples", []), *([found["default"]] if "default" in found else [])]
        if list(Draft202012Validator({**found, "$defs": schema.get("$defs", {})}).iter_errors(value))
    ]

    assert wrong == []


@pytest.mark.parametrize("name", EDITED)
def test_every_choice_of_words_is_explained(name: str) -> None:
    bare = [
        found["enum"]
        for found in _mappings(EDITED[name])
        if len(found.get("enum", [])) > 1
        and len(found.get("markdownEnumDescriptions", [])) != len(found["enum"])
    ]

    assert bare == []


def _mappings(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for below in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _mappings(below)


def test_what_is_not_available_yet_says_so() -> None:
    properties = EDITED["spec"]["properties"]
    method = properties["execution"]["properties"]["method"]

    assert properties["matrix"]["description"].endswith(" Not available yet.")
    assert properties["notify"]["description"].endswith(" Not available yet.")
    assert [text.endswith(" Not available yet.") for text in method["enumDescriptions"]] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_validation_goes_by_the_schema_without_the_words_for_editors() -> None:
    assert "markdownDescription" not in json_schema()["properties"]["mode"]
