"""A source as chunks, each to be copied by itself, whatever its hand-over; a chunk can be read once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from sys import getsizeof
from typing import Protocol

from msgspec import Struct

from syncengine.execute.batches import ArrowChunk, BatchReading
from syncengine.execute.rereading import Rereading
from syncengine.model.facts import Handover
from syncengine.model.steps import CopyIn
from syncengine.protocols import (
    START,
    ChunkSize,
    CsvBytes,
    CsvChunk,
    Payload,
    Position,
    RowBatch,
    RowBatches,
    RowStream,
    Source,
    Watch,
)
from syncengine.values import replace

# Rows that are converted together: larger groups gain little.
GROUP_ROWS = 256
GROUP_BYTES = 256 * 1024
Row = tuple[object, ...]


class RowChunk:
    """Rows of a RowStream; reading them to their end sets `end` and `last`."""

    def __init__(self, reading: _RowReading, size: ChunkSize) -> None:
        self.start = self.end = reading.place
        self.last = False
        self.records = 0
        self.fields = reading.stream.fields
        self._reading = reading
        self._size = size

    def batches(self) -> Iterator[Sequence[Row]]:
        for rows in self._reading.take(self._size.records):
            self.records += len(rows)
            yield rows
        self.end = self._reading.place
        self.last = self._reading.done

    def locate(self, row: int) -> str:
        """Return where the row number `row` of this chunk, from 1, stands."""
        stream = self._reading.stream
        if isinstance(stream, RowBatches):
            return stream.locate(row, self.start)
        return stream.locate(self.start.records + row)

    @property
    def of_json(self) -> bool:
        """Tell whether all values are those that JSON has (protocols.RowBatches)."""
        return isinstance(self._reading.stream, RowBatches)


Chunk = CsvChunk | RowChunk | ArrowChunk


class Counted(Protocol):
    """What is being read; `bytes_read` counts from where it was opened."""

    @property
    def bytes_read(self) -> int: ...


class HeldChunk:
    """A chunk of bytes that was read ahead (protocols.CsvChunk): it can be sent at any time, as often as it takes."""

    def __init__(self, chunk: CsvChunk, watch: Watch | None) -> None:
        self._blocks = list(chunk.blocks(watch))
        self.label, self.fields = chunk.label, chunk.fields
        self.start, self.end = chunk.start, chunk.end
        self.last, self.records = chunk.last, chunk.records
        self.locate, self.before = chunk.locate, chunk.before

    def blocks(self, watch: Watch | None = None) -> Iterator[bytes]:
        """Yield what was read; it has been watched already."""
        return iter(self._blocks)


class Reading(Counted, Protocol):
    """A source that is being read, chunk by chunk."""

    def chunk(self, size: ChunkSize) -> Chunk | None: ...

    def rewind(self) -> None: ...


class _RowReading(Rereading[tuple[RowBatch, int]]):
    """Chunks of a RowStream: batches, with the number of rows that are taken of each."""

    handover = Handover.ROWS

    @property
    def bytes_read(self) -> int:
        return self.stream.bytes_read

    def take(self, most: int | None) -> Iterator[Sequence[Row]]:
        """Yield rows, that many at most, and move `place` behind them."""
        while most != 0 and not self.done:
            batch, start = self.next()
            rows = batch.rows[start : None if most is None else start + most]
            if self.keeps:
                self._kept.append((batch, start))
            if (stop := start + len(rows)) < len(batch.rows):
                self._ahead.appendleft((batch, stop))
            most = None if most is None else most - len(rows)
            self.place = batch.after(stop)
            yield rows

    def chunk(self, size: ChunkSize) -> RowChunk | None:
        if self.ended:
            return None
        self._kept.clear()
        self._chunk = begun = RowChunk(self, size)
        return begun

    def _put_back(self) -> None:
        if self._ahead and self._kept and self._ahead[0][0] is self._kept[-1][0]:
            self._ahead.popleft()  # the rest of the batch that was kept
        super()._put_back()

    def _begin(self, payload: Payload, after: Position) -> None:
        assert not isinstance(payload, CsvBytes)
        self.stream: RowStream = payload
        batches = payload.row_batches() if isinstance(payload, RowBatches) else _grouped(payload, after)
        self._coming = ((batch, 0) for batch in batches)


class _Group(Struct, frozen=True, kw_only=True):
    """Rows of a stream that knows no places but their numbers (protocols.RowBatch)."""

    rows: Sequence[Row]
    start: Position

    def after(self, count: int) -> Position:
        return replace(self.start, records=self.start.records + count)


def _grouped(stream: Iterable[Row], place: Position) -> Iterator[RowBatch]:
    """Yield the rows in groups, smaller ones where rows are large; what was read before a failure is yielded first."""
    rows = iter(stream)
    for first in rows:
        size = sum(map(getsizeof, first))
        group, failure = [first], None
        try:
            group.extend(islice(rows, max(0, min(GROUP_ROWS, GROUP_BYTES // (size + 1)) - 1)))
        except Exception as error:
            failure = error
        found = _Group(rows=group, start=place)
        yield found
        place = found.after(len(group))
        if failure is not None:
            raise failure


@contextmanager
def reading(
    step: CopyIn, source: Source, after: Position = START, *, keeps_batches: bool = False
) -> Iterator[Reading]:
    """Open a source by the step's hand-over, behind a place in it.

    `keeps_batches`: those of Arrow data, which take long to be read again, are kept until the chunk after.
    """
    if step.handover is Handover.ROWS:
        with closing(_RowReading(source, after, keeps=not source.describe().reopenable)) as rows:
            yield rows
        return
    if step.handover is Handover.ARROW:
        keeps = keeps_batches or not source.describe().reopenable
        with closing(BatchReading(source, after, keeps=keeps)) as batches:
            yield batches
        return
    with source.open(step.handover, after) as payload:
        assert isinstance(payload, CsvBytes)
        yield payload
