"""Cut the bytes of a text file into its physical lines as they stand there, with their places; for any encoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from syncengine.errors import BadRow, Location

# Longer lines are no records of anyone's, and have to be held in memory.
MAX_LINE = 256 * 1024 * 1024
_MARKS = {
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
    "utf-8": ((codecs.BOM_UTF8, "utf-8"),),
    "utf-8-sig": ((codecs.BOM_UTF8, "utf-8"),),
}
_WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}


class Line(Struct, frozen=True):
    """`raw` with its line end, if it has one; `first` is its place in the file."""

    first: int
    raw: bytes

    @property
    def last(self) -> int:
        return self.first + len(self.raw)


class PhysicalLines:
    """The lines of a file from the byte `start` on, where a line begins and the blocks do.  It is read once.

    `encoding` is known once the first line is: a byte order mark tells it, at the beginning of the file.
    """

    def __init__(
        self, blocks: Iterable[bytes], encoding: str, label: str, *, carriage_returns: bool, start: int = 0
    ) -> None:
        self.encoding = encoding
        self._start = start
        self._blocks = iter(blocks)
        self._label = label
        self._carriage_returns = carriage_returns

    def __iter__(self) -> Iterator[Line]:
        head, first = self._head()
        ends, width = self._ends()
        for number, raw in enumerate(self._cut(head, ends, width), start=1):
            if len(raw) > MAX_LINE:
                hint = "is a quote left open, or the line end another one?"
                place = Location(self._label, number)
                raise BadRow(f"a line is longer than {MAX_LINE // 1024**2} MB", hint=hint, location=place)
            yield Line(first, raw)
            first += len(raw)

    def _head(self) -> tuple[bytes, int]:
        """Return the first bytes of the first line, and where they stand: behind the mark, if there is one."""
        head = b""
        while len(head) < 4 and (block := next(self._blocks, None)) is not None:
            head += block
        marks = () if self._start else _MARKS.get(self.encoding, ())
        found = (pair for pair in marks if head.startswith(pair[0]))
        mark, self.encoding = next(found, (b"", _WITHOUT_MARK.get(self.encoding, self.encoding)))
        return head[len(mark) :], self._start + len(mark)

    def _ends(self) -> tuple[re.Pattern[bytes], int]:
        feed, back = "\n".encode(self.encoding), "\r".encode(self.encoding)
        pattern = re.escape(feed)
        if self._carriage_returns:
            pattern = re.escape(back + feed) + b"|" + re.escape(back) + b"|" + pattern
        return re.compile(pattern), len(feed)

    def _cut(self, head: bytes, ends: re.Pattern[bytes], width: int) -> Iterator[bytes]:
        held, searched = head, 0
        while True:
            block = next(self._blocks, None)
            # What a line end needs beyond the block may be yet to come: the LF of a CR LF, the rest of a character.
            limit = len(held) - (width if block is not None else 0)
            at = 0
            while (match := ends.search(held, searched)) and match.end() <= limit:
                if match.start() % width:
                    searched = match.start() + 1  # the halves of two characters
                    continue
                yield held[at : match.end()]
                at = searched = match.end()
            held, searched = held[at:], max(0, len(held) - at - 2 * width)
            if block is None:
                break
            if len(held) > MAX_LINE:
                yield held
                return
            held += block
        if held:
            yield held
