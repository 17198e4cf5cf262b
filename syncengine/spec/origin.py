"""The source of a spec: which type it is, and whether its options fit that type."""

from __future__ import annotations

import re
from typing import Any

from syncengine import registry
from syncengine.errors import SpecError
from syncengine.model.spec import SourceSpec
from syncengine.spec.available import LATER_SCHEMES, LATER_SOURCES
from syncengine.spec.draft import Draft
from syncengine.spec.paths import resolve_path
from syncengine.spec.problems import check, shown
from syncengine.spec.schema import source_schema
from syncengine.spec.words import hint_for_value, nearest

STDIN = "-"
_COMPRESSED = re.compile(r"\.(?:gz|zst|bz2)\Z", re.IGNORECASE)
_EXTENSION = re.compile(r"[^/]\.([A-Za-z0-9]+)\Z")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# A key that only one type has tells the type.
_TELLING = {"rows": "rows", "callable": "python", "command": "singer", "url": "sql", "query": "sql"}


def read_source(draft: Draft) -> SourceSpec | None:
    """Return the source, or None after noting what is wrong with it."""
    value = draft.data.get("source")
    if value is None:
        # The caller brings the rows.
        absent = "source" not in draft.given and not draft.needs_source
        return SourceSpec(type="rows", options={}) if absent else None
    options: dict[str, Any] = {"path": value} if isinstance(value, str) else dict(value)
    pointer = "/source" if isinstance(value, str) else "/source/path"
    kind = _type(draft, options, pointer)
    if kind is None or not _fits(draft, kind, options):
        return None
    options.pop("type", None)
    if isinstance(options.get("path"), str) and options["path"] != STDIN:
        if not _is_local(draft, options["path"], pointer):
            return None
        options["path"] = _local(draft, options["path"], pointer)
    return SourceSpec(type=kind, options=options)


def _type(draft: Draft, options: dict[str, Any], pointer: str) -> str | None:
    kind = options.get("type")
    path = options.get("path")
    if kind is not None:
        return _known(draft, kind)
    for key in _TELLING:
        if key in options:
            return _available(draft, _TELLING[key], f"/source/{key}")
    if not isinstance(path, str):
        near = nearest(next(iter(options), ""), ("path", "rows", "type"))
        hint = (
            f"did you mean `{near}`?" if near and "path" not in options else "write `path: …` or `rows: […]`"
        )
        draft.complain("/source", "the source has neither a `path` nor a `type`", hint)
        return None
    if path == STDIN:
        draft.complain(
            pointer, "standard input does not tell its type", 'write `source: {type: csv, path: "-"}`'
        )
        return None
    return _type_of_path(draft, path, pointer)


def _known(draft: Draft, kind: object) -> str | None:
    known = (*registry.names("sources"), *LATER_SOURCES)
    if kind in known:
        return _available(draft, str(kind), "/source/type")
    draft.complain(
        "/source/type", f"unknown source type `{shown(kind)}`", hint_for_value(kind, "/source/type", known)
    )
    return None


def _available(draft: Draft, kind: str, pointer: str) -> str | None:
    if kind in registry.names("sources"):
        return kind
    draft.not_yet(pointer, f"source type {kind}")
    return None


def _type_of_path(draft: Draft, path: str, pointer: str) -> str | None:
    scheme = _SCHEME.match(path)
    if scheme and scheme[1].lower() != "file":
        return _type_of_scheme(draft, scheme[1].lower(), pointer)
    match = _EXTENSION.search(_COMPRESSED.sub("", path))
    extension = match[1].lower() if match else ""
    if extension and (plugin := registry.source_by_extension(extension)):
        return plugin.name
    by_extension = [known for plugin in registry.sources() for known in plugin.extensions]
    known = ", ".join(f".{name}" for name in sorted(set(by_extension)))
    near = nearest(extension, by_extension) if extension else None
    hint = f"did you mean .{near}? " if near else ""
    draft.complain(
        pointer,
        f"the extension of `{shown(path)}` tells no source type",
        f"{hint}write `source: {{type: csv, path: …}}`; known: {known}, text formats also with .gz .zst .bz2",
    )
    return None


def _type_of_scheme(draft: Draft, scheme: str, pointer: str) -> str | None:
    by_scheme = {known: plugin.name for plugin in registry.sources() for known in plugin.schemes}
    if scheme in by_scheme:
        return by_scheme[scheme]
    if scheme in LATER_SCHEMES:
        draft.not_yet(pointer, f"{scheme}://")
    elif scheme.startswith(("postgres", "mysql", "sqlite", "oracle", "mssql", "duckdb", "snowflake")):
        draft.not_yet(pointer, "source type sql")
    else:
        known = ("file", *sorted(by_scheme), *LATER_SCHEMES)
        draft.complain(pointer, f"unknown URL scheme `{scheme}://`", hint_for_value(scheme, "/source", known))
    return None


def _fits(draft: Draft, kind: str, options: dict[str, Any]) -> bool:
    findings = check(options, source_schema(kind), draft.document, base="/source", expanded=draft.expanded)
    draft.problems += findings.problems
    return not findings.problems


def _is_local(draft: Draft, path: str, pointer: str) -> bool:
    """Tell whether a path names a file; a source type of another package may know more schemes."""
    scheme = _SCHEME.match(path)
    return (
        not scheme
        or scheme[1].lower() == "file"
        or _type_of_scheme(draft, scheme[1].lower(), pointer) is not None
    )


def _local(draft: Draft, path: str, pointer: str) -> str:
    """Return the path as written, a file:// URL as its absolute path; note if it leads out of the project."""
    scheme = _SCHEME.match(path)
    if scheme and scheme[1].lower() != "file":
        return path
    try:
        found = resolve_path(path, draft.folder, draft.roots, draft.document.at(pointer))
    except SpecError as error:
        draft.problems.append(error)
        return path
    return str(found) if scheme else path
