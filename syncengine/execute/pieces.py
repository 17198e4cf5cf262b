"""Stage a source with the numbers of its rows, and keep bad ones apart: all others go as fast as they would anyway.

A chunk is sent as a whole.  Where a row of it is refused, what comes before that row is sent once more, and then a few
records are read one by one.  The pieces after that are as long as it was to the bad row, and then longer and longer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import TupleRow

from syncengine.errors import SourceError, SyncError
from syncengine.execute.batches import ArrowChunk
from syncengine.execute.keeping import as_json
from syncengine.execute.reading import Chunk, Reading, RowChunk, reading
from syncengine.execute.refusals import may_be_of_row
from syncengine.execute.tolerant import BATCH, Stager
from syncengine.execute.transfer import NOTHING, Sent, copy_chunk
from syncengine.model.badrows import SHOWN, BadRowSample
from syncengine.model.events import Emit, Progress
from syncengine.model.facts import Handover
from syncengine.model.steps import Pieces, StageRecords
from syncengine.protocols import START, ChunkSize, Position, Record, Source
from syncengine.values import replace

# How many records are read one by one around a bad one.
FEW = 20
# Nearer to one another than that, bad rows cost less in a batch of records than each by itself.
_CLOSE = 200
# Where it is not known which row is refused: how long the next piece is, and how much shorter the one after that.
_SHORT = 2_000
_SHORTER = 8
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
        self.sent = self.sent.with_more(done.sent)
        self.samples = (*self.samples, *done.samples)[:SHOWN]
        self._begun = PieceChunk(start=done.end, end=done.end, before=done.rows, last=done.last)
        return None if done.last else self._begun

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
        plan = _Lengths()
        while not (chunk.last or self._is_full(chunk)):
            pieces = self._step.pieces
            if pieces is None or plan.rows == 0 or not self._may_copy(chunk.end):
                self._take_records(chunk, stager, emit, plan.few)
                plan.passed()
                chunk.last |= enough is not None and self.bad(chunk)[0] >= enough
            else:
                plan.sent(self._refused(pieces, chunk, plan.rows, stager.connection, emit))

    def sent_up_to(self, chunk: PieceChunk | None) -> Sent:
        """Return what was staged up to the end of a chunk, None for the source's."""
        return self.sent if chunk is None else self.sent.with_more(chunk.sent)

    def bad(self, chunk: PieceChunk) -> tuple[int, tuple[BadRowSample, ...]]:
        """Return how many bad rows there are up to the end of a chunk, and the first of them."""
        whole = self.sent_up_to(chunk)
        return whole.rows - whole.taken, (*self.samples, *chunk.samples)[:SHOWN]

    def _is_full(self, chunk: PieceChunk) -> bool:
        if self._step.pieces is None:
            return False
        copy = self._step.pieces.copy
        return (copy.chunk_rows is not None and chunk.sent.rows >= copy.chunk_rows) or (
            copy.chunk_bytes is not None and chunk.sent.bytes >= copy.chunk_bytes
        )

    def _size(self, pieces: Pieces, chunk: PieceChunk, rows: int | None) -> ChunkSize:
        """Return the size of a piece: so many rows, or what is left of the chunk."""
        copy = pieces.copy
        limits = [rows, None if copy.chunk_rows is None else copy.chunk_rows - chunk.sent.rows]
        return ChunkSize(
            bytes=None if copy.chunk_bytes is None else copy.chunk_bytes - chunk.sent.bytes,
            records=min((limit for limit in limits if limit is not None), default=None),
        )

    def _may_copy(self, place: Position) -> bool:
        return self._step.pieces is not None and place.part not in self._slow and self._is_sure(place)

    def _is_sure(self, place: Position) -> bool:
        """Tell whether the source can be opened at a place.

        A quote that is left open hides how many records of a CSV file there are up to it, and in a compressed file all
        that comes before is read again; then only bytes tell.
        """
        assert self._step.pieces is not None
        text = self._step.pieces.copy.handover is not Handover.ARROW and self.facts.bytes is not None
        return not text or bool(place.offset) or not place.records

    def _refused(
        self, pieces: Pieces, chunk: PieceChunk, rows: int | None, connection: Connection, emit: Emit
    ) -> int | None:
        """Send a piece of so many rows at most; return the number of the row that is refused, None if it is staged.

        0: which row that is can't be told, or not where the piece ends.
        """
        piece: Chunk | None = None
        try:
            with connection.transaction():
                fast = self._fast or self._open_fast(pieces, chunk.end)
                piece = fast.chunk(self._size(pieces, chunk, rows))
                self._copy(pieces, chunk, fast, piece, connection, emit)
        except _NoPlace:
            self._slow.add(chunk.end.part)
            self.close()
            return 0
        except SyncError as error:
            if not (may_be_of_row(error) or isinstance(error, SourceError)):
                raise
            self._put_back(pieces)
            return _row_of(error, piece)
        return None

    def _put_back(self, pieces: Pieces) -> None:
        """Have the piece that was refused come once more."""
        if self._fast is not None and pieces.copy.handover is Handover.ARROW:
            self._fast.rewind()
        else:
            self.close()

    def _copy(
        self,
        pieces: Pieces,
        chunk: PieceChunk,
        fast: Reading,
        piece: Chunk | None,
        connection: Connection,
        emit: Emit,
    ) -> None:
        if piece is None:
            chunk.last = True
            return
        connection.execute(pieces.number.encode(), [chunk.rows + 1])
        step = replace(pieces.copy, observes=self._step.observes)
        sent = copy_chunk(step, connection, fast, piece, emit, before=fast.bytes_read)
        if not (piece.last or self._is_sure(piece.end)):
            raise _NoPlace
        if piece.end.offset and piece.start.part == piece.end.part:
            sent = replace(sent, bytes=piece.end.offset - (piece.start.offset or 0))
        self._add(chunk, sent, piece.end, connection, accepted=True)
        chunk.last = piece.last

    def _open_fast(self, pieces: Pieces, place: Position) -> Reading:
        self._fast = self._files.enter_context(reading(pieces.copy, self._source, place, keeps_batches=True))
        return self._fast

    def _take_records(self, chunk: PieceChunk, stager: Stager, emit: Emit, few: int) -> None:
        """Stage a few records one by one; a file that can't be opened behind them is read on like that to its end."""
        if self._records is None:
            self.close()
            records = self._source.records(chunk.end, chunk.rows + 1)
            self._records = self._files.enter_context(closing(records))
        rows, bad, size = stager.rows, stager.bad, stager.bytes
        batch = list(self._batch(self._records, few))
        chunk.last = not batch
        stager.take(batch)
        taken = stager.rows - rows - (stager.bad - bad)
        kinds = stager.found_kinds if self.facts.csv is None else None
        sent = Sent(rows=stager.rows - rows, taken=taken, bytes=stager.bytes - size, kinds=kinds)
        end = batch[-1].after if batch else chunk.end
        self._add(chunk, sent, end, stager.connection, accepted=False)
        chunk.samples = tuple(stager.samples)
        emit(Progress(rows=self.sent.rows + chunk.sent.rows, bytes=self.sent.bytes + chunk.sent.bytes))
        if self._may_copy(chunk.end):
            self.close()

    def _add(
        self, chunk: PieceChunk, sent: Sent, end: Position, connection: Connection, *, accepted: bool
    ) -> None:
        """Count what was staged of a chunk, and note where it begins, so that bad rows are found there later."""
        if self._step.pieces is not None and sent.rows:
            place = [chunk.rows + 1, as_json(chunk.end), accepted]
            connection.execute(self._step.pieces.place.encode(), place)
        chunk.add(sent, end)

    def _batch(self, records: Iterator[Record], few: int) -> Iterator[Record]:
        """Yield a few records, or a batch of them where all are read one by one."""
        rows = few if self._step.pieces is not None and not self._slow else BATCH
        size = _BATCH_BYTES
        while rows > 0 and size > 0 and (record := next(records, None)) is not None:
            rows, size = rows - 1, size - len(record.raw)
            yield record


