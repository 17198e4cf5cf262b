"""The JSON Schema of a spec: schema.json joined with what the plug-ins bring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from syncengine import registry
from syncengine.spec.available import LATER_SOURCES

Schema = dict[str, Any]


@lru_cache
def _file(name: str) -> str:
    return files("syncengine.spec").joinpath(name).read_text(encoding="utf-8")


def project_schema() -> Schema:
    """Return the JSON Schema of syncengine.yaml; defaults have the keys of a spec, environments those of the file."""
    schema: Schema = json.loads(_file("project.json"))
    spec = _without_required(spec_schema())
    keys = {key: value for key, value in spec["properties"].items() if key != "name"}
    schema["properties"]["defaults"] |= {"type": "object", "additionalProperties": False, "properties": keys}
    own = {
        key: value for key, value in schema["properties"].items() if key not in ("version", "environments")
    }
    environment = {"type": "object", "additionalProperties": False, "properties": own}
    schema["$defs"] = {**spec["$defs"], "environment": environment}
    return schema


def _without_required(schema: Any) -> Any:
    """Return a schema that takes a part of what it describes."""
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_required(item)
        for key, item in schema.items()
        if not (key == "required" and isinstance(item, list))
    }


def spec_schema() -> Schema:
    """Return the JSON Schema of a spec, with any source; `source_schema` says what its type has."""
    schema: Schema = json.loads(_file("schema.json"))
    mode = schema["properties"]["mode"]
    mode["enum"] += [name for name in registry.names("modes") if name not in mode["enum"]]
    method = schema["properties"]["execution"]["properties"]["method"]
    method["enum"] += [name for name in registry.names("strategies") if name not in method["enum"]]
    return schema


def source_schema(name: str) -> Schema:
    """Return the JSON Schema of a source of type `name`, with its key `type`."""
    if name in LATER_SOURCES:
        schema: Schema = json.loads(_file("schema.json"))["$defs"][name]
    else:
        schema = _object(registry.source(name).options)
    kind = {
        "title": "Type",
        "description": "The source's type; a path's extension tells it as well.",
        "const": name,
    }
    properties = {"type": kind, **schema["properties"]}
    return {"title": f"Source of type {name}", **schema, "properties": properties}


def json_schema() -> Schema:
    """Return the whole JSON Schema of a spec, for editors."""
    schema = spec_schema()
    names = (*registry.names("sources"), *LATER_SOURCES)
    for name in names:
        schema["$defs"][name] = source_schema(name)
    path, _ = schema["properties"]["source"]["anyOf"]
    schema["properties"]["source"]["anyOf"] = [path, *({"$ref": f"#/$defs/{name}"} for name in names)]
    return schema


def _object(options: Mapping[str, object]) -> Schema:
    """Return the options of a plug-in as a closed object schema; they may be given as properties alone.

    What the rows come from has to be said, whatever the plug-in requires.
    """
    whole: Schema = (
        dict(options) if isinstance(options.get("properties"), Mapping) else {"properties": options}
    )
    needed = [key for key in ("path", "rows") if key in whole["properties"]]
    return {"type": "object", "additionalProperties": False, "required": needed, **whole}
