"""Look at some records of a CSV file while its blocks pass, without taking the others apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy

from syncengine.errors import Location
from syncengine.model.facts import CsvFormat
from syncengine.protocols import Watch
from syncengine.sources import _framing
from syncengine.sources._quotes import Piece, Quotes


def watched(pieces: Iterable[Piece], form: CsvFormat, label: str, line: int, watch: Watch) -> Iterator[Piece]:
    """Yield pieces as they are, each after the records that it completes; `line` is that of the first."""
    quotes, passed = Quotes(form), line
    pending: list[bytes] = []
    for piece in pieces:
        block = piece.block
        end = last_end(block, quotes, piece.after)
        quotes, passed = piece.after, passed + piece.lines
        pending.append(block[:end] if end else block)
        if end:
            _look(b"".join(pending), form, label, line, watch)
            rest = block[end:]
            pending, line = [rest], passed - rest.count(b"\n")
        yield piece


def last_end(block: bytes, before: Quotes, after: Quotes) -> int:
    """Return where the last record that ends in `block` ends, 0 if none does."""
    end = block.rfind(b"\n") + 1
    if not end:
        return 0
    if not _inside(block, end, before, after):
        return end
    inside, end, last = before.inside, 0, 0
    for piece in copy(before).split(block):
        found = piece.rfind(b"\n")
        if not inside and found >= 0:
            last = end + found + 1
        end += len(piece) + 1
        inside = not inside
    return last


def _inside(block: bytes, end: int, before: Quotes, after: Quotes) -> bool:
    if before.toggles_only(block):
        return after.inside_before(block[end:])
    there = copy(before)
    there.skip(block[:end])
    return there.inside


def _look(records: bytes, form: CsvFormat, label: str, line: int, watch: Watch) -> None:
    suspects = watch.suspects
    if suspects is not None and not any(pattern.search(records) for pattern in suspects):
        return
    if not _is_faulty(records, form, watch):
        return
    for start, record in _framing.records((records,), form, label, line):
        fields = _framing.fields(record.decode(errors="replace"), form, form.null)
        values = ((fault, fields[place]) for place, fault in watch.faults if place < len(fields))
        if any(value is not None and fault(value) for fault, value in values):
            watch.refuse(fields, Location(label, start))


def _is_faulty(records: bytes, form: CsvFormat, watch: Watch) -> bool:
    """Tell whether a field is at fault; equal texts, of which dates have many, are looked at once."""
    places = [place for place, _ in watch.faults]
    texts: list[set[bytes]] = [set() for _ in places]
    for fields in _first_fields(records, form, max(places) + 1):
        for place, found in zip(places, texts, strict=True):
            if place < len(fields):
                found.add(fields[place])
    return any(
        fault(text.decode(errors="replace"))
        for (_, fault), found in zip(watch.faults, texts, strict=True)
        for text in found
    )


def _first_fields(records: bytes, form: CsvFormat, count: int) -> Iterator[list[bytes]]:
    """Yield the first `count` fields of each record, or more; NULL is empty."""
    delimiter, quote = form.delimiter.encode(), form.quote.encode()
    if quote not in records:
        yield from (record.split(delimiter, count) for record in records.split(b"\n"))
        return
    for record in _records(records, form):
        head, found, _ = record.partition(quote)
        if not found or head.count(delimiter) >= count:
            yield head.split(delimiter, count)
        else:
            text = record.decode(errors="replace")
            yield [(field or "").encode() for field in _framing.fields(text, form, form.null)]


def _records(records: bytes, form: CsvFormat) -> Iterator[bytes]:
    """Yield complete records; as _framing.records does, but faster where all quotes toggle."""
    if form.escape != form.quote:
        yield from (record for _, record in _framing.records((records,), form, "", 1))
        return
    quote = form.quote.encode()
    open_record = b""
    for line in records.split(b"\n"):
        record = open_record + b"\n" + line if open_record else line
        open_record = record if record.count(quote) % 2 else b""
        if not open_record:
            yield record
