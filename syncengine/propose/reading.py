"""Find out how a file is to be read: what a spec must say of its delimiter, header and encoding."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice

from msgspec import Struct

from syncengine import registry
from syncengine.errors import BadRow, SourceError, SyncError
from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.propose.keys import find_keys
from syncengine.propose.look import Look, look
from syncengine.propose.names import column_names
from syncengine.protocols import CsvBytes, Source, Whereabouts

_DELIMITERS = (",", ";", "\t", "|")
_FIRST_ROWS = 50
_LINE_END = re.compile(r"\r\n|\r|\n")
# What programs write that do not write UTF-8.
_OLD_ENCODING = "cp1252"


class Reading(Struct, frozen=True, kw_only=True):
    """`options` are those of the source beside its path; `keys` what identifies a row, the likeliest first."""

    options: Mapping[str, object]
    seen: Look
    keys: Sequence[tuple[str, ...]]


class File(Struct, frozen=True, kw_only=True):
    """A file of rows that a source type reads; its path is relative to `folder`."""

    type: str
    path: str
    folder: str
    roots: tuple[str, ...]

    def open(self, options: Mapping[str, object]) -> Source:
        plugin = registry.source(self.type)
        where = Whereabouts(folder=self.folder, roots=self.roots)
        return plugin.open_source(SourceSpec(type=self.type, options={**options, "path": self.path}), where)


def read(file: File) -> Reading:
    """Read a file of which nothing is known.  Raises SourceError and BadRow."""
    try:
        return _read(file, {})
    except (SourceError, BadRow) as error:
        encoding = _encoding(error)
        if encoding is None:
            raise
        with suppress(SourceError):
            return _read(file, {"encoding": encoding})
        raise


def _read(file: File, options: Mapping[str, object]) -> Reading:
    if "delimiter" in registry.source(file.type).options:
        options = {**options, **_delimiter(file, options)}
        options = {**options, **_header(file, options)}
    source = file.open(options)
    if "" in source.describe().fields:
        hint = "give the field a name in the file"
        raise SourceError("a field has an empty name, and no column can be called so", hint=hint)
    seen = look(source)
    return Reading(options=options, seen=seen, keys=find_keys(source, seen))


def _encoding(error: SyncError) -> str | None:
    """Return the encoding to try after one that was refused."""
    stated = re.fullmatch(r"encoding: (\S+)", error.hint or "")
    if stated:
        return stated[1]
    return _OLD_ENCODING if "not valid UTF-8" in error.message else None


def _delimiter(file: File, options: Mapping[str, object]) -> Mapping[str, object]:
    """Return the delimiter that gives all first records the same number of fields, and the most, if not the usual."""
    usual = _width(file, options)
    width, mark = max(
        ((_width(file, {**options, "delimiter": mark}), mark) for mark in _DELIMITERS), key=lambda one: one[0]
    )
    return {"delimiter": {"\t": "tab"}.get(mark, mark)} if width > max(usual, 1) else {}


def _width(file: File, options: Mapping[str, object]) -> int:
    """Return the number of fields of the first records, 0 if they differ or can't be read."""
    try:
        return len(_first_records(file, options, _FIRST_ROWS)[0])
    except (SourceError, BadRow, IndexError):
        return 0


def _first_records(file: File, options: Mapping[str, object], count: int) -> list[tuple[object, ...]]:
    source = file.open({**options, "header": False})
    with source.open(Handover.ROWS) as stream:
        assert not isinstance(stream, CsvBytes)
        return [tuple(row) for row in islice(stream, count)]


def _header(file: File, options: Mapping[str, object]) -> Mapping[str, object]:
    """Return names for the fields where the file's own are no good: empty ones, or the same twice."""
    first = [str(name or "") for row in _first_records(file, options, 1) for name in row]
    if len(set(first)) == len(first) and "" not in first:
        return {}
    lines = 1 + sum(len(_LINE_END.findall(name)) for name in first)
    return {"header": list(column_names(first)), "skip_lines": lines}
