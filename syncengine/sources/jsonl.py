"""Source type jsonl: JSON Lines, one object a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import ClassVar

from syncengine.errors import BadRow, Location, SourceError, SpecError, SyncError
from syncengine.model.facts import ABSENT, Handover, SourceFacts
from syncengine.model.spec import SourceSpec
from syncengine.protocols import START, Payload, Position, Record, Whereabouts
from syncengine.sources._files import Input, stamp_of, steady
from syncengine.sources._json import parse
from syncengine.sources._kept import BytesInput
from syncengine.sources._paths import PATH_OPTIONS, inputs, source_label
from syncengine.sources._physical import Line, PhysicalLines
from syncengine.sources._text import check_plain_text, codec_name, utf8

SAMPLE_RECORDS = 10_000
SAMPLE_BYTES = 8 * 1024 * 1024
SAMPLE_LIMIT = 64 * 1024 * 1024
MAX_LINE = 256 * 1024 * 1024


class JsonLines:
    name = "jsonl"
    extensions = ("jsonl", "ndjson", "json")
    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, object]] = {
        **PATH_OPTIONS,
        "absent": {
            "title": "Absent keys",
            "enum": ["null", "keep", None],
            "enumDescriptions": ["It is NULL.", "The stored value stays as it is.", "It is NULL."],
            "default": "null",
            "description": "A key that a record lacks: NULL, or `keep` leaves the stored value as it is.",
        },
    }

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> JsonLinesSource:
        options = spec.options
        if "path" not in options:
            raise SpecError("a jsonl source needs a `path`")
        path, compression = str(options["path"]), options.get("compression")
        found = inputs(path, None if compression is None else str(compression), where)
        encoding = codec_name(str(options.get("encoding", "utf-8")))
        partial = options.get("absent") == "keep"
        return JsonLinesSource(found, encoding, source_label(path, found), where.expected, partial=partial)

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> JsonLinesSource:
        options = spec.options
        found = [BytesInput(label, raw) for label, _, raw in records]
        encoding = codec_name(str(options.get("encoding", "utf-8")))
        partial = options.get("absent") == "keep"
        return JsonLinesSource(found, encoding, f"{len(found)} records", where.expected, partial=partial)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """What the sample tells.  `fields` come in the order they first turn up."""

    fields: tuple[str, ...]
    rows: int
    stored: int
    exact: bool


class JsonLinesSource:
    """One or more files of JSON Lines.  Its fields are the keys of a sample, and those the spec expects."""

    def __init__(
        self,
        found: Sequence[Input],
        encoding: str,
        label: str,
        expected: tuple[str, ...] = (),
        *,
        partial: bool = False,
    ) -> None:
        self._inputs = tuple(found)
        self._encoding = encoding
        self._label = label
        self._expected = expected
        self._partial = partial

    def describe(self) -> SourceFacts:
        return self._facts

    def stamp(self) -> str | None:
        return stamp_of(self._inputs)

    @contextmanager
    def open(self, handover: Handover, after: Position = START) -> Iterator[Payload]:
        if handover is not Handover.ROWS:
            raise ValueError(f"a jsonl source has no hand-over {handover}")
        rows = PartialJsonRows if self._partial else JsonRows
        with steady(self._inputs):
            yield rows(self._inputs, self._encoding, self._facts.fields, after.records)

    @cached_property
    def _facts(self) -> SourceFacts:
        sample = self._sample()
        sizes = [found.size for found in self._inputs]
        size = sum(known or 0 for known in sizes) if None not in sizes else None
        guess = None if size is None or not sample.stored else sample.rows * size // sample.stored
        kinds = dict.fromkeys(found.compression for found in self._inputs if found.compression != "none")
        notes = [f"compressed with {kind}" for kind in kinds]
        notes += [f"encoding {self._encoding}"] if self._encoding != "utf-8" else []
        notes += [] if sample.exact else [f"fields from the first {sample.rows} records"]
        return SourceFacts(
            label=self._label,
            fields=sample.fields,
            handovers=Handover.ROWS,
            rows=sample.rows if sample.exact else guess,
            exact=sample.exact,
            bytes=size,
            reopenable=all(found.reopenable for found in self._inputs),
            json_values=True,
            partial=self._partial,
            notes=tuple(notes),
        )

    def records(self, after: Position = START, number: int = 1) -> Iterator[Record]:
        rows = PartialJsonRows if self._partial else JsonRows
        return rows(self._inputs, self._encoding, self._facts.fields).records(after, number)

    def _sample(self) -> _Sample:
        fields: dict[str, None] = {}
        rows = length = stored = 0
        exact = True
        bad: BadRow | None = None
        for record, size, used in self._sampled():
            if (rows >= SAMPLE_RECORDS and length >= SAMPLE_BYTES) or length >= SAMPLE_LIMIT:
                exact = False
                break
            rows, length, stored = rows + 1, length + size, used
            # A line that can't be read is met again, and told of, when the rows are.
            if isinstance(record, BadRow):
                bad = bad or record
            else:
                fields.update(dict.fromkeys(record))
        if bad is not None and not fields:
            raise bad
        fields.update(dict.fromkeys(self._expected))
        return _Sample(fields=tuple(fields), rows=rows, stored=stored, exact=exact)

    def _sampled(self) -> Iterator[tuple[dict[str, object] | BadRow, int, int]]:
        """Yield records with their length and the stored bytes used so far."""
        before = 0
        for found in self._inputs:
            used = 0
            for record, size, used in self._sampled_from(found):
                yield record, size, before + used
            before += used

    def _sampled_from(self, found: Input) -> Iterator[tuple[dict[str, object] | BadRow, int, int]]:
        used = 0

        def blocks() -> Iterator[bytes]:
            nonlocal used
            for block, stored in sample:
                if not used:
                    self._check_head(block, found.label)
                used = stored
                yield block

        with closing(found.sample()) as sample:
            for number, line in _lines(utf8(blocks(), self._encoding, found.label), found.label):
                try:
                    yield parse(line, Location(found.label, number)), len(line), used
                except BadRow as error:
                    yield error, len(line), used

    def _check_head(self, head: bytes, label: str) -> None:
        if self._encoding != "utf-8":
            return
        check_plain_text(head, label)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            raise SourceError(
                f"{label} holds a JSON array",
                detail="a source of JSON needs one object a line (JSON Lines)",
                hint=f"jq -c '.[]' {label} > rows.jsonl",
                location=Location(label, 1),
            )


class JsonRows:
    """Hand-over ROWS of JSON Lines (protocols.RowStream); a key that a record lacks is None."""

    def __init__(self, found: Sequence[Input], encoding: str, fields: tuple[str, ...], skip: int = 0) -> None:
        self.bytes_read = 0
        self._skip = skip
        self._inputs = found
        self._encoding = encoding
        self.fields = fields

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        known = frozenset(self.fields)
        for place, line in islice(self._places(), self._skip, None):
            yield self._values(line, place, known)

    def _values(self, line: bytes, place: Location, known: frozenset[str]) -> tuple[object, ...]:
        record = parse(line, place)
        if not known.issuperset(record):
            raise _late_field(next(key for key in record if key not in known), place)
        return self._row(record, self.fields)

    def records(self, after: Position, number: int) -> Iterator[Record]:
        """Yield the lines that are not blank, as they stand in their files."""
        for part in range(after.part, len(self._inputs)):
            place = after if part == after.part else Position(part=part)
            for record in self._records_of(self._inputs[part], place, number):
                number = record.number + 1
                yield record

    def _records_of(self, found: Input, after: Position, number: int) -> Iterator[Record]:
        begun = after.offset is not None and after.records > 0
        count, start = (after.records, after.offset or 0) if begun else (0, 0)
        with found.open() as reader:
            lines = PhysicalLines(
                reader.blocks(), self._encoding, found.label, carriage_returns=False, start=start
            )
            for height, line in enumerate(lines, start=after.line if begun else 1):
                self.bytes_read = reader.bytes_read
                if line.raw.decode(lines.encoding, "replace").isspace():
                    continue
                count += 1
                if count > after.records:
                    place = Position(part=after.part, records=count, line=height + 1, offset=line.last)
                    yield self._record(line, lines.encoding, found.label, number, place)
                    number += 1

    def _record(self, line: Line, encoding: str, label: str, number: int, after: Position) -> Record:
        values, fault, sqlstate = None, None, None
        height = after.line - 1
        try:
            text = line.raw if encoding == "utf-8" else line.raw.decode(encoding).encode()
            values = self._values(text.rstrip(b"\n"), Location(label, height), frozenset(self.fields))
        except UnicodeError as error:
            fault, sqlstate = f"not valid {encoding}: {error}", "22021"
        except SyncError as error:
            fault, sqlstate = error.message, "22P02"
        return Record(
            number=number,
            label=label,
            line=height,
            first=line.first,
            last=line.last,
            raw=line.raw,
            values=values,
            fault=fault,
            sqlstate=sqlstate,
            after=after,
        )

    def _row(self, record: dict[str, object], fields: tuple[str, ...]) -> tuple[object, ...]:
        return tuple([record.get(field) for field in fields])

    def locate(self, row: int) -> str:
        """Return `file:line` of a row; for standard input, which is gone, its number."""
        if not all(found.reopenable for found in self._inputs):
            return f"{self._inputs[0].label}, row {row}"
        for number, (place, _) in enumerate(self._places(), start=1):
            if number == row:
                return str(place)
        return f"row {row}"

    def _places(self) -> Iterator[tuple[Location, bytes]]:
        before = 0
        for found in self._inputs:
            with found.open() as reader:
                for number, line in _lines(utf8(reader.blocks(), self._encoding, found.label), found.label):
                    self.bytes_read = before + reader.bytes_read
                    yield Location(found.label, number), line
                before += reader.bytes_read
                self.bytes_read = before


class PartialJsonRows(JsonRows):
    """JSON Lines of which a row tells the keys that it lacks, in a field of its own at the end."""

    def __init__(self, found: Sequence[Input], encoding: str, fields: tuple[str, ...], skip: int = 0) -> None:
        super().__init__(found, encoding, (*fields, ABSENT), skip)

    def _row(self, record: dict[str, object], fields: tuple[str, ...]) -> tuple[object, ...]:
        values = [record.get(field) for field in fields[:-1]]
        absent = [field for field in fields[:-1] if field not in record]
        return (*values, absent or None)


def _late_field(name: str, place: Location) -> SourceError:
    return SourceError(
        f'the field "{name}" turns up here for the first time',
        detail="the fields of a jsonl source are those of its first records",
        hint="name it under `columns`, or under `ignore_fields`",
        location=place,
    )


def _lines(blocks: Iterator[bytes], label: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers."""
    number = 0
    pending: list[bytes] = []
    size = 0
    for block in blocks:
        lines = block.split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            whole = b"".join((*pending, line)) if pending else line
            pending, size = [], 0
            if whole and not whole.isspace():
                yield number, whole
        pending += [rest] if rest else []
        size += len(rest)
        if size > MAX_LINE:
            message = f"a line is longer than {MAX_LINE // 1024**2} MB"
            raise BadRow(message, hint="one JSON object a line", location=Location(label, number + 1))
    if pending and not (whole := b"".join(pending)).isspace():
        yield number + 1, whole


PLUGIN = JsonLines()
