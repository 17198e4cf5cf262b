"""The rows of JSON Lines: by the batch and fast where all is well, line by line and strictly where it is not."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice

from syncengine.errors import BadRow, Location, SourceError, SyncError
from syncengine.model.facts import ABSENT
from syncengine.protocols import START, Position, Record
from syncengine.sources._files import BlockReader, Input
from syncengine.sources._json import parse
from syncengine.sources._jsonfast import FastDecoder
from syncengine.sources._physical import Line, PhysicalLines
from syncengine.sources._text import utf8
from syncengine.values import replace

MAX_LINE = 256 * 1024 * 1024
Row = tuple[object, ...]


# What bytes take for blank; other characters that look so are no blank line.
_BLANKS = " \t\r\n\v\f"


class Body:
    """Whole lines of a file, and where they begin; `filled` are those that are not blank."""

    def __init__(self, text: bytes, start: Position) -> None:
        self.text = text
        self.start = start
        self.filled = [line for line in text.split(b"\n") if line and not line.isspace()]

    def after(self, count: int) -> Position:
        """Return the place behind so many lines that are not blank, and behind blank ones at the end."""
        start, end = self.start, self.end(count)
        return replace(
            start,
            records=start.records + count,
            line=start.line + self.text.count(b"\n", 0, end),
            offset=None if start.offset is None else start.offset + end,
        )

    def end(self, count: int) -> int:
        """Return where `after` is in the text."""
        if count >= len(self.filled):
            return len(self.text)
        return next(islice((end for _, end, _ in self.lines()), count - 1, None)) if count else 0

    def lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the lines that are not blank with their numbers, and where they end in the text."""
        end = 0
        for number, line in enumerate(self.text.split(b"\n"), start=self.start.line):
            end = min(end + len(line) + 1, len(self.text))
            if line and not line.isspace():
                yield number, end, line

    def behind(self, count: int) -> Body:
        return Body(self.text[self.end(count) :], self.after(count))

    def up_to(self, count: int) -> Body:
        return Body(self.text[: self.end(count)], self.start)


class JsonBatch:
    """Rows of the lines of a body, one of each (protocols.RowBatch)."""

    def __init__(self, rows: Sequence[Row], body: Body) -> None:
        self.rows = rows
        self.after = body.after


