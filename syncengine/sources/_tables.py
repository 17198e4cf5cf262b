"""A source of Arrow data, of whatever it is made: parts of one shape, each giving record batches.

Only what opens a part imports pyarrow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any, Protocol

from msgspec import Struct

from syncengine.errors import Location, SourceError, SpecError
from syncengine.model.facts import Handover, SourceFacts
from syncengine.protocols import START, Payload, Position, Record
from syncengine.sources._filter import Both, Condition, fields_of

# Batches are cut to about so much: a row takes that in memory a few times over while it is encoded.
BATCH_ROWS = 16_384
BATCH_BYTES = 4 * 1024 * 1024


class Part(Protocol):
    """A file, or what a caller handed over.  `rows` is None where that is not known, `size` in bytes likewise."""

    label: str

    @property
    def schema(self) -> Any: ...

    @property
    def rows(self) -> int | None: ...

    @property
    def size(self) -> int | None: ...

    def opened(self, skip: int) -> AbstractContextManager[Batches]:
        """Open it for reading, behind so many rows at least."""
        ...


class Batches(Protocol):
    """A part that is being read.  `skipped` rows of those that were to be skipped are not given."""

    skipped: int

    @property
    def bytes_read(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be read of the data: these fields, or all, of the rows for which the condition holds."""

    fields: tuple[str, ...] | None = None
    condition: Condition | None = None


EVERYTHING = Wanted()


class ArrowSource:
    """Parts of Arrow data with the same fields; those of the first part, in its order."""

    def __init__(
        self,
        parts: Sequence[Part],
        label: str,
        *,
        reopenable: bool = True,
        wanted: Wanted = EVERYTHING,
        unit: str = "row",
    ) -> None:
        self._parts = tuple(parts)
        self._label = label
        self._reopenable = reopenable
        self._wanted = wanted
        self._unit = unit
        self._opened = False

    def describe(self) -> SourceFacts:
        return self._facts

    def stamp(self) -> str | None:
        return None

    @cached_property
    def _facts(self) -> SourceFacts:
        from syncengine.columnar.types import natural

        schema = self._parts[0].schema
        fields = self._fields
        for part in self._parts[1:]:
            _check_alike(part, fields, exact=self._wanted.fields is None)
        if self._wanted.condition is not None:
            for part in self._parts:
                _check_condition(part, self._wanted.condition)
        counts, sizes = [part.rows for part in self._parts], [part.size for part in self._parts]
        known = None not in counts
        return SourceFacts(
            label=self._label,
            fields=fields,
            handovers=Handover.ARROW | Handover.ROWS,
            rows=sum(count or 0 for count in counts) if known else None,
            exact=known and self._wanted.condition is None,
            bytes=sum(size or 0 for size in sizes) if None not in sizes else None,
            reopenable=self._reopenable,
            types=tuple(natural(schema.field(name).type) for name in fields),
        )

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        first = self._parts[0]
        names = tuple(first.schema.names)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SourceError(
                f"{first.label} has two fields called {twice!r}",
                hint="name one of them otherwise in the data",
            )
        if self._wanted.fields is None:
            return names
        _check_fields(first.schema, self._wanted.fields, "columns", first.label)
        return self._wanted.fields

    @contextmanager
    def open(self, handover: Handover, after: Position = START) -> Iterator[Payload]:
        if handover not in (Handover.ARROW, Handover.ROWS):
            raise ValueError(f"a source of Arrow data has no hand-over {handover}")
        fields = self._facts.fields
        if self._opened and not self._reopenable:
            raise SourceError(
                f"{self._label} can be read only once", hint="hand over a table if it is needed again"
            )
        self._opened = True
        yield TableStream(self._parts, fields, self._wanted.condition, after.records, self._unit)

    def records(
        self, after: Position = START, number: int = 1, *, accepted: bool = False
    ) -> Generator[Record, None, None]:
        with self.open(Handover.ROWS, after) as stream:
            assert isinstance(stream, TableStream)
            for count, row in enumerate(stream, start=after.records + 1):
                yield Record(
                    number=number + count - after.records - 1,
                    label=stream.locate(count),
                    line=0,
                    first=0,
                    last=0,
                    raw=b"",
                    values=row,
                    after=Position(records=count),
                )


