"""Make CSV blocks safe for COPY: line ends become LF, a lone backslash-dot is quoted, records are counted.

Blocks that need nothing pass untouched: they are searched, never taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import copy

from syncengine.errors import Location, SourceError
from syncengine.model.facts import CsvFormat
from syncengine.sources._quotes import Quotes

# Up to PostgreSQL 17 a line that holds only \. ends COPY without an error, even in CSV.  Quoted it means the
# same, and inside a quoted field the two quotes close and open it again.
END_MARK = b"\\."
# Begins with a fixed byte, for which Python searches far faster than for two.
_END_MARK = re.compile(rb"\\(?=\.)")
_LONE_END_MARK = re.compile(rb"(?<=\n)\\\.(?=\n)")


class Normaliser:
    """`records` counts complete records, `lines` line ends; the current record starts in `record_line`.

    `fed` bytes came in and `passed` went out; `shifted` tells that some were put in or taken out on the way.
    """

    def __init__(self, form: CsvFormat, label: str, first_line: int = 1) -> None:
        self.records = self.fed = self.passed = 0
        self.shifted = False
        self.lines = first_line - 1
        self.record_line = first_line
        self._label = label
        self._quote = form.quote.encode()
        self._quotes = Quotes(form)
        self._quoted_mark = self._quote + END_MARK + self._quote
        self._held = b""
        self._at_line_start = True

    @property
    def quotes(self) -> Quotes:
        """Return the state after what was passed."""
        return copy(self._quotes)

    def run(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the normalised blocks; the last line gets its LF.  SourceError for a quote left open."""
        for block in blocks:
            if done := self.feed(block):
                yield done
        if done := self.finish():
            yield done

    def feed(self, block: bytes) -> bytes:
        self.fed += len(block)
        if self._held:
            block = self._held + block
        cut = len(block) - _undecided(block)
        self._held = block[cut:]
        return self._pass(block[:cut] if self._held else block)

    def finish(self) -> bytes:
        block, self._held = self._held, b""
        complete = block.endswith(b"\r") or (not block and self._at_line_start)
        done = self._pass(block if complete else block + b"\n")
        if self._quotes.inside:
            raise SourceError(
                f"the record that starts in line {self.record_line} has a quoted field that is never closed",
                hint="close the quote, or state another character as `quote`",
                location=Location(self._label, self.record_line),
            )
        return done

    def _pass(self, block: bytes) -> bytes:
        if not block:
            return block
        size = len(block)
        if self._quotes.inside or self._quote in block:
            block = self._pass_quoted(block)
        else:
            block = _with_line_feeds(block)
            self._count([block], inside=False)
        marked = self._without_end_marks(block)
        # One takes bytes out and the other puts some in, which must not make up for each other.
        self.shifted |= len(block) != size or len(marked) != len(block)
        self._at_line_start = marked.endswith(b"\n")
        self.passed += len(marked)
        return marked

    def _pass_quoted(self, block: bytes) -> bytes:
        inside = self._quotes.inside
        if self._quotes.toggles_only(block):
            outline = self._quotes.outline(block)
            if b"\r" in block and not any(b"\r" in quoted for quoted in outline[not inside :: 2]):
                block = _with_line_feeds(block)
                outline = self._quotes.outline(block)
            if b"\r" not in block:
                self._count(outline, inside)
                self._quotes.inside ^= len(outline) % 2 == 0
                return block
        pieces = self._quotes.split(block)
        for number in range(int(inside), len(pieces), 2):
            pieces[number] = _with_line_feeds(pieces[number])
        self._count(pieces, inside)
        return self._quote.join(pieces)

    def _count(self, pieces: list[bytes], inside: bool) -> None:
        for piece in pieces:
            ends = piece.count(b"\n")
            self.lines += ends
            if ends and not inside:
                self.records += ends
                self.record_line = self.lines + 1
            inside = not inside

    def _without_end_marks(self, block: bytes) -> bytes:
        if not _END_MARK.search(block):
            return block
        if self._at_line_start and block.startswith(END_MARK + b"\n"):
            block = self._quoted_mark + block[len(END_MARK) :]
        return _LONE_END_MARK.sub(lambda _: self._quoted_mark, block) if b"\n" + END_MARK in block else block


def _with_line_feeds(piece: bytes) -> bytes:
    return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece


def _undecided(block: bytes) -> int:
    r"""Return how many bytes at the end may be the beginning of CR LF, or of a line holding only `\.`."""
    if not block.endswith((b"\r", b"\\", b".")):
        return 0
    for end in (b"\\.\r", b"\r", b"\\.", b"\\"):
        if block.endswith(end):
            return len(end)
    return 0
