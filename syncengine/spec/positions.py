"""YAML text -> plain values that remember their line and column.

A small, strict part of YAML: no aliases, tags, duplicate or non-text keys; scalars as in the core schema of
YAML 1.2, so that `on`, `yes`, `012`, `12:30:45` and `2024-01-01` are texts.  A number that a float cannot
hold as written becomes a Decimal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml
from msgspec import Struct

from syncengine.errors import Location, SpecError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
# Rows of a table may stand in a spec; more of them belong into a file.
MAX_VALUES = 50_000
# No table has more columns than 1,600.
MAX_KEYS = 2_000
MAX_DOCUMENTS = 1_000
_MAX_DIGITS = 1000
# The parser's events; which fields one has depends on its kind.
Event = Any
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class Scalar(Struct, frozen=True, kw_only=True):
    """One scalar as it stands in the text, with its quotes."""

    raw: str
    value: str
    line: int
    column: int

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of the character at `offset` of the value, or of the scalar if that is
        unclear.
        """
        for skip in (0, 1):
            if self.raw[skip : len(self.raw) - skip] == self.value:
                return self.line, self.column + skip + offset
        return self._place_in_block(offset) if self.raw.startswith("|") else (self.line, self.column)

    def _place_in_block(self, offset: int) -> tuple[int, int]:
        before = self.value[:offset].split("\n")
        wanted = self.value.split("\n")[len(before) - 1]
        lines = self.raw.split("\n")
        found = lines[len(before)] if len(before) < len(lines) else ""
        if not found.rstrip("\r").endswith(wanted):
            return self.line, self.column
        return self.line + len(before), found.rfind(wanted) + 1 + len(before[-1])


@dataclass(slots=True, kw_only=True)
class Document:
    """One YAML document.  Values, keys and scalars are found by JSON pointer; a key by that of its value."""

    file: str
    value: object = None
    start: Location
    values: dict[str, Location] = field(default_factory=dict)
    keys: dict[str, Location] = field(default_factory=dict)
    scalars: dict[str, Scalar] = field(default_factory=dict)

    def at(self, pointer: str) -> Location:
        """Return the place of the value at `pointer`, or of its nearest parent that has one."""
        while pointer and pointer not in self.values:
            pointer = pointer.rpartition("/")[0]
        return self.values.get(pointer, self.start)

    def at_key(self, pointer: str) -> Location:
        return self.keys.get(pointer) or self.at(pointer)

    def inside(self, pointer: str, offset: int) -> Location:
        """Return the place of the character at `offset` of the scalar at `pointer`."""
        scalar = self.scalars.get(pointer)
        place = self.at(pointer)  # in another file where the value was merged in
        return Location(place.file, *scalar.place(offset)) if scalar else place


class Unpositioned(Document):
    """A value that came from Python: its places are JSON pointers, but for what was merged in from a file."""

    def at(self, pointer: str) -> Location:
        return self.values.get(pointer) or Location(f"{self.file}{pointer}")


def child(pointer: str, key: str | int) -> str:
    """Return the JSON pointer of an item or key below `pointer`."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def decode(data: bytes, *, file: str) -> str:
    """Return the text of a YAML file without its byte order mark."""
    if len(data) > MAX_BYTES:
        raise SpecError(f"the file is larger than {MAX_BYTES // 1_000_000} MB", location=Location(file))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_and_column(data[: error.start].decode("utf-8-sig", "replace"))
        raise SpecError(
            f"not UTF-8: byte 0x{data[error.start]:02x}",
            location=Location(file, line, column),
            hint="save the file as UTF-8",
        ) from error


def documents(text: str, *, file: str) -> tuple[Document, ...]:
    """Return the documents of a YAML text, without empty ones.  Raises SpecError at the first wrong place."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SpecError(f"the text is larger than {MAX_BYTES // 1_000_000} MB", location=Location(file))
    if bad := _UNPRINTABLE.search(text):
        line, column = _line_and_column(text[: bad.start()])
        raise SpecError(
            f"the character U+{ord(bad[0]):04X} is not allowed", location=Location(file, line, column)
        )
    try:
        composed = tuple(_Composer(text, file).documents())
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error, file) from error
    except yaml.YAMLError as error:
        raise SpecError(f"not YAML: {error}", location=Location(file)) from error
    return tuple(document for document in composed if document.value is not None)


