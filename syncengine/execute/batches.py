"""A source of Arrow batches as chunks (execute/reading.py); a chunk can be read once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncengine.execute.rereading import Rereading
from syncengine.model.facts import Handover
from syncengine.protocols import ArrowStream, ChunkSize, Payload, Position
from syncengine.values import replace


class ArrowChunk:
    """Batches of an ArrowStream; reading them to their end sets `end` and `last`."""

    def __init__(self, reading: BatchReading, size: ChunkSize) -> None:
        self.start = self.end = reading.place
        self.last = False
        self.records = 0
        self._reading = reading
        self._size = size
        self._held: list[Any] | None = None

    def hold(self) -> None:
        """Read the batches ahead, so that they can be sent at any time, as often as it takes."""
        self._held = list(self.batches())

    def batches(self) -> Iterator[Any]:
        if self._held is not None:
            yield from self._held
            return
        length = 0
        while not self._full(length) and (batch := self._reading.take(self._room)) is not None:
            self.records += batch.num_rows
            length += batch.nbytes
            yield batch
        self.end = replace(self.start, records=self.start.records + self.records)
        self._reading.place = self.end
        self.last = self._reading.done

    @property
    def repeatable(self) -> bool:
        """Tell whether the source can be read more than once, and is still to be read."""
        return not self._reading.keeps and self._held is None

    @property
    def _room(self) -> int | None:
        return None if self._size.records is None else self._size.records - self.records

    def _full(self, length: int) -> bool:
        return self._room == 0 or (self._size.bytes is not None and length >= self._size.bytes)

    def locate(self, row: int) -> str:
        """Return where the row number `row` of this chunk, from 1, stands."""
        return self._reading.stream.locate(self.start.records + row)


class BatchReading(Rereading[Any]):
    """Chunks of an ArrowStream."""

    handover = Handover.ARROW

    @property
    def bytes_read(self) -> int:
        return self.stream.bytes_read

    def take(self, most: int | None) -> Any | None:
        """Return the next batch, or as much of it as may be taken; None at the end."""
        if self.done:
            return None
        batch = self.next()
        if most is not None and batch.num_rows > most:
            self._ahead.appendleft(batch.slice(most))
            batch = batch.slice(0, most)
        if self.keeps:
            self._kept.append(batch)
        return batch

    def chunk(self, size: ChunkSize) -> ArrowChunk | None:
        if self.ended:
            return None
        self._kept.clear()
        self._chunk = begun = ArrowChunk(self, size)
        return begun

    def _begin(self, payload: Payload, after: Position) -> None:
        assert isinstance(payload, ArrowStream)
        self.stream: ArrowStream = payload
        self._coming = (batch for batch in payload.batches() if batch.num_rows)
