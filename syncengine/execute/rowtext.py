"""Rows of Python values as text for COPY, many at once and column by column; what is odd is left to do one by one.

Texts are joined by control characters, as these hardly ever stand in them, and escaped together.  The result is that of
execute/values.py for each value.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import psycopg

from syncengine.execute import values as text_of
from syncengine.execute.losses import Rule
from syncengine.execute.values import ToText, kind_of, to_text
from syncengine.execute.watching import rules
from syncengine.model.steps import StagedColumn

_FIELD, _ROW, _NULL = "\x1f", "\x1e", "\x1d"
_MARKS = b"\x1f\x1e\x1d\0"
_TO_COPY = bytes.maketrans(b"\x1f\x1e", b"\t\n")
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\t", b"\\t"))
_NONE = type(None)
Write = Callable[[Any], str]


class RowText:
    """Text for the columns of one COPY; `of_json`: values are those of JSON (protocols.RowBatches)."""

    def __init__(
        self,
        columns: Sequence[StagedColumn],
        fields: Sequence[str],
        kinds: Mapping[str, set[str]] | None,
        *,
        unstaged: bool,
        of_json: bool,
    ) -> None:
        places = {name: place for place, name in enumerate(fields)}
        self._columns = [
            _Column(
                places.get(column.field, -1),
                to_text(column.kind, column.reads),
                rules(column, unstaged=unstaged),
                None if kinds is None else kinds[column.column],
                of_json,
            )
            for column in columns
        ]

    def block(self, rows: Sequence[tuple[object, ...]]) -> bytes | None:
        """Return the rows as text, None if a value is not clearly good."""
        try:
            fields = list(zip(*rows, strict=True))
            found = [column.texts(fields[column.place]) for column in self._columns]
            texts = [some for some, _ in found]
            if any(column.suspects(some) for column, some in zip(self._columns, texts, strict=True)):
                return None
            joined = _ROW.join(map(_FIELD.join, zip(*texts, strict=True)))
            return _escaped(joined, len(rows), len(texts), sum(nulls for _, nulls in found))
        except Exception:  # of whatever kind: one by one it will be found again, and told of
            return None


def line(texts: Sequence[str | None]) -> bytes:
    """Return one row as text for COPY, whatever stands in it."""
    return b"\t".join(map(_field, texts)) + b"\n"


def _field(text: str | None) -> bytes:
    if text is None:
        return b"\\N"
    if "\0" in text:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    data = text.encode()
    for mark, escaped in _ESCAPES:
        data = data.replace(mark, escaped)
    return data


def _escaped(joined: str, rows: int, columns: int, nulls: int) -> bytes | None:
    data = joined.encode()
    # A mark that stands in a text is one too many.
    if len(data) - len(data.translate(None, _MARKS)) != rows * columns - 1 + nulls:
        return None
    for mark, escaped in _ESCAPES:
        if mark in data:
            data = data.replace(mark, escaped)
    data = data.translate(_TO_COPY)
    return (data.replace(b"\x1d", b"\\N") if nulls else data) + b"\n"


class _Column:
    def __init__(
        self, place: int, convert: ToText, rules: Sequence[Rule], kinds: set[str] | None, of_json: bool
    ) -> None:
        self.place = place
        self._convert = convert
        self._rules = rules
        self._kinds = kinds
        self._direct = _direct(convert, of_json)

    def texts(self, values: Sequence[object]) -> tuple[Sequence[str], int]:
        """Return the values' texts, with a mark for NULL, and how many of those there are."""
        types = set(map(type, values))
        if self._kinds is not None:
            self._note(values, self._kinds)
        if _NONE not in types and len(types) == 1 and (write := self._direct.get(*types)) is not None:
            return _texts(values, write, types), 0
        if types - {_NONE} <= self._direct.keys():
            return self._filled(values, types - {_NONE}), values.count(None)
        texts = list(map(self._convert, values))
        return [_NULL if text is None else text for text in texts], texts.count(None)

    def _filled(self, values: Sequence[object], types: set[type]) -> list[str]:
        direct = self._direct
        if types == {str}:
            return [_NULL if value is None else value for value in cast("Sequence[str | None]", values)]
        return [_NULL if value is None else direct[type(value)](value) for value in values]

    def suspects(self, texts: Sequence[str]) -> bool:
        """Tell whether one of the texts would lose something."""
        return any(_at_fault(rule, texts) for rule in self._rules)

    def _note(self, values: Sequence[object], kinds: set[str]) -> None:
        one_of_each = {type(value): value for value in values if value is not None}
        kinds.update(map(kind_of, one_of_each.values()))


def _texts(values: Sequence[object], write: Write, types: set[type]) -> Sequence[str]:
    """Return the texts of values of one type; those of texts are themselves."""
    return cast("Sequence[str]", values) if write is str and str in types else list(map(write, values))


def _at_fault(rule: Rule, texts: Sequence[str]) -> bool:
    if rule.sought is not None:
        return rule.sought.search("\n".join(texts)) is not None
    return any(map(rule.fault, texts))


def _direct(convert: ToText, of_json: bool) -> dict[type, Write]:
    """Return what writes the values of exactly these types as `convert` does."""
    found: dict[type, Write] = {int: str, bool: _boolean}
    into_json = convert in (text_of.for_json, text_of.for_json_value)
    if convert is not text_of.for_json_value:
        found[str] = str
    if convert is not text_of.for_integer:
        found |= {Decimal: str, float: str}
    if not into_json:
        found |= {
            UUID: str,
            datetime.datetime: datetime.datetime.isoformat,
            datetime.date: datetime.date.isoformat,
        }
    if of_json and (into_json or convert in (text_of.plain, text_of.for_integer, text_of.for_words)):
        nested = _nested()
        found |= {dict: nested, list: nested}
    return found


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _nested() -> Write:
    """Return what writes as values.json does, which can write more."""
    import msgspec

    encode, form = msgspec.json.Encoder(decimal_format="number").encode, msgspec.json.format
    return lambda value: form(encode(value), indent=0).decode()
