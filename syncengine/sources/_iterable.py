"""Rows that are Python objects already: what a caller of the Python API, or the spec itself, hands over."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain, islice
from operator import itemgetter, length_hint

from syncengine.errors import Location, OptionError, SourceError
from syncengine.model.facts import Handover, SourceFacts
from syncengine.protocols import START, Payload, Position, Record

PEEK = 1000
_ACCEPTED = "dicts, tuples, lists or named tuples"

Values = tuple[object, ...]


class IterableSource:
    """An iterable of dicts, named tuples (both named), tuples or lists (numbered).

    The first rows, 1,000 at most, tell the fields; `expected` are added to those of dicts.  Lists and tuples
    can be read again, anything else once.
    """

    def __init__(
        self,
        rows: object,
        expected: tuple[str, ...] = (),
        *,
        label: str | None = None,
        unit: str = "row",
        json_values: bool = False,
    ) -> None:
        self._rows = _accepted(rows)
        self._expected = expected
        self._label = label or f"rows from Python ({type(rows).__name__})"
        self._unit = unit
        self._json_values = json_values
        self._reopenable = isinstance(rows, (list, tuple))
        self._opened = False

    def describe(self) -> SourceFacts:
        shape = self._shape
        count = len(self._rows) if isinstance(self._rows, (list, tuple)) else None
        if self._complete:
            count = len(self._peeked)
        return SourceFacts(
            label=self._label,
            fields=shape.fields,
            handovers=Handover.ROWS,
            named=shape.named,
            rows=count if count is not None else length_hint(self._rows, 0) or None,
            exact=count is not None,
            reopenable=self._reopenable,
            json_values=self._json_values,
        )

    def stamp(self) -> None:
        return None

    @contextmanager
    def open(self, handover: Handover, after: Position = START) -> Iterator[Payload]:
        if handover is not Handover.ROWS:
            raise ValueError(f"an iterable has no hand-over {handover}")
        shape = self._shape
        if self._opened and not self._reopenable:
            raise SourceError(
                f"{self._label} can be read only once", hint="hand over a list if the rows are needed again"
            )
        self._opened = True
        rows: Iterable[object] = self._rows if self._reopenable else chain(self._peeked, self._iterator)
        try:
            yield IterableRows(rows, shape, self._unit, after.records)
        finally:
            # What failed may be kept, and the generator with it: what it holds open is given back now.
            close(self._iterator)

    def records(
        self, after: Position = START, number: int = 1, *, accepted: bool = False
    ) -> Generator[Record, None, None]:
        with self.open(Handover.ROWS) as stream:
            assert isinstance(stream, IterableRows)
            yield from stream.records(after, number)

    @cached_property
    def _iterator(self) -> Iterator[object]:
        return iter(self._rows)

    @cached_property
    def _peeked(self) -> list[object]:
        return list(_guarded(islice(self._iterator, PEEK), self._unit))

    @property
    def _complete(self) -> bool:
        return len(self._peeked) < PEEK

    @cached_property
    def _shape(self) -> _Shape:
        return _shape(self._peeked, self._expected, self._unit)


class IterableRows:
    """Hand-over ROWS of an iterable (protocols.RowStream); `bytes_read` stays 0, as there are no bytes."""

    def __init__(self, rows: Iterable[object], shape: _Shape, unit: str, skip: int = 0) -> None:
        self.bytes_read = 0
        self._skip = skip
        self.fields = shape.fields
        self._rows = rows
        self._values = shape.values
        self._unit = unit

    def __iter__(self) -> Iterator[Values]:
        values = self._values
        rows = enumerate(_guarded(self._rows, self._unit), start=1)
        for number, row in islice(rows, self._skip, None):
            yield values(row, number)

    def records(self, after: Position, number: int) -> Generator[Record, None, None]:
        """Yield the rows, those of another shape as well; they have no bytes."""
        for count, row in enumerate(_guarded(self._rows, self._unit), start=1):
            if count <= after.records:
                continue
            values, fault = None, None
            try:
                values = self._values(row, count)
            except SourceError as error:
                fault = error.message
            yield Record(
                number=number + count - after.records - 1,
                label=self.locate(count),
                line=0,
                first=0,
                last=0,
                raw=b"",
                values=values,
                fault=fault,
                sqlstate="22P04" if fault else None,
                after=Position(records=count),
            )

    def locate(self, row: int) -> str:
        return f"{self._unit} {row}"


class _Shape:
    """What all rows have in common: their fields, and how to take the values out of one."""

    def __init__(self, fields: tuple[str, ...], named: bool, values: Callable[[object, int], Values]) -> None:
        self.fields = fields
        self.named = named
        self.values = values


def _shape(peeked: list[object], expected: tuple[str, ...], unit: str) -> _Shape:
    first = peeked[0] if peeked else {}
    if isinstance(first, Mapping):
        return _mapping_shape(peeked, expected, unit)
    names = _named_fields(first)
    if names is not None:
        return _Shape(names, True, lambda row, number: _positional(row, number, names, names, unit))
    if isinstance(first, (tuple, list)):
        numbers = tuple(str(place) for place in range(1, len(first) + 1))
        return _Shape(numbers, False, lambda row, number: _positional(row, number, None, numbers, unit))
    raise _odd_row(first, 1, unit)


def _mapping_shape(peeked: list[object], expected: tuple[str, ...], unit: str) -> _Shape:
    found: dict[str, None] = {}
    # A row of another shape is met again, and told of, when the rows are read.
    for number, row in enumerate(peeked, start=1):
        for key in row if isinstance(row, Mapping) else ():
            if not isinstance(key, str):
                raise _problem(f"has the key {key!r}, which is no text", number, unit)
            found[key] = None
    found.update(dict.fromkeys(expected))
    fields, known = tuple(found), frozenset(found)
    pick: Callable[[dict[str, object]], Values] | None = itemgetter(*fields) if len(fields) > 1 else None

    def values(row: object, number: int) -> Values:
        # Most rows have all the fields; one with as many keys has then no others.
        if type(row) is dict and pick is not None and len(row) == len(fields):
            try:
                return pick(row)
            except KeyError:
                pass
        if not isinstance(row, Mapping):
            raise _mixed(row, number, "a mapping", unit)
        if not known.issuperset(row):
            late = next(key for key in row if key not in known)
            hint = "name it under `columns`, or under `ignore_fields`"
            raise _problem(f"has the field {late!r}, which no earlier {unit} has", number, unit, hint)
        return tuple([row.get(field) for field in fields])

    return _Shape(fields, True, values)


def _positional(
    row: object, number: int, names: tuple[str, ...] | None, fields: tuple[str, ...], unit: str
) -> Values:
    if not isinstance(row, (tuple, list)):
        raise _mixed(row, number, "a tuple or a list", unit)
    if _named_fields(row) != names:
        raise _mixed(row, number, f"a named tuple of {', '.join(names)}" if names else "a plain tuple", unit)
    if len(row) != len(fields):
        raise _problem(f"has {len(row)} values, the first one has {len(fields)}", number, unit)
    return tuple(row)


def _named_fields(row: object) -> tuple[str, ...] | None:
    names = getattr(row, "_fields", None) if isinstance(row, tuple) else None
    return tuple(names) if names is not None else None


def _guarded(rows: Iterable[object], unit: str) -> Iterator[object]:
    """Yield the rows; what the iterator itself raises becomes a SourceError that says after which row."""
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except SourceError:
        raise
    except Exception as error:  # also one of ours, of another run that the rows come from
        message = f"the source raised {type(error).__name__} after {unit} {number}"
        raise SourceError(message, detail=str(error) or None) from error


def close(rows: object) -> None:
    """End a generator; what it raises then would only hide why it is ended."""
    if isinstance(rows, Generator):
        with suppress(Exception):
            rows.close()


def _accepted(rows: object) -> Iterable[object]:
    if isinstance(rows, AsyncIterable):
        raise OptionError("an asynchronous source needs `await syncengine.arun(…)`")
    if isinstance(rows, (str, bytes, bytearray, Mapping)) or not isinstance(rows, Iterable):
        raise OptionError(
            f"the source is {_kind(rows)}, expected was an iterable of {_ACCEPTED}",
            hint="hand over [row] if it is one row; put the path of a file under `source` in the spec",
        )
    return rows


def _mixed(row: object, number: int, wanted: str, unit: str) -> SourceError:
    if isinstance(row, (Mapping, tuple, list)):
        return _problem(f"is {_kind(row)}, the first one is {wanted}", number, unit)
    return _odd_row(row, number, unit)


def _odd_row(row: object, number: int, unit: str) -> SourceError:
    return _problem(f"is {_kind(row)}, expected were {_ACCEPTED}", number, unit)


def _problem(text: str, number: int, unit: str, hint: str | None = None) -> SourceError:
    return SourceError(f"{unit} {number} {text}", hint=hint, location=Location(f"{unit} {number}"))


def _kind(value: object) -> str:
    if value is None:
        return "None"
    return f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
