"""CSV files as one source, and what the plug-ins csv and tsv share."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import ClassVar

from syncengine.errors import Location, SourceError, SpecError
from syncengine.model.facts import Handover, SourceFacts
from syncengine.model.spec import SourceSpec
from syncengine.protocols import START, Payload, Position, Record, Whereabouts
from syncengine.sources._csvchunks import CsvReading, records
from syncengine.sources._csvfile import CsvFile, Survey
from syncengine.sources._csvrecords import CsvRecords
from syncengine.sources._dialect import CSV_OPTIONS, Layout, layout
from syncengine.sources._files import Input, stamp_of, steady
from syncengine.sources._kept import BytesInput
from syncengine.sources._paths import inputs, source_label
from syncengine.values import replace

_OTHER_DELIMITERS = {";": '";"', ",": '","', "\t": "tab", "|": '"|"'}


class CsvPlugin:
    """What csv and tsv have in common; a subclass sets name, extensions and delimiter."""

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, object]] = CSV_OPTIONS
    delimiter: ClassVar[str]

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> CsvSource:
        options = spec.options
        if "path" not in options:
            raise SpecError(f"a {self.name} source needs a `path`")
        path, compression = str(options["path"]), options.get("compression")
        found = inputs(path, None if compression is None else str(compression), where)
        return CsvSource(found, layout(options, self.delimiter), source_label(path, found))

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> CsvSource:
        found = [BytesInput(label, head + raw) for label, head, raw in records]
        form = replace(layout(spec.options, self.delimiter), skip_lines=0)
        return CsvSource(found, form, f"{len(found)} records")


class CsvSource:
    """One or more CSV files with the same fields, in any order of theirs."""

    def __init__(self, found: Sequence[Input], plan: Layout, label: str) -> None:
        self._layout = plan
        self._label = label
        self._inputs = tuple(found)

    def describe(self) -> SourceFacts:
        return self._facts

    def stamp(self) -> str | None:
        return stamp_of(self._inputs)

    @contextmanager
    def open(self, handover: Handover, after: Position = START) -> Iterator[Payload]:
        facts = self._facts
        pairs = zip(self._inputs, self._fields, strict=True)
        parts = [self._part(found, fields) for found, fields in pairs if fields]
        with steady(self._inputs):
            match handover:
                case Handover.CSV_BYTES:
                    with closing(CsvReading(parts, after)) as reading:
                        yield reading
                case Handover.ROWS:
                    yield CsvRows(parts, facts.fields, after.records)
                case _:
                    raise ValueError(f"a CSV source has no hand-over {handover}")

    def records(
        self, after: Position = START, number: int = 1, *, accepted: bool = False
    ) -> Generator[Record, None, None]:
        fields = self._facts.fields
        for part, (found, own) in enumerate(zip(self._inputs, self._fields, strict=True)):
            if part < after.part or not own:
                continue
            place = after if part == after.part else Position(part=part)
            order = None if own == fields else [own.index(name) for name in fields]
            for record in CsvRecords(self._part(found, own), accepted=accepted).read(place, number):
                number = record.number + 1
                values = record.values
                if order is not None and values is not None:
                    record = replace(record, values=tuple(values[place] for place in order))
                yield record

    def _part(self, found: Input, fields: tuple[str, ...]) -> CsvFile:
        part = CsvFile(found, self._layout)
        part.fields = fields
        return part

    @cached_property
    def _surveys(self) -> tuple[Survey, ...]:
        return tuple(CsvFile(found, self._layout).survey() for found in self._inputs)

    @cached_property
    def _fields(self) -> tuple[tuple[str, ...], ...]:
        """The fields of each file; SourceError where they do not go together."""
        if self._layout.header:
            self._check_headers()
            return tuple(survey.header for survey in self._surveys)
        widest = max(survey.width for survey in self._surveys)
        fields = self._layout.names or tuple(str(number) for number in range(1, widest + 1))
        for found, survey in zip(self._inputs, self._surveys, strict=True):
            if survey.width not in (0, len(fields)):
                place = Location(found.label, self._layout.skip_lines + 1)
                message = f"the first record has {survey.width} fields, expected were {len(fields)}"
                raise SourceError(message, hint="name all fields of the file under `header`", location=place)
        return (fields,) * len(self._inputs)

    def _check_headers(self) -> None:
        first, *others = zip(self._inputs, self._surveys, strict=True)
        for found, survey in others:
            if set(survey.header) != set(first[1].header):
                raise SourceError(
                    f"{found.label} has other fields than {first[0].label}",
                    detail=_difference(first[1].header, survey.header),
                    hint="give files of each kind a spec of their own",
                    location=Location(found.label, self._layout.skip_lines + 1),
                )

    @cached_property
    def _facts(self) -> SourceFacts:
        rows = [survey.rows for survey in self._surveys]
        sizes = [found.size for found in self._inputs]
        return SourceFacts(
            label=self._label,
            fields=self._fields[0],
            handovers=Handover.ROWS | Handover.CSV_BYTES,
            named=self._layout.header or bool(self._layout.names),
            rows=sum(count or 0 for count in rows) if None not in rows else None,
            exact=all(survey.exact for survey in self._surveys),
            bytes=sum(size or 0 for size in sizes) if None not in sizes else None,
            reopenable=all(found.reopenable for found in self._inputs),
            csv=replace(self._layout.form),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        kinds = dict.fromkeys(found.compression for found in self._inputs if found.compression != "none")
        yield from (f"compressed with {kind}" for kind in kinds)
        if self._layout.encoding != "utf-8":
            yield f"encoding {self._layout.encoding}"
        if not self._layout.header:
            yield "no header line"
        elif len(self._fields[0]) == 1:
            yield from _missing_delimiter(self._fields[0][0], self._layout.form.delimiter)


class CsvRows:
    """Hand-over ROWS of CSV files (protocols.RowStream): texts, in the order of `fields`."""

    def __init__(self, parts: Sequence[CsvFile], fields: tuple[str, ...], skip: int = 0) -> None:
        self.bytes_read = 0
        self._skip = skip
        self._parts = parts
        self.fields = fields

    def __iter__(self) -> Iterator[tuple[str | None, ...]]:
        return islice(self._rows(), self._skip, None)

    def _rows(self) -> Iterator[tuple[str | None, ...]]:
        before = 0
        for part in self._parts:
            same = part.fields == self.fields
            pick = tuple if same else itemgetter(*(part.fields.index(name) for name in self.fields))
            for values in part.rows(records(part, START)):
                self.bytes_read = before + part.bytes_read
                yield pick(values)
            before += part.bytes_read
            self.bytes_read = before

    def locate(self, row: int) -> str:
        """Return `file:line` of the start of a row; for standard input, which is gone, its number."""
        if not all(part.input.reopenable for part in self._parts):
            return f"{self._parts[0].label}, row {row}"
        number = 0
        for part in self._parts:
            for line, _ in records(part, START):
                number += 1
                if number == row:
                    return f"{part.label}:{line}"
        return f"row {row}"


def _difference(wanted: tuple[str, ...], found: tuple[str, ...]) -> str:
    missing = [name for name in wanted if name not in found]
    surplus = [name for name in found if name not in wanted]
    texts = [f"it lacks {', '.join(missing)}"] if missing else []
    texts += [f"it adds {', '.join(surplus)}"] if surplus else []
    return "; ".join(texts)


def _missing_delimiter(name: str, delimiter: str) -> Iterator[str]:
    for mark, written in _OTHER_DELIMITERS.items():
        if mark in name and mark != delimiter:
            shown = "a tab" if mark == "\t" else repr(mark)
            yield f"the header has one field but contains {shown}: is `delimiter: {written}` missing?"
            return
