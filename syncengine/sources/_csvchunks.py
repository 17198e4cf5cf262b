"""CSV files as chunks of whole records, each of which can be read again from its beginning."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from copy import copy

from syncengine.errors import SourceError
from syncengine.model.facts import CsvFormat
from syncengine.protocols import ChunkSize, CsvChunk, Position, Watch
from syncengine.sources import _framing
from syncengine.sources._csvfile import Body, CsvFile
from syncengine.sources._quotes import Piece, Quotes
from syncengine.sources._watch import last_end, watched
from syncengine.values import replace

# What is read where no record ends: a whole file.
WHOLE = ChunkSize()


class Stream:
    """One file from some record on: normalised blocks, cut where a chunk is to end.

    `place` is where the next record begins.  `keeps`: what a chunk took can be put back until it is forgotten.
    """

    def __init__(self, file: CsvFile, after: Position, *, keeps: bool = False) -> None:
        self._file = file
        self._keeps = keeps
        self._stack = ExitStack()
        self._reader = self._stack.enter_context(file.input.open(after.offset or 0))
        self._body = Body(self._reader.blocks(), file.layout, file.label, after if after.offset else None)
        self._blocks = self._body.blocks
        self._ahead: deque[Piece] = deque()
        self._kept: list[Piece] = []
        self._quotes = Quotes(file.layout.form)
        self._records, self._lines = 0, self._body.line - 1
        self.place = after
        if not after.offset:
            self.place = Position(part=after.part, line=self._body.line)
            self._skip(after.records)

    def _skip(self, records: int) -> None:
        for _ in self.take(ChunkSize(records=records)) if records else ():
            pass
        self.forget()

    @property
    def bytes_read(self) -> int:
        return self._reader.bytes_read

    @property
    def done(self) -> bool:
        """Tell whether no record is left; reads ahead to know."""
        if not self._ahead and (piece := self._fetch()) is not None:
            self._ahead.append(piece)
        return not self._ahead

    def take(self, size: ChunkSize) -> Iterator[Piece]:
        """Yield blocks up to the end of a chunk, and move `place` there."""
        sent, before = 0, self.place
        while not self.done:
            piece = self._ahead.popleft()
            cut = self._end(piece, size, sent, self.place.records - before.records)
            if cut is not None and cut < len(piece.block):
                piece = self._cut(piece, cut)
            self._pass(piece)
            sent += len(piece.block)
            yield piece
            if cut is not None:
                break

    def again(self) -> None:
        """Put back what was taken since it was last forgotten."""
        self._ahead.extendleft(reversed(self._kept))
        self.forget()

    def forget(self) -> None:
        self._kept.clear()

    def close(self) -> None:
        self._stack.close()

    def _fetch(self) -> Piece | None:
        block = next(self._blocks, None)
        if block is None:
            return None
        records, lines = self._body.records, self._body.lines
        piece = Piece(block, records - self._records, lines - self._lines, self._body.quotes)
        self._records, self._lines = records, lines
        return piece

    def _cut(self, piece: Piece, at: int) -> Piece:
        """Return what comes before a place in a piece, and put the rest back."""
        block, after = piece.block[:at], copy(self._quotes)
        records, lines = ends_in(block, self._quotes), block.count(b"\n")
        after.skip(block)
        rest = piece._replace(
            block=piece.block[at:], records=piece.records - records, lines=piece.lines - lines
        )
        self._ahead.appendleft(rest)
        return Piece(block, records, lines, after)

    def _pass(self, taken: Piece) -> None:
        self._quotes = taken.after
        if self._keeps:
            self._kept.append(taken)
        ahead = sum(len(piece.block) for piece in self._ahead)
        self.place = replace(
            self.place,
            records=self.place.records + taken.records,
            line=self.place.line + taken.lines,
            offset=self._offset(ahead),
        )

    def _offset(self, ahead: int) -> int | None:
        """Return the place in bytes, if the file can be sought and nothing was changed on the way."""
        if not self._file.seekable or self._body.shifted:
            return None
        return self._reader.bytes_read - self._body.fed + self._body.passed - ahead

    def _end(self, piece: Piece, size: ChunkSize, sent: int, records: int) -> int | None:
        """Return where in a block the chunk ends, None if beyond it."""
        block, count = piece.block, piece.records
        if size.records is not None and count and records + count >= size.records:
            return nth_end(block, self._file.layout.form, self._quotes, size.records - records)
        if size.bytes is not None and count and sent + len(block) >= size.bytes:
            return last_end(block, self._quotes, piece.after)
        return None


def ends_in(block: bytes, quotes: Quotes) -> int:
    """Return how many records end in a block that begins in this state."""
    inside, found = quotes.inside, 0
    pieces = quotes.outline(block) if quotes.toggles_only(block) else copy(quotes).split(block)
    for piece in pieces:
        found += 0 if inside else piece.count(b"\n")
        inside = not inside
    return found


def nth_end(block: bytes, form: CsvFormat, quotes: Quotes, number: int) -> int:
    """Return where the record ends that is so many ends away."""
    inside, at = quotes.inside, 0
    for piece in copy(quotes).split(block):
        ends = 0 if inside else piece.count(b"\n")
        if ends >= number:
            for _ in range(number):
                at = block.index(b"\n", at) + 1
            return at
        number -= ends
        at += len(piece) + len(form.quote)
        inside = not inside
    return len(block)


class Chunk:
    """Records of one file (protocols.CsvChunk)."""

    def __init__(self, file: CsvFile, stream: Stream, size: ChunkSize, *, of_last_file: bool) -> None:
        self.label = file.label
        self.fields = file.fields
        self.start = self.end = stream.place
        self.last = False
        self.records = 0
        self._file = file
        self._stream = stream
        self._size = size
        self._of_last_file = of_last_file

    def blocks(self, watch: Watch | None = None) -> Iterator[bytes]:
        pieces = self._stream.take(self._size)
        if watch is not None:
            pieces = watched(pieces, self._file.layout.form, self.label, self.start.line, watch)
        for block, *_ in pieces:
            self.records = self._stream.place.records - self.start.records
            yield block
        self.end = self._stream.place
        self.records = self.end.records - self.start.records
        if self._stream.done:
            self.last = self._of_last_file
            self.end = self.end if self.last else Position(part=self.end.part + 1)

    def locate(self, line: int) -> str:
        """Return `file:line` of the start of the record whose last line COPY counted as `line`.

        COPY counts the line ends inside quotes, but in the first record only the carriage returns, as it does
        not know yet what a line end looks like.  For standard input it is about the record's last line.
        """
        if not self._file.input.reopenable:
            return f"{self.label}:{line + self.start.line - 1}"
        counted = 0
        for start, record in records(self._file, self.start):
            counted += 1 + record.count(b"\n" if counted else b"\r")
            if counted >= line:
                return f"{self.label}:{start}"
        return self.label

    def before(self, line: int) -> int:
        """Return how many of its records begin before a line of the file."""
        count = 0
        with suppress(SourceError):  # a quote that is never closed
            for start, _ in records(self._file, self.start):
                if start >= line:
                    break
                count += 1
        return count


def records(file: CsvFile, after: Position) -> Iterator[tuple[int, bytes]]:
    """Yield each record after a place with the line it starts in."""
    stream = Stream(file, after)
    try:
        line = stream.place.line
        blocks = (piece.block for piece in stream.take(WHOLE))
        for found in _framing.records(blocks, file.layout.form, file.label, line):
            file.bytes_read = stream.bytes_read
            yield found
        file.bytes_read = stream.bytes_read
    finally:
        stream.close()


class CsvReading:
    """Hand-over CSV_BYTES of files with the same fields (protocols.CsvBytes)."""

    def __init__(self, files: Sequence[CsvFile], after: Position) -> None:
        self._files = files
        self._after = after
        self._stream: Stream | None = None
        self._chunk: Chunk | None = None
        self._ended = False
        self._before = sum(file.input.size or 0 for file in files[: after.part])

    @property
    def bytes_read(self) -> int:
        return self._before + (self._stream.bytes_read if self._stream is not None else 0)

    def chunk(self, size: ChunkSize) -> CsvChunk | None:
        if self._ended or (self._chunk is not None and self._chunk.last):
            return None
        stream = self._stream or self._open(self._after)
        while stream is not None and stream.done and not self._is_all(stream):
            stream = self._next_file()
        self._ended = stream is None
        if stream is None:
            return None
        stream.forget()
        part = stream.place.part
        of_last = part + 1 == len(self._files)
        self._chunk = Chunk(self._files[part], stream, size, of_last_file=of_last)
        return self._chunk

    def _is_all(self, stream: Stream) -> bool:
        """Tell whether an empty file is the chunk that a source without records has."""
        return self._chunk is None and stream.place.part + 1 == len(self._files)

    def rewind(self) -> None:
        assert self._chunk is not None
        assert self._stream is not None
        start, file = self._chunk.start, self._files[self._chunk.start.part]
        if file.input.reopenable:
            self._stream.close()
            self._open(start)
        else:
            self._stream.again()
            self._stream.place = start
        self._chunk = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _open(self, after: Position) -> Stream | None:
        self._stream = None
        if after.part < len(self._files):
            file = self._files[after.part]
            self._stream = Stream(file, after, keeps=not file.input.reopenable)
        return self._stream

    def _next_file(self) -> Stream | None:
        assert self._stream is not None
        part = self._stream.place.part + 1
        self._before += self._stream.bytes_read
        self._stream.close()
        return self._open(Position(part=part))