@dataclass
class _Lengths:
    """How long the next piece is: `rows`, None: as long as the chunk, 0: `few` records are to be read one by one.

    `few` are more where bad rows stand close together.  `_reach` is the length of the pieces behind a bad row.
    `_exact`: the piece ends in front of one.
    """

    rows: int | None = None
    few: int = FEW
    _reach: int | None = None
    _exact: bool = False

    def passed(self) -> None:
        """Go on behind records that were read one by one."""
        self.rows, self._exact = self._reach, False

    def sent(self, refused: int | None) -> None:
        """Go on behind a piece; before it, if a row of it was `refused`, of which 0 is any."""
        if refused is None:
            if self._exact:
                self.rows, self._exact = 0, False
            elif self.rows is not None:
                self.rows = self._reach = 2 * self.rows
        elif refused and (self.rows is None or refused <= self.rows):
            self.rows, self._exact = refused - 1, True
            self.few = min(BATCH, 2 * self.few) if refused <= _CLOSE else FEW
            self._reach = max(FEW, refused)
        else:
            self.rows, self._exact = _SHORT if self.rows is None else self.rows // _SHORTER, False
            self._reach = max(FEW, self.rows)


def _row_of(error: SyncError, piece: Chunk | None) -> int:
    """Return the number of the row of a piece that an error is about, 0 if that is not known."""
    if piece is None or isinstance(piece, RowChunk | ArrowChunk):
        return error.row or 0
    # COPY counts lines, and a record may have several.
    return piece.before(error.location.line) + 1 if error.location and error.location.line else 0


@contextmanager
def staging(
    step: StageRecords, source: Source, after: Position = START, rows: int = 0
) -> Iterator[PieceReading]:
    with closing(PieceReading(step, source, after, rows)) as found:
        yield found