def scalar(text: str) -> object:
    """Return the value of a plain scalar by the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > _MAX_DIGITS:
        return text
    if _INTEGER.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return _number(text)
    return float(text.replace(".", "", 1)) if _NOT_FINITE.match(text) else text


def _number(text: str) -> object:
    number = float(text)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return text
    return number if Decimal(repr(number)) == exact else exact


class _Composer:
    """Builds documents from the parser's events, which come one at a time: what is refused is never built."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.events: Iterator[Event] = yaml.parse(text, Loader=_LOADER)
        self.room = MAX_VALUES

    def documents(self) -> Iterator[Document]:
        room = MAX_DOCUMENTS
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                first = next(self.events)
                if (room := room - 1) < 0:
                    raise self._error(first, f"more than {MAX_DOCUMENTS:,} documents in one file")
                document = Document(file=self.file, start=self._location(first))
                document.value = self._value(first, "", 0, document)
                yield document

    def _value(self, event: Event, pointer: str, depth: int, into: Document) -> object:
        self._refuse(event, depth)
        if (room := self.room - 1) < 0:
            hint = "write rows into a file of their own: `source: rows.csv`"
            raise self._error(event, f"more than {MAX_VALUES:,} values in one file", hint)
        self.room = room
        into.values[pointer] = self._location(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(pointer, depth, into)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(pointer, depth, into)
        return self._scalar(event, pointer, into)

    def _mapping(self, pointer: str, depth: int, into: Document) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event)
            below = child(pointer, key)
            if key in mapping:
                raise self._error(event, f"the key `{key}` is there twice", f"first at {into.keys[below]}")
            if len(mapping) >= MAX_KEYS:
                raise self._error(event, f"more than {MAX_KEYS:,} keys in one mapping")
            into.keys[below] = self._location(event)
            mapping[key] = None
            mapping[key] = self._value(next(self.events), below, depth + 1, into)
        return mapping

    def _sequence(self, pointer: str, depth: int, into: Document) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, child(pointer, len(items)), depth + 1, into))
        return items

    def _scalar(self, event: Event, pointer: str, into: Document) -> object:
        self._refuse_unstorable(event)
        start = event.start_mark
        into.scalars[pointer] = Scalar(
            raw=self.text[start.index : event.end_mark.index],
            value=event.value,
            line=start.line + 1,
            column=start.column + 1,
        )
        return event.value if event.style else scalar(event.value)

    def _key(self, event: Event) -> str:
        self._refuse(event, 0)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "a key must be a text, not a list or mapping")
        self._refuse_unstorable(event)
        if not event.style and not isinstance(scalar(event.value), str):
            raise self._error(event, f"the key `{event.value}` is not a text", "quote it")
        return str(event.value)

    def _refuse(self, event: Event, depth: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, f"aliases (*{event.anchor}) are not allowed", "repeat the value")
        if getattr(event, "anchor", None):
            raise self._error(event, f"anchors (&{event.anchor}) are not allowed", "repeat the value")
        if getattr(event, "tag", None):
            raise self._error(event, f"tags ({event.tag}) are not allowed")
        if depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")

    def _refuse_unstorable(self, event: Event) -> None:
        if bad := _UNSTORABLE.search(event.value):
            raise self._error(event, f"the character U+{ord(bad[0]):04X} is not allowed")

    def _location(self, event: Event) -> Location:
        return Location(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _error(self, event: Event, message: str, hint: str | None = None) -> SpecError:
        return SpecError(message, location=self._location(event), hint=hint)


def _unreadable(error: yaml.MarkedYAMLError, file: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    location = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
    odd = "found character" in str(error.problem)
    return SpecError(
        f"not YAML: {error.problem or error.context}",
        detail=error.context if error.problem else None,
        hint="indent with spaces, and quote texts that start with a special character" if odd else None,
        location=location,
    )


def _line_and_column(before: str) -> tuple[int, int]:
    lines = _BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


def from_mapping(data: Mapping[str, object], *, file: str) -> Unpositioned:
    """Return a document of a value that came from Python.  Raises SpecError where it is no plain data."""
    value = _plain(data, file, "", 0)
    return Unpositioned(file=file, value=value, start=Location(file))


def _plain(value: object, file: str, pointer: str, depth: int) -> object:
    if depth > MAX_DEPTH:
        raise SpecError(f"nested deeper than {MAX_DEPTH} levels", location=Location(f"{file}{pointer}"))
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise SpecError(f"the key `{key}` is not a text", location=Location(f"{file}{pointer}"))
        return {key: _plain(item, file, child(pointer, key), depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, file, child(pointer, number), depth + 1) for number, item in enumerate(value)]
    if isinstance(value, str) and (bad := _UNSTORABLE.search(value)):
        raise SpecError(
            f"the character U+{ord(bad[0]):04X} is not allowed", location=Location(f"{file}{pointer}")
        )
    return value
