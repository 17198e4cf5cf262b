"""Stage a source with the numbers of its rows, and keep bad ones apart: all others go as fast as they would anyway.

A chunk is sent as a whole.  Where a row of it is refused, an eighth of it is sent, then an eighth of that; what is as
small as that is read record by record.  The pieces that follow are each twice as large as the one before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg.rows import TupleRow

from syncengine.errors import SourceError, SyncError
from syncengine.execute.keeping import as_json
from syncengine.execute.reading import Reading, reading
from syncengine.execute.refusals import may_be_of_row
from syncengine.execute.tolerant import BATCH, Stager
from syncengine.execute.transfer import NOTHING, Sent, copy_chunk
from syncengine.model.badrows import SHOWN, BadRowSample
from syncengine.model.events import Emit, Progress
from syncengine.model.facts import Handover
from syncengine.model.plan import Pieces, StageRecords
from syncengine.protocols import START, ChunkSize, Position, Record, Source

# What a chunk is cut into where it has to be, and how much smaller a piece is than the one that was refused.
UNITS = 64
_SMALLER = 8
_BATCH_BYTES = 4 * 1024 * 1024

Connection = psycopg.Connection[TupleRow]


@dataclass
class PieceChunk:
    """A chunk, and what has been staged of it.  `before` rows of the source come before it."""

    start: Position
    before: int
    end: Position
    last: bool = False
    sent: Sent = NOTHING
    samples: tuple[BadRowSample, ...] = ()

    def add(self, sent: Sent, place: Position) -> None:
        self.sent = self.sent.with_more(sent)
        self.end = place

    @property
    def rows(self) -> int:
        """Return how many rows of the source come before the next one."""
        return self.before + self.sent.rows


class _NoPlace(Exception):
    """A piece ends where nobody can go on from."""


class PieceReading:
    """A source that is staged chunk by chunk, behind a place before which `rows` of it stand.

    `sent` is what was staged of it, without the chunk that was begun last, and `samples` are the first bad ones.
    """

    def __init__(self, step: StageRecords, source: Source, after: Position, rows: int) -> None:
        self.facts = source.describe()
        self.sent = NOTHING
        self.samples: tuple[BadRowSample, ...] = ()
        self._step = step
        self._source = source
        self._begun = PieceChunk(start=after, end=after, before=rows)
        self._files = ExitStack()
        self._fast: Reading | None = None
        self._records: Generator[Record, None, None] | None = None
        self._slow: set[int] = set()

    def chunk(self) -> PieceChunk | None:
        """Begin the next chunk; None at the end of the source."""
        done = self._begun
        if done.last:
            return None
        self.sent = self.sent.with_more(done.sent)
        self.samples = (*self.samples, *done.samples)[:SHOWN]
        self._begun = PieceChunk(start=done.end, end=done.end, before=done.rows)
        return self._begun

    def rewind(self) -> None:
        """Go back to the beginning of the chunk that was begun last."""
        self.close()
        begun = self._begun
        self._begun = PieceChunk(start=begun.start, end=begun.start, before=begun.before)

    def close(self) -> None:
        self._fast = self._records = None
        self._files.close()

    def stage(self, chunk: PieceChunk, stager: Stager, emit: Emit, *, enough: int | None = None) -> None:
        """Stage a chunk in the transaction that is open; no more of it once there are `enough` bad rows in all."""
        left = size = self._units
        while left > 0 and not chunk.last:
            pieces = self._step.pieces
            if pieces is None or not size or not self._may_copy(chunk.end):
                self._take_records(chunk, stager, emit)
                left, size = left - 1, 2
                chunk.last |= enough is not None and self.bad(chunk)[0] >= enough
            elif self._copied(pieces, chunk, min(size, left), stager.connection, emit):
                left, size = left - size, 2 * size
            else:
                size = size // _SMALLER

    def bad(self, chunk: PieceChunk) -> tuple[int, tuple[BadRowSample, ...]]:
        """Return how many bad rows there are up to the end of a chunk, and the first of them."""
        whole = self.sent.with_more(chunk.sent)
        return whole.rows - whole.taken, (*self.samples, *chunk.samples)[:SHOWN]

    def kinds(self, chunk: PieceChunk) -> dict[str, frozenset[str]] | None:
        return self.sent.with_more(chunk.sent).kinds

    def bytes_of(self, chunk: PieceChunk, before: int) -> int:
        """Return how many bytes a chunk takes in the source, of which `before` come before it."""
        if chunk.last and self.facts.bytes is not None:
            return max(0, self.facts.bytes - before)
        if chunk.end.offset and chunk.start.part == chunk.end.part:
            return chunk.end.offset - (chunk.start.offset or 0)
        return chunk.sent.bytes

    @property
    def _units(self) -> int:
        rows = None if self._step.pieces is None else self._step.pieces.copy.chunk_rows
        return UNITS if rows is None else min(UNITS, rows)

    def _size(self, units: int) -> ChunkSize:
        assert self._step.pieces is not None
        copy, whole = self._step.pieces.copy, self._units
        return ChunkSize(
            bytes=None if copy.chunk_bytes is None else copy.chunk_bytes * units // whole,
            records=None if copy.chunk_rows is None else copy.chunk_rows * units // whole,
        )

    def _may_copy(self, place: Position) -> bool:
        return self._step.pieces is not None and place.part not in self._slow and self._is_sure(place)

    def _is_sure(self, place: Position) -> bool:
        """Tell whether the source can be opened at a place.

        A quote that is left open hides how many records of a CSV file there are up to it; then only bytes tell.
        """
        assert self._step.pieces is not None
        by_bytes = self._step.pieces.copy.handover is Handover.CSV_BYTES
        return not by_bytes or bool(place.offset) or not place.records

    def _copied(
        self, pieces: Pieces, chunk: PieceChunk, units: int, connection: Connection, emit: Emit
    ) -> bool:
        """Send so many units as they are; False if a row of them is refused, or where they end can't be told."""
        try:
            with connection.transaction():
                self._copy(pieces, chunk, units, connection, emit)
        except _NoPlace:
            self._slow.add(chunk.end.part)
            self.close()
            return False
        except SyncError as error:
            if not (may_be_of_row(error) or isinstance(error, SourceError)):
                raise
            self._put_back(pieces)
            return False
        return True

    def _put_back(self, pieces: Pieces) -> None:
        """Have the piece that was refused come once more."""
        if self._fast is not None and pieces.copy.handover is Handover.ARROW:
            self._fast.rewind()
        else:
            self.close()

    def _copy(
        self, pieces: Pieces, chunk: PieceChunk, units: int, connection: Connection, emit: Emit
    ) -> None:
        fast = self._fast or self._open_fast(pieces, chunk.end)
        first, piece = chunk.rows + 1, fast.chunk(self._size(units))
        if piece is None:
            chunk.last = True
            return
        connection.execute(pieces.number.encode(), [first])
        step = replace(pieces.copy, observes=self._step.observes)
        sent = copy_chunk(step, connection, fast, piece, emit, before=fast.bytes_read)
        if not (piece.last or self._is_sure(piece.end)):
            raise _NoPlace
        self._add(chunk, sent, piece.end, connection)
        chunk.last = piece.last

    def _open_fast(self, pieces: Pieces, place: Position) -> Reading:
        self._fast = self._files.enter_context(reading(pieces.copy, self._source, place, keeps_batches=True))
        return self._fast

    def _take_records(self, chunk: PieceChunk, stager: Stager, emit: Emit) -> None:
        """Stage a unit record by record, and go on so to the end of a file that can't be opened behind it."""
        if self._records is None:
            self.close()
            records = self._source.records(chunk.end, chunk.rows + 1)
            self._records = self._files.enter_context(closing(records))
        rows, bad, size = stager.rows, stager.bad, stager.bytes
        batch = list(self._batch(self._records))
        chunk.last = not batch
        stager.take(batch)
        taken = stager.rows - rows - (stager.bad - bad)
        kinds = stager.found_kinds if self.facts.csv is None else None
        sent = Sent(rows=stager.rows - rows, taken=taken, bytes=stager.bytes - size, kinds=kinds)
        self._add(chunk, sent, batch[-1].after if batch else chunk.end, stager.connection)
        chunk.samples = tuple(stager.samples)
        emit(Progress(rows=self.sent.rows + chunk.sent.rows, bytes=self.sent.bytes + chunk.sent.bytes))
        if self._may_copy(chunk.end):
            self.close()

    def _add(self, chunk: PieceChunk, sent: Sent, end: Position, connection: Connection) -> None:
        """Count what was staged of a chunk, and note where it begins, so that bad rows are found there later."""
        if self._step.pieces is not None and sent.rows:
            place = [chunk.rows + 1, as_json(chunk.end)]
            connection.execute(self._step.pieces.place.encode(), place)
        chunk.add(sent, end)

    def _batch(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield a unit of records, at most a batch."""
        rows, size = BATCH, _BATCH_BYTES
        if self._step.pieces is not None:
            unit = self._size(1)
            rows, size = min(rows, unit.records or rows), min(size, unit.bytes or size)
        while rows > 0 and size > 0 and (record := next(records, None)) is not None:
            rows, size = rows - 1, size - len(record.raw)
            yield record


@contextmanager
def staging(
    step: StageRecords, source: Source, after: Position = START, rows: int = 0
) -> Iterator[PieceReading]:
    with closing(PieceReading(step, source, after, rows)) as found:
        yield found
