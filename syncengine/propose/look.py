"""Look at the rows of a source: the type of each field, by the rules of `create`, and which have gaps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import islice

from msgspec import Struct

from syncengine.execute.infer import candidates
from syncengine.execute.values import kind_of, plain
from syncengine.model.facts import Handover
from syncengine.protocols import CsvBytes, Source
from syncengine.sql.inference import PATTERNS

# Of a larger file the rest is not looked at.
MOST_ROWS = 500_000
_BATCH = 2_000
_FARTHEST_ZONE = timedelta(hours=16)


class Field(Struct, frozen=True, kw_only=True):
    """What the rows tell of a field.  `longest` is in bytes of its text; `empty`: it has no value at all."""

    name: str
    type: str
    gaps: bool
    empty: bool
    longest: int


class Look(Struct, frozen=True, kw_only=True):
    """`cut`: there are more rows than were looked at."""

    rows: int
    cut: bool
    fields: tuple[Field, ...]


class _Watch:
    """Takes the values of one field, and keeps what they leave possible."""

    def __init__(self, *, typed: bool) -> None:
        self._kinds: set[str] | None = set() if typed else None
        self._types = set(PATTERNS if typed else candidates(None))
        self._gaps = False
        self._empty = True
        self._longest = 0

    def add(self, values: tuple[object, ...]) -> None:
        if self._kinds is not None:
            self._kinds.update(kind_of(value) for value in values if value is not None)
        texts = {plain(value) for value in values}
        self._gaps |= None in texts
        for text in texts:
            if text is not None:
                self._empty = False
                self._longest = max(self._longest, len(text.encode("utf-8", "replace")))
                self._types -= {name for name in self._types if not reads(name, text)}

    def field(self, name: str) -> Field:
        tried = candidates(None if self._kinds is None else frozenset(self._kinds))
        fitting = [] if self._empty else [type_name for type_name in tried if type_name in self._types]
        return Field(
            name=name,
            type=fitting[0] if fitting else "text",
            gaps=self._gaps,
            empty=self._empty,
            longest=self._longest,
        )


def look(source: Source) -> Look:
    """Read the source once, at most MOST_ROWS of it.  Raises SourceError and BadRow as a run would."""
    facts = source.describe()
    typed = Handover.CSV_BYTES not in facts.handovers
    watches = [_Watch(typed=typed) for _ in facts.fields]
    count = 0
    with source.open(Handover.ROWS) as stream:
        assert not isinstance(stream, CsvBytes)
        rows = iter(stream)
        for batch in _batches(islice(rows, MOST_ROWS)):
            count += len(batch)
            for watch, values in zip(watches, zip(*batch, strict=True), strict=True):
                watch.add(values)
        cut = next(rows, None) is not None
    found = tuple(watch.field(name) for watch, name in zip(watches, facts.fields, strict=True))
    return Look(rows=count, cut=cut, fields=found)


def _batches(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def reads(type_name: str, text: str) -> bool:
    """Tell whether a text is one of the type, as far as `create` would take it for one.

    >>> reads("date", "2024-02-30"), reads("bigint", "007"), reads("timestamp with time zone", "2024-02-29 10:00 Z")
    (False, False, True)
    """
    return _looks(type_name)(text) is not None and _is_real(type_name, text)


@cache
def _looks(type_name: str) -> Callable[[str], re.Match[str] | None]:
    """Return what matches a pattern as the server does: `$` is the very end, not before a last line end."""
    pattern = PATTERNS[type_name]
    compiled = re.compile(pattern)
    return compiled.fullmatch if pattern.endswith("$") else compiled.match


def _is_real(type_name: str, text: str) -> bool:
    """Tell whether a text that looks like a date or time is one; the server finds that out by a cast."""
    try:
        if type_name == "date":
            date.fromisoformat(text)
        elif type_name.startswith("timestamp"):
            return abs(moment(text).utcoffset() or timedelta()) < _FARTHEST_ZONE
    except ValueError:
        return False
    return True


def moment(text: str) -> datetime:
    """Return the moment that a text of a timestamp type tells; with a zone it is aware of it."""
    return datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", "").replace("z", "Z"))
