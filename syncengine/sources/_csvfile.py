"""One CSV file: its header, a first look, its blocks for COPY, and its records with their lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain

from msgspec import Struct

from syncengine.errors import BadRow, Location, SourceError
from syncengine.protocols import Position
from syncengine.sources import _framing
from syncengine.sources._dialect import Layout
from syncengine.sources._files import SAMPLE, Input
from syncengine.sources._normalise import Normaliser
from syncengine.sources._quotes import Quotes
from syncengine.sources._text import check_plain_text, utf8

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Survey(Struct, frozen=True, kw_only=True):
    """What the head of a file tells.  `width`: fields of the first record, if there is no header."""

    header: tuple[str, ...]
    width: int
    rows: int | None
    exact: bool


class Body:
    """A stream of normalised blocks, cut after the header; `line` is where the first record starts.

    `after` is a place in the middle of the file, where `blocks` begin.
    """

    def __init__(
        self, blocks: Iterable[bytes], layout: Layout, label: str, after: Position | None = None
    ) -> None:
        if after is None:
            texts = _without_lines(utf8(blocks, layout.encoding, label), layout.skip_lines)
        else:
            texts = iter(blocks)
        self.line = layout.skip_lines + 1 if after is None else after.line
        self.header: bytes | None = None
        self._normaliser = Normaliser(layout.form, label, self.line)
        self.blocks = self._normaliser.run(texts)
        if layout.header and after is None:
            self.header, rest = _framing.first_record(self.blocks, layout.form, label, self.line)
            self.blocks = chain((rest,) if rest else (), self.blocks)
        if self.header is not None:
            self.line += self.header.count(b"\n") + 1

    @property
    def records(self) -> int:
        return self._normaliser.records - (self.header is not None)

    @property
    def lines(self) -> int:
        """Return how many lines of the file have ended."""
        return self._normaliser.lines

    @property
    def quotes(self) -> Quotes:
        return self._normaliser.quotes

    @property
    def fed(self) -> int:
        """Return how many bytes were read of what comes after a byte order mark and lines left out."""
        return self._normaliser.fed

    @property
    def passed(self) -> int:
        """Return how many bytes were made of those, the header's too."""
        return self._normaliser.passed

    @property
    def shifted(self) -> bool:
        """Tell whether bytes were put in or taken out, so that places in the text are not those in the file."""
        return self._normaliser.shifted


class CsvFile:
    """One file of a CSV source; `fields` are known once the source was described."""

    def __init__(self, found: Input, layout: Layout) -> None:
        self.label = found.label
        self.input = found
        self.fields: tuple[str, ...] = layout.names
        self.bytes_read = 0
        self.layout = layout

    def survey(self) -> Survey:
        """Read the header and the first 64 kB or more; SourceError if that cannot be a CSV as declared."""
        seen = used = 0

        def counted() -> Iterator[bytes]:
            nonlocal seen, used
            for block, stored in sample:
                if not seen and self.layout.encoding == "utf-8":
                    check_plain_text(block, self.label)
                seen, used = seen + len(block), stored
                yield block

        with closing(self.input.sample()) as sample:
            body = Body(counted(), self.layout, self.label)
            width = 0 if self.layout.header else self._width(body)
            try:
                for _ in body.blocks:
                    if seen > SAMPLE:
                        break
                complete = next(body.blocks, None) is None
            except SourceError:
                complete = seen <= SAMPLE  # what can't be read is met again, and told of, when the rows are
        size = self.input.size
        rows = body.records if complete else _scaled(body.records, used, size)
        header = self._names(body.header) if self.layout.header else ()
        return Survey(header=header, width=width, rows=rows, exact=complete)

    @property
    def seekable(self) -> bool:
        """Tell whether a place in the text is a place in the file."""
        plain = self.input.compression == "none" and self.layout.encoding == "utf-8"
        return plain and self.input.reopenable

    def rows(self, records: Iterable[tuple[int, bytes]]) -> Iterator[list[str | None]]:
        """Yield the values of each record, given with its line; BadRow for one with too few or too many fields."""
        for line, record in records:
            values = self._values(record, line, self.layout.form.null)
            if len(values) != len(self.fields):
                raise self._ragged(len(values), line)
            yield values

    def _values(self, record: bytes, line: int, null: str | None) -> list[str | None]:
        try:
            text = record.decode()
        except UnicodeDecodeError as error:
            line += record.count(b"\n", 0, error.start)
            raise BadRow(
                f"{self.label} is not valid UTF-8: {error.reason}",
                detail=f"byte 0x{record[error.start]:02x} at byte {error.start + 1} of its record",
                hint="state the file's `encoding`, such as latin-1 or cp1252",
                location=Location(self.label, line),
            ) from error
        if "\0" in text:
            line += text.count("\n", 0, text.index("\0"))
            message = "a field holds a NUL character, which PostgreSQL cannot store"
            raise BadRow(
                message, hint="take the NUL bytes out of the file", location=Location(self.label, line)
            )
        return _framing.fields(text, self.layout.form, null)

    def _width(self, body: Body) -> int:
        first, _ = _framing.first_record(body.blocks, self.layout.form, self.label, body.line)
        return 0 if first is None else len(self._values(first, body.line, None))

    def _names(self, header: bytes | None) -> tuple[str, ...]:
        line = self.layout.skip_lines + 1
        if header is None:
            after = f" after the {line - 1} lines that are skipped" if line > 1 else ""
            raise SourceError(
                f"{self.label} is empty{after}: a header line was expected",
                hint="see that the program that writes it is done, or name the fields: `header: [id, …]`",
                location=Location(self.label),
            )
        names = tuple(name or "" for name in self._values(header, line, None))
        if "" in names:
            message = f"field {names.index('') + 1} of the header has no name"
            hint = "name it, or state names of your own: `header: [id, …]` with `skip_lines: 1`"
            raise SourceError(message, detail=_shown(header), hint=hint, location=Location(self.label, line))
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            message = f"the header names {', '.join(twice)} more than once"
            hint = "name each field once, or state names of your own: `header: [id, …]` with `skip_lines: 1`"
            raise SourceError(message, detail=_shown(header), hint=hint, location=Location(self.label, line))
        return names

    def _ragged(self, found: int, line: int) -> BadRow:
        wanted, who = len(self.fields), "the header has" if self.layout.header else "expected were"
        noun = "field" if found == 1 else "fields"
        hint = "check delimiter and quotes: a value that holds the delimiter must be quoted"
        message = f"the record has {found} {noun}, {who} {wanted}"
        return BadRow(message, hint=hint, location=Location(self.label, line))


def _scaled(records: int, used: int, size: int | None) -> int | None:
    return None if size is None or not used else max(records, records * size // used)


def _without_lines(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Leave out the first `count` lines, ended by LF, CR LF or CR, whatever they hold."""
    head = b""
    while count and (block := next(blocks, None)) is not None:
        head += block
        while count and (end := _LINE_END.search(head)):
            if end.group() == b"\r" and end.end() == len(head):
                break  # the LF of a CR LF may come with the next block
            head, count = head[end.end() :], count - 1
    if count:
        return
    if head:
        yield head
    yield from blocks


def _shown(record: bytes) -> str:
    text = record.decode(errors="replace")
    return text if len(text) <= 200 else text[:200] + " …"
