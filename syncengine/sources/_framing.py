"""Cut normalised CSV into records and fields, exactly as PostgreSQL's COPY reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from syncengine.errors import Location, SourceError
from syncengine.model.facts import CsvFormat
from syncengine.sources._quotes import Quotes

# COPY itself takes no record above 1 GB; as Python text one needs several times its size.
MAX_RECORD = 256 * 1024 * 1024


def records(blocks: Iterable[bytes], form: CsvFormat, label: str, line: int) -> Iterator[tuple[int, bytes]]:
    """Yield each record with the line it starts in, without its line end; `line` is that of the first."""
    quotes = Quotes(form)
    quote = form.quote.encode()
    pending: list[bytes] = []
    size = 0
    for block in blocks:
        lines = block.split(b"\n")
        rest = lines.pop()
        for text in lines:
            if quotes.inside or quote in text:
                quotes.skip(text + b"\n")
            if pending or quotes.inside:
                pending.append(text)
                if quotes.inside:
                    pending.append(b"\n")
                    size += len(text)
                    continue
                text = b"".join(pending)
                pending, size = [], 0
            yield line, text
            line += text.count(b"\n") + 1
        if rest:
            quotes.skip(rest)
            pending.append(rest)
            size += len(rest)
        if size > MAX_RECORD:
            raise _too_large(label, line)


def first_record(
    blocks: Iterator[bytes], form: CsvFormat, label: str, line: int
) -> tuple[bytes | None, bytes]:
    """Return the first record without its line end, None if there is none, and what was read beyond it."""
    fed = 0
    last = b""

    def watched() -> Iterator[bytes]:
        nonlocal fed, last
        for last in blocks:
            fed += len(last)
            yield last

    found = next(records(watched(), form, label, line), None)
    if found is None:
        return None, b""
    return found[1], last[len(last) - (fed - len(found[1]) - 1) :]


def fields(record: str, form: CsvFormat, null: str | None) -> list[str | None]:
    """Return the values: None where the unquoted text equals `null`; quoted text is never NULL."""
    if form.quote in record:
        return _quoted_fields(record, form, null)
    if null == "":
        return [field or None for field in record.split(form.delimiter)]
    return [None if field == null else field for field in record.split(form.delimiter)]


def _quoted_fields(record: str, form: CsvFormat, null: str | None) -> list[str | None]:
    outside, inside = _stops(form)
    found: list[str | None] = []
    at = 0
    while True:
        pieces: list[str] = []
        quoted = False
        while (match := outside.search(record, at)) and match.group() == form.quote:
            quoted = True
            pieces.append(record[at : match.start()])
            at = _unquote(record, match.end(), inside, form.quote, pieces)
        pieces.append(record[at : match.start() if match else len(record)])
        text = "".join(pieces)
        found.append(None if text == null and not quoted else text)
        if match is None:
            return found
        at = match.end()


def _unquote(record: str, at: int, inside: re.Pattern[str], quote: str, pieces: list[str]) -> int:
    """Add the text up to the closing quote to `pieces`; return where it goes on after that."""
    while match := inside.search(record, at):
        pieces.append(record[at : match.start()])
        at = match.end()
        if match.group() == quote:
            return at
        pieces.append(match.group()[1])
    pieces.append(record[at:])
    return len(record)


@cache
def _stops(form: CsvFormat) -> tuple[re.Pattern[str], re.Pattern[str]]:
    delimiter, quote, escape = (re.escape(mark) for mark in (form.delimiter, form.quote, form.escape))
    return re.compile(f"{delimiter}|{quote}"), re.compile(f"{escape}[{escape}{quote}]|{quote}")


def _too_large(label: str, line: int) -> SourceError:
    return SourceError(
        f"the record that starts in line {line} is larger than {MAX_RECORD // 1024**2} MB",
        hint="is a quote left open?",
        location=Location(label, line),
    )