class TableStream:
    """Hand-overs ARROW and ROWS (protocols.ArrowStream); rows are counted after the filter."""

    def __init__(
        self, parts: Sequence[Part], fields: tuple[str, ...], wanted: Condition | None, skip: int, unit: str
    ) -> None:
        self.fields = fields
        self.bytes_read = 0
        self._parts = parts
        self._wanted = wanted
        self._skip = skip
        self._unit = unit
        self._starts: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        from syncengine.columnar.values import rows

        for batch in self.batches():
            yield from rows(batch)

    def batches(self) -> Iterator[Any]:
        left, before, count = self._skip, 0, 0
        for part in self._parts:
            self._starts.append((count, part.label))
            rule = None if self._wanted is None else condition(self._wanted, part.schema)
            with part.opened(left if rule is None else 0) as found:
                left, count = left - found.skipped, count + found.skipped
                for whole in found:
                    self.bytes_read = before + found.bytes_read
                    batch = whole if rule is None else whole.filter(rule)
                    count += batch.num_rows
                    passed = min(left, batch.num_rows)
                    left -= passed
                    yield from cut(batch.slice(passed).select(list(self.fields)))
                self.bytes_read = before + found.bytes_read
            before = self.bytes_read

    def locate(self, row: int) -> str:
        """Return the file of a row and its number there, among those that the filter leaves."""
        found = [(start, label) for start, label in self._starts if start < row]
        start, label = found[-1] if found else (0, self._parts[0].label)
        number = f"{self._unit} {row - start}"
        return f"{label}, {number}" if label else number


def cut(batch: Any) -> Iterator[Any]:
    """Yield a batch in slices that are small in rows and in bytes."""
    rows = batch.num_rows
    if not rows:
        return
    size = max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(1, batch.nbytes)))
    for start in range(0, rows, size):
        yield batch.slice(start, size)


def condition(wanted: Condition, schema: Any) -> Any:
    """Return a filter as a condition of pyarrow's."""
    from syncengine.columnar.choosing import compared, joined

    if isinstance(wanted, Both):
        return joined(wanted.op, [condition(part, schema) for part in wanted.parts])
    return compared(wanted.field, schema.field(wanted.field).type, wanted.op, wanted.values)


def _check_fields(schema: Any, names: Sequence[str], key: str, label: str) -> None:
    from difflib import get_close_matches

    for name in names:
        if name not in schema.names:
            near = get_close_matches(name, schema.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(schema.names)}"
            raise SpecError(f"`{key}` names the field {name!r}, which {label} does not have", hint=hint)


def _check_condition(part: Part, wanted: Condition) -> None:
    """Raise SpecError, with the part's label, where a condition does not fit the part's fields."""
    names = fields_of(wanted)
    _check_fields(part.schema, names, "filter", part.label)
    twice = next((name for name in names if part.schema.names.count(name) > 1), None)
    if twice is not None:
        raise SpecError(
            f"`filter` names the field {twice!r}, of which {part.label} has two",
            hint="name one of them otherwise in the data",
        )
    try:
        condition(wanted, part.schema)
    except SpecError as error:
        error.detail = f"in {part.label}"
        raise


def _check_alike(part: Part, fields: Sequence[str], *, exact: bool) -> None:
    names = part.schema.names
    missing = [name for name in fields if names.count(name) != 1]
    surplus = [name for name in names if name not in fields] if exact else []
    if missing or surplus:
        what = f"lacks {missing[0]!r}" if missing else f"has {surplus[0]!r} as well"
        raise SourceError(
            f"{part.label} has other fields than the files before it: it {what}",
            hint="read what they have in common: `columns: […]`, or load them by specs of their own",
            location=Location(part.label),
        )
