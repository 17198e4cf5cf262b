"""The records of a CSV file as they stand there, the broken ones among them.

A record ends at the first line end outside quotes, as COPY reads it.  Where it does not end within MOST_LINES lines or
MOST_BYTES bytes, or where it ends after several lines with a wrong number of fields and with text beside its quotes,
a quote was left open: then its first line alone is taken for a broken record, and the next one begins with the next
line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from copy import copy

from msgspec import Struct

from syncengine.model.facts import CsvFormat
from syncengine.protocols import Position, Record
from syncengine.sources import _framing
from syncengine.sources._csvfile import CsvFile
from syncengine.sources._files import BlockReader
from syncengine.sources._physical import Line, PhysicalLines
from syncengine.sources._quotes import Quotes

MOST_LINES = 10_000
MOST_BYTES = 16 * 1024 * 1024
_OPEN = "a quoted field is never closed"
# SQLSTATEs of the server for a file that COPY can't read, and for bytes that are no text.
_NO_RECORD = "22P04"
NO_TEXT = "22021"


class _Framed(Struct, frozen=True, kw_only=True):
    """The lines of a record, and its fields or what is wrong with it."""

    lines: tuple[Line, ...]
    fields: list[str | None] | None
    fault: str | None = None
    sqlstate: str | None = None


class CsvRecords:
    """The records of one file with `fields`, in its own order of them.

    `accepted`: COPY has taken them, so that none has a quote that was left open.
    """

    def __init__(self, file: CsvFile, *, accepted: bool = False) -> None:
        self._accepted = accepted
        self._input = file.input
        self._layout = layout = file.layout
        self._seekable = file.seekable
        self._form: CsvFormat = layout.form
        self._count = len(file.fields)
        self._encoding = layout.encoding
        self._quotes = Quotes(layout.form)
        self._line = 1
        self._head = b""

    def read(self, after: Position, number: int) -> Iterator[Record]:
        """Yield the records of the file that come after a position in it; the first is the source's `number`."""
        begun = bool(after.offset) and after.records > 0
        before, start = (after.records, after.offset or 0) if begun else (0, 0)
        if begun:
            self._read_head()
        with self._input.open(start) as reader:
            found = self._lines(reader, start)
            lines = iter(found)
            ahead: deque[Line] = deque()
            # The encoding is known once there is a line.
            if (first := next(lines, None)) is None:
                return
            ahead.append(first)
            self._encoding = found.encoding
            self._line = after.line if begun else self._skip_head(ahead, lines)
            for place, framed in enumerate(self._framed(ahead, lines), start=before):
                line = self._line
                self._line += self._height(framed.lines)
                last = framed.lines[-1].last
                if place < after.records:
                    continue
                yield Record(
                    number=number + place - after.records,
                    label=self._input.label,
                    line=line,
                    first=framed.lines[0].first,
                    last=last,
                    raw=b"".join(item.raw for item in framed.lines),
                    values=None if framed.fields is None else tuple(framed.fields),
                    fault=framed.fault,
                    sqlstate=framed.sqlstate,
                    head=self._head,
                    after=Position(
                        part=after.part,
                        records=place + 1,
                        line=self._line,
                        offset=last if self._seekable else None,
                    ),
                )

    def _read_head(self) -> None:
        with self._input.open() as reader:
            self._skip_head(deque(), iter(self._lines(reader)))

    def _lines(self, reader: BlockReader, start: int = 0) -> PhysicalLines:
        encoding, label = self._layout.encoding, self._input.label
        return PhysicalLines(reader.blocks(), encoding, label, carriage_returns=True, start=start)

    def _next(self, ahead: deque[Line], lines: Iterator[Line]) -> Line | None:
        return ahead.popleft() if ahead else next(lines, None)

    def _skip_head(self, ahead: deque[Line], lines: Iterator[Line]) -> int:
        """Leave out the first lines and the header, which was read before and is whole; return the line that
        follows.
        """
        for _ in range(self._layout.skip_lines):
            self._next(ahead, lines)
        header: list[Line] = []
        quotes = copy(self._quotes)
        while self._layout.header and (line := self._next(ahead, lines)) is not None:
            header.append(line)
            quotes.skip(self._text(line.raw).encode())
            if not quotes.inside:
                break
        self._head = b"".join(line.raw for line in header)
        return self._layout.skip_lines + 1 + (self._height(header) if header else 0)

    def _framed(self, ahead: deque[Line], lines: Iterator[Line]) -> Iterator[_Framed]:
        while (first := self._next(ahead, lines)) is not None:
            framed = self._frame(first, ahead, lines)
            yield framed

    def _frame(self, first: Line, ahead: deque[Line], lines: Iterator[Line]) -> _Framed:
        """Return the record that begins with a line; those that it does not need stay `ahead`."""
        quotes = self._opened(first.raw)
        if quotes is None:
            return self._judged((first,))
        size, needed = len(first.raw), 0
        while quotes.inside and (self._accepted or (needed < MOST_LINES and size <= MOST_BYTES)):
            if needed == len(ahead):
                if (line := next(lines, None)) is None:
                    break
                ahead.append(line)
            line = ahead[needed]
            needed += 1
            size += len(line.raw)
            quotes.skip(self._text(line.raw).encode())
        if quotes.inside:
            return _broken((first,), _OPEN)
        whole = self._judged((first, *(ahead[place] for place in range(needed))))
        if whole.fields is None and not self._is_well_quoted(whole.lines):
            return _broken((first,), _OPEN)
        for _ in range(needed):
            ahead.popleft()
        return whole

    def _opened(self, raw: bytes) -> Quotes | None:
        """Return the state after a line that leaves a quote open, None if it does not."""
        text = self._text(raw)
        if self._form.quote not in text:
            return None
        quotes = copy(self._quotes)
        quotes.skip(text.encode())
        return quotes if quotes.inside else None

    def _text(self, raw: bytes) -> str:
        """Return a line's text for framing, whatever is wrong with it."""
        return raw.decode(self._encoding, "replace")

    def _judged(self, lines: tuple[Line, ...]) -> _Framed:
        raw = b"".join(line.raw for line in lines)
        try:
            text = raw.decode(self._encoding)
            text.encode()
        except UnicodeError as error:
            return _broken(lines, _undecodable(error, raw, self._encoding), NO_TEXT)
        record = _without_end(text)
        if "\0" in record:
            return _broken(lines, "a field holds a NUL character, which PostgreSQL cannot store", NO_TEXT)
        fields = _framing.fields(record, self._form, self._form.null)
        if len(fields) != self._count:
            noun = "field" if len(fields) == 1 else "fields"
            return _broken(lines, f"the record has {len(fields)} {noun}, expected were {self._count}")
        return _Framed(lines=lines, fields=fields)

    def _is_well_quoted(self, lines: Sequence[Line]) -> bool:
        """Tell whether each quoted field is quoted from its beginning to its end."""
        text = _without_end("".join(self._text(line.raw) for line in lines))
        quote, escape, delimiter = self._form.quote, self._form.escape, self._form.delimiter
        at, end = 0, len(text)
        while at <= end:
            if text.startswith(quote, at):
                at += 1
                while at < end:
                    if text[at] == escape and text[at + 1 : at + 2] in (quote, escape) and at + 1 < end:
                        at += 2
                    elif text[at] == quote:
                        break
                    else:
                        at += 1
                at += 1
                if at < end and text[at] != delimiter:
                    return False
            else:
                stop = text.find(delimiter, at)
                stop = end if stop < 0 else stop
                if quote in text[at:stop]:
                    return False
                at = stop
            at += 1
        return True

    def _height(self, lines: Sequence[Line]) -> int:
        """Return how many lines a record takes; inside quotes a carriage return alone ends none."""
        within = sum("\n" in self._text(line.raw)[-2:] for line in lines[:-1])
        return within + 1


def _broken(lines: tuple[Line, ...], fault: str, sqlstate: str = _NO_RECORD) -> _Framed:
    return _Framed(lines=lines, fields=None, fault=fault, sqlstate=sqlstate)


def _without_end(text: str) -> str:
    for end in ("\r\n", "\n", "\r"):
        if text.endswith(end):
            return text[: -len(end)]
    return text


def _undecodable(error: UnicodeError, raw: bytes, encoding: str) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return "a text holds half of a surrogate pair, which is no text"
    name = "UTF-8" if encoding == "utf-8" else encoding
    bad = raw[error.start] if error.start < len(raw) else 0
    return f"not valid {name}: {error.reason}: byte 0x{bad:02x} at byte {error.start + 1} of the record"