class JsonRows:
    """Hand-over ROWS of JSON Lines (protocols.RowBatches); a key that a record lacks is None."""

    partial = False

    def __init__(
        self, found: Sequence[Input], encoding: str, fields: tuple[str, ...], after: Position = START
    ) -> None:
        self.bytes_read = sum(each.size or 0 for each in found[: after.part]) + (after.offset or 0)
        self._after = after
        self._inputs = found
        self._encoding = encoding
        self._keys = fields
        self.fields = (*fields, ABSENT) if self.partial else fields

    def __iter__(self) -> Iterator[Row]:
        for batch in self.row_batches():
            yield from batch.rows

    def row_batches(self) -> Iterator[JsonBatch]:
        fast = FastDecoder(self._keys, partial=self.partial)
        for body, label in self._bodies(self._after):
            rows = fast.rows(body.text, body.filled)
            if rows is None:
                yield from self._strictly(body, label)
            elif rows:
                yield JsonBatch(rows, body)

    def _strictly(self, body: Body, label: str) -> Iterator[JsonBatch]:
        """Yield the rows up to the line that is refused."""
        known, rows = frozenset(self._keys), []
        fault: SyncError | None = None
        for number, _, line in body.lines():
            try:
                rows.append(self._values(line, Location(label, number), known))
            except SyncError as error:
                fault = error
                break
        if rows:
            yield JsonBatch(rows, body if fault is None else body.up_to(len(rows)))
        if fault is not None:
            raise fault

    def _values(self, line: bytes, place: Location, known: frozenset[str]) -> Row:
        record = parse(line, place)
        if not known.issuperset(record):
            raise _late_field(next(key for key in record if key not in known), place)
        return self._row(record)

    def _row(self, record: dict[str, object]) -> Row:
        return tuple([record.get(field) for field in self._keys])

    def locate(self, row: int, after: Position = START) -> str:
        """Return `file:line` of a row behind a place; for standard input, which is gone, its number."""
        if not all(found.reopenable for found in self._inputs):
            return f"{self._inputs[0].label}, row {after.records + row}"
        for body, label in self._bodies(after):
            for number, _, _ in body.lines():
                row -= 1
                if not row:
                    return str(Location(label, number))
        return f"row {row}"

    def _bodies(self, after: Position) -> Iterator[tuple[Body, str]]:
        """Yield the lines behind a place, with the label of their file."""
        before = sum(found.size or 0 for found in self._inputs[: after.part])
        skip = after.records if after.offset is None else 0
        for part, found in enumerate(self._inputs[after.part :], start=after.part):
            start = after if part == after.part and after.offset is not None else Position(part=part, line=1)
            with found.open(start.offset or 0) as reader:
                for body in self._bodies_of(found, reader, start):
                    self.bytes_read = before + reader.bytes_read
                    skipped = min(skip, len(body.filled))
                    skip -= skipped
                    yield body.behind(skipped) if skipped else body, found.label
                before += reader.bytes_read
                self.bytes_read = before

    def _bodies_of(self, found: Input, reader: BlockReader, start: Position) -> Iterator[Body]:
        plain = self._is_plain(found)
        blocks = reader.blocks() if start.offset else utf8(reader.blocks(), self._encoding, found.label)
        for text, behind in _whole_lines(blocks, found.label, start.line):
            # Of a place in the text, that in the file is known where nothing is changed on the way.
            offset = reader.bytes_read - behind - len(text) if plain else None
            body = Body(text, replace(start, offset=offset))
            yield body
            start = body.after(len(body.filled))

    def _is_plain(self, found: Input) -> bool:
        """Tell whether a place in the text is a place in the file."""
        return found.reopenable and found.compression == "none" and self._encoding == "utf-8"

    def records(self, after: Position, number: int) -> Generator[Record, None, None]:
        """Yield the lines that are not blank, as they stand in their files."""
        for part in range(after.part, len(self._inputs)):
            place = after if part == after.part else Position(part=part)
            for record in self._records_of(self._inputs[part], place, number):
                number = record.number + 1
                yield record

    def _records_of(self, found: Input, after: Position, number: int) -> Iterator[Record]:
        begun = bool(after.offset) and after.records > 0
        count, start = (after.records, after.offset or 0) if begun else (0, 0)
        with found.open(start) as reader:
            lines = PhysicalLines(
                reader.blocks(), self._encoding, found.label, carriage_returns=False, start=start
            )
            for height, line in enumerate(lines, start=after.line if begun else 1):
                self.bytes_read = reader.bytes_read
                if not line.raw.decode(lines.encoding, "replace").strip(_BLANKS):
                    continue
                count += 1
                if count > after.records:
                    offset = line.last if self._is_plain(found) else None
                    place = Position(part=after.part, records=count, line=height + 1, offset=offset)
                    yield self._record(line, lines.encoding, found.label, number, place)
                    number += 1

    def _record(self, line: Line, encoding: str, label: str, number: int, after: Position) -> Record:
        values, fault, sqlstate = None, None, None
        height = after.line - 1
        try:
            text = line.raw if encoding == "utf-8" else line.raw.decode(encoding).encode()
            values = self._values(text.rstrip(b"\n"), Location(label, height), frozenset(self._keys))
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


class PartialJsonRows(JsonRows):
    """JSON Lines of which a row tells the keys that it lacks, in a field of its own at the end."""

    partial = True

    def _row(self, record: dict[str, object]) -> Row:
        absent = [field for field in self._keys if field not in record]
        return (*super()._row(record), absent or None)


def _late_field(name: str, place: Location) -> SourceError:
    return SourceError(
        f'the field "{name}" turns up here for the first time',
        detail="the fields of a jsonl source are those of its first records",
        hint="name it under `columns`, or under `ignore_fields`",
        location=place,
    )


def lines(blocks: Iterable[bytes], label: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers."""
    first = 1
    for text, _ in _whole_lines(blocks, label, first):
        for number, _, line in Body(text, Position(line=first)).lines():
            yield number, line
        first += text.count(b"\n")


def _whole_lines(blocks: Iterable[bytes], label: str, line: int) -> Iterator[tuple[bytes, int]]:
    """Yield the blocks cut behind line ends, each with the number of bytes that were read beyond it."""
    pending: list[bytes] = []
    size = 0
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            text = b"".join((*pending, block[:end]))
            pending, size, line = [], 0, line + text.count(b"\n")
            yield text, len(block) - end
        pending += [block[end:]] if end < len(block) else []
        size += len(block) - end
        if size > MAX_LINE:
            message = f"a line is longer than {MAX_LINE // 1024**2} MB"
            raise BadRow(message, hint="one JSON object a line", location=Location(label, line))
    if pending:
        yield b"".join(pending), 0
