"""A source as chunks, each to be copied by itself, whatever its hand-over; a chunk can be read once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import islice
from typing import Protocol

from syncengine.execute.batches import ArrowChunk, BatchReading
from syncengine.model.facts import Handover
from syncengine.model.plan import CopyIn
from syncengine.protocols import START, ChunkSize, CsvBytes, CsvChunk, Position, RowStream, Source, Watch

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

    def rows(self) -> Iterator[Row]:
        for row in islice(self._reading.take(), self._size.records):
            self.records += 1
            yield row
        self.end = replace(self.start, records=self.start.records + self.records)
        self._reading.place = self.end
        self.last = self._reading.done

    def locate(self, row: int) -> str:
        """Return where the row number `row` of this chunk, from 1, stands."""
        return self._reading.stream.locate(self.start.records + row)


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
        self.locate = chunk.locate

    def blocks(self, watch: Watch | None = None) -> Iterator[bytes]:
        """Yield what was read; it has been watched already."""
        return iter(self._blocks)


class Reading(Counted, Protocol):
    """A source that is being read, chunk by chunk."""

    def chunk(self, size: ChunkSize) -> Chunk | None: ...

    def rewind(self) -> None: ...


class _RowReading:
    """Chunks of a RowStream; what can't be read again is kept until the chunk after."""

    def __init__(self, source: Source, after: Position, *, keeps: bool) -> None:
        self.place = after
        self._source = source
        self._keeps = keeps
        self._ahead: deque[Row] = deque()
        self._kept: list[Row] = []
        self._chunk: RowChunk | None = None
        self._open(after)

    @property
    def bytes_read(self) -> int:
        return self.stream.bytes_read

    @property
    def done(self) -> bool:
        """Tell whether no row is left; reads ahead to know."""
        if not self._ahead:
            self._ahead.extend(islice(self._rows, 1))
        return not self._ahead

    def take(self) -> Iterator[Row]:
        self._kept.clear()
        while not self.done:
            row = self._ahead.popleft()
            if self._keeps:
                self._kept.append(row)
            yield row

    def chunk(self, size: ChunkSize) -> RowChunk | None:
        if self._chunk is not None and self._chunk.last:
            return None
        self._chunk = RowChunk(self, size)
        return self._chunk

    def rewind(self) -> None:
        assert self._chunk is not None
        if self._keeps:
            self._ahead.extendleft(reversed(self._kept))
            self._kept.clear()
            self.place = self._chunk.start
        else:
            self.close()
            self._ahead.clear()
            self._open(self._chunk.start)
        self._chunk = None

    def close(self) -> None:
        self._stack.close()

    def _open(self, after: Position) -> None:
        self._stack = ExitStack()
        stream = self._stack.enter_context(self._source.open(Handover.ROWS, after))
        assert not isinstance(stream, CsvBytes)
        self.stream: RowStream = stream
        self._rows = iter(stream)
        self.place = after


@contextmanager
def reading(step: CopyIn, source: Source, after: Position = START) -> Iterator[Reading]:
    """Open a source by the step's hand-over, behind a place in it."""
    if step.handover is Handover.ROWS:
        with closing(_RowReading(source, after, keeps=not source.describe().reopenable)) as rows:
            yield rows
        return
    if step.handover is Handover.ARROW:
        with closing(BatchReading(source, after, keeps=not source.describe().reopenable)) as batches:
            yield batches
        return
    with source.open(step.handover, after) as payload:
        assert isinstance(payload, CsvBytes)
        yield payload
