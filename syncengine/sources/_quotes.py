"""Tell what is inside quotes and what is outside, block by block, as PostgreSQL's COPY does.

A quote character toggles wherever it stands; inside quotes the escape character, where it is another one,
takes the meaning from a quote that follows it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from syncengine.model.facts import CsvFormat


class Quotes:
    """The state between two blocks: `inside` quotes or not."""

    def __init__(self, form: CsvFormat) -> None:
        self.inside = False
        self._quote = form.quote.encode()
        self._escape = form.escape.encode() if form.escape != form.quote else None
        self._escaped = False
        self._plain = bytes(byte for byte in range(256) if byte not in self._quote + b"\r\n")
        escape = re.escape(form.escape.encode())
        self._stop = re.compile(escape + rb"(?:.|\Z)|" + re.escape(self._quote), re.DOTALL)

    def toggles_only(self, block: bytes) -> bool:
        """Tell whether every quote character of `block` toggles, so that counting them is enough."""
        return self._escape is None or not (self._escaped or self._escape in block)

    def split(self, block: bytes) -> list[bytes]:
        """Cut at the toggling quotes: the first piece lies on the side of `inside`, then they alternate."""
        pieces = block.split(self._quote) if self.toggles_only(block) else self._walk(block)
        self.inside ^= len(pieces) % 2 == 0
        return pieces

    def outline(self, block: bytes) -> list[bytes]:
        """Return the line ends alone, cut where quotes toggle between them; far cheaper than a full split.

        Only for blocks in which every quote toggles.  Two quotes with no line end between them change nothing for any
        line end, so such pairs go.
        """
        return block.translate(None, self._plain).replace(self._quote * 2, b"").split(self._quote)

    def skip(self, block: bytes) -> None:
        """Move the state past `block`."""
        if self.toggles_only(block):
            self.inside ^= block.count(self._quote) % 2 == 1
        else:
            self.split(block)

    def inside_before(self, tail: bytes) -> bool:
        """Tell what the state was before `tail`, in which every quote toggles."""
        return self.inside ^ (tail.count(self._quote) % 2 == 1)

    def _walk(self, block: bytes) -> list[bytes]:
        if not block:
            return [block]
        pieces = []
        inside, start, at = self.inside, 0, int(self._escaped)
        self._escaped = False
        while True:
            if not inside:
                found = block.find(self._quote, at)
            else:
                found, at = self._closing(block, at)
            if found < 0:
                break
            pieces.append(block[start:found])
            start = at = found + 1
            inside = not inside
        pieces.append(block[start:])
        return pieces

    def _closing(self, block: bytes, at: int) -> tuple[int, int]:
        """Return where the closing quote stands, or -1 if it comes in a later block."""
        while match := self._stop.search(block, at):
            at = match.end()
            if match.group() == self._quote:
                return match.start(), at
            self._escaped = len(match.group()) == 1
        return -1, at


class Piece(NamedTuple):
    """A normalised block, the records and lines that end in it, and the state `after` it."""

    block: bytes
    records: int
    lines: int
    after: Quotes
