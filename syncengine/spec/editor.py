"""The JSON Schemas as editors want them: texts in Markdown, and what is not available yet said so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from syncengine.spec.available import later_keys, later_values
from syncengine.spec.schema import Schema, json_schema, project_schema

_LATER = " Not available yet."
# VS Code shows a `description` as it is; that of Markdown has a key of its own, as have those of enum values.
_IN_MARKDOWN = {"description": "markdownDescription", "enumDescriptions": "markdownEnumDescriptions"}


def spec_schema_for_editors() -> Schema:
    """Return the JSON Schema of a spec with all that is shown to whom writes one."""
    schema = copy.deepcopy(json_schema())
    _mark_later(schema)
    _add_markdown(schema)
    return schema


def project_schema_for_editors() -> Schema:
    """Return the JSON Schema of syncengine.yaml with all that is shown to whom writes one."""
    schema = copy.deepcopy(project_schema())
    _mark_later(schema["properties"]["defaults"])
    _add_markdown(schema)
    return schema


def _mark_later(spec: Schema) -> None:
    for path in later_keys():
        for found in _at(spec, path.split("/")):
            found["description"] += _LATER
    for path, is_later in later_values().items():
        for found in _at(spec, path.split("/")):
            _mark_values(found, is_later)


def _at(schema: Schema, path: list[str]) -> Iterator[Schema]:
    """Yield the schemas of a key, in whichever branches it has one."""
    for branch in (schema, *schema.get("anyOf", ())):
        if found := branch.get("properties", {}).get(path[0]):
            yield from _at(found, path[1:]) if path[1:] else (found,)


def _mark_values(schema: Schema, is_later: Callable[[object], bool]) -> None:
    for branch in (schema, *schema.get("anyOf", ())):
        if "enumDescriptions" in branch:
            # A plug-in's values come without a description.
            pairs = zip(branch["enum"], branch["enumDescriptions"], strict=False)
            branch["enumDescriptions"] = [text + _LATER * is_later(value) for value, text in pairs]


def _add_markdown(schema: Any) -> None:
    if isinstance(schema, dict):
        for plain, marked in _IN_MARKDOWN.items():
            if isinstance(schema.get(plain), str | list):
                schema[marked] = schema[plain]
    for below in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _add_markdown(below)


def text(schema: Schema) -> str:
    """Return a schema as a file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
