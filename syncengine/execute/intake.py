"""Carry out a unit once for each chunk of the source, each with its row in the ledger (execute/chunks.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from syncengine.execute import chunks, lanes, transfer
from syncengine.execute.batches import ArrowChunk
from syncengine.execute.keeping import as_json
from syncengine.execute.pieces import PieceChunk, PieceReading, staging
from syncengine.execute.reading import Chunk, Counted, HeldChunk, Reading, RowChunk, reading
from syncengine.execute.sifting import stage_chunk
from syncengine.execute.watching import watch
from syncengine.model.facts import Handover
from syncengine.model.plan import Unit
from syncengine.model.steps import CopyIn, Hold, StageRecords
from syncengine.protocols import START, ChunkSize, Position

if TYPE_CHECKING:
    from syncengine.errors import SyncError
    from syncengine.execute.apply import Run

# A commit that does not wait for the disk.
NOT_WAITING = ("synchronous_commit", "off")


class Begun(Protocol):
    """A chunk of the source; `end` and `last` are known once it is sent."""

    @property
    def start(self) -> Position: ...

    @property
    def end(self) -> Position: ...

    @property
    def last(self) -> bool: ...


class _Sendable(Struct, frozen=True, kw_only=True):
    """A chunk that was begun, None at the end of the source, and what sends it in the transaction that is open."""

    chunk: Begun | None
    send: Callable[[Run], int]


class _Feed(Protocol):
    """A source that is open.  `ahead` gives the chunks that are left, each read already; None: that can't be done."""

    def begin(self, run: Run) -> _Sendable: ...

    def rewind(self) -> None:
        """Go back to the beginning of the chunk that was begun last."""
        ...

    @property
    def ahead(self) -> Callable[[], Iterator[_Sendable]] | None: ...

    @property
    def bytes_read(self) -> int: ...


def of_source(run: Run, unit: Unit) -> None:
    """Carry out a unit once for each chunk of the source that is not committed yet."""
    done = chunks.last(run, unit.closing[0].phase)
    run.kinds = done.kinds
    if done.complete:
        return
    step = next(step for step in unit.steps if isinstance(step, CopyIn | StageRecords))
    if isinstance(step, StageRecords):
        with staging(step, run.source, done.place, done.rows) as pieces:
            _OfSource(run, unit, step, _Sifted(unit, step, pieces), done.number).carry_out()
    else:
        with reading(step, run.source, done.place) as found:
            _OfSource(run, unit, step, _Copied(unit, step, found), done.number).carry_out()
    run.part = 0


class _OfSource:
    def __init__(self, run: Run, unit: Unit, step: CopyIn | StageRecords, feed: _Feed, done: int) -> None:
        self._run = run
        self._unit = unit
        self._step = step
        self._feed = feed
        self._number = done
        self._begun = False
        self._complete = False

    def carry_out(self) -> None:
        """Carry out the chunks: the first one by itself, for it makes what the others need."""
        run, unit = self._run, self._unit
        while not (self._complete or run.over):
            self._number += 1
            if self._number > 1 and self._feed.ahead is not None and lanes.lanes_of(run, unit) > 1:
                lanes.carry_out(run, unit, self._ahead(self._feed.ahead()), lambda: self._feed.bytes_read)
                return
            started = time.monotonic()
            self._begun = False
            run.attempt(unit, self._body, self._committed)
            run.chunk_committed(unit, self._number, None, time.monotonic() - started)

    def _body(self, as_planned: bool) -> None:
        self._run.part = self._number
        found = self._feed.begin(self._run)
        self._begun = found.chunk is not None
        work = _SourceChunk(self._unit, self._step, self._number, found)
        work.body(self._run, lambda: None, as_planned=as_planned)
        self._complete = work.complete

    def _committed(self) -> bool:
        done = chunks.last(self._run, self._unit.closing[0].phase)
        if done.number >= self._number:
            self._complete = done.complete
            chunks.found_committed(self._run, self._unit)
            return True
        self._complete = False
        if self._begun:
            self._feed.rewind()
            self._begun = False
        return False

    def _ahead(self, found: Iterator[_Sendable]) -> Iterator[_SourceChunk]:
        for number, each in enumerate(found, start=self._number):
            yield _SourceChunk(self._unit, self._step, number, each)


class _Copied:
    """Chunks that are sent as they are."""

    def __init__(self, unit: Unit, copy: CopyIn, found: Reading) -> None:
        self._unit = unit
        self._copy = copy
        self._found = found
        self._size = ChunkSize(bytes=copy.chunk_bytes, records=copy.chunk_rows)

    @property
    def bytes_read(self) -> int:
        return self._found.bytes_read

    @property
    def ahead(self) -> Callable[[], Iterator[_Sendable]] | None:
        return None if self._copy.handover is Handover.ROWS else self._read_ahead

    def begin(self, run: Run) -> _Sendable:
        return self._sendable(self._found.chunk(self._size), self._found, run.report.counts.bytes_read)

    def rewind(self) -> None:
        self._found.rewind()

    def _read_ahead(self) -> Iterator[_Sendable]:
        last = False
        while not last:
            before, chunk = self._found.bytes_read, self._found.chunk(self._size)
            held = None if chunk is None else self._held(chunk)
            last = held is None or held.last
            yield self._sendable(held, _Read(bytes_read=self._found.bytes_read), before)

    def _held(self, chunk: Chunk) -> Chunk:
        """Return a chunk once it is read."""
        assert not isinstance(chunk, RowChunk)
        if not isinstance(chunk, ArrowChunk):
            return HeldChunk(chunk, watch(chunk, self._copy))
        chunk.hold()
        return chunk

    def _sendable(self, chunk: Chunk | None, found: Counted, before: int) -> _Sendable:
        """Return a chunk, before which so many bytes of the source were read."""

        def send(run: Run) -> int:
            assert chunk is not None
            copy = partial(
                transfer.copy_chunk, self._copy, run.connection, found, chunk, run.emit, before=before
            )
            return run.copied(self._unit, self._copy, copy)

        return _Sendable(chunk=chunk, send=send)


class _Read(Struct, frozen=True, kw_only=True):
    """How much of the source was read by the end of a chunk."""

    bytes_read: int


class _Sifted:
    """Chunks of which bad rows are kept apart."""

    ahead = None

    def __init__(self, unit: Unit, step: StageRecords, pieces: PieceReading) -> None:
        self._unit = unit
        self._step = step
        self._pieces = pieces

    @property
    def bytes_read(self) -> int:
        return self._pieces.sent.bytes

    def begin(self, run: Run) -> _Sendable:
        chunk = self._pieces.chunk()
        return _Sendable(chunk=chunk, send=partial(self._send, chunk=chunk))

    def rewind(self) -> None:
        self._pieces.rewind()

    def _send(self, run: Run, chunk: PieceChunk | None) -> int:
        assert chunk is not None
        return stage_chunk(run, self._unit, self._step, self._pieces, chunk)


class _SourceChunk:
    """A chunk of the source (lane.Work); where there is none, nothing is left but to complete the unit."""

    of = None

    def __init__(self, unit: Unit, step: CopyIn | StageRecords, number: int, found: _Sendable) -> None:
        self.number = number
        self._unit = unit
        self._step = step
        self._found = found

    @property
    def complete(self) -> bool:
        return self._found.chunk is None or self._found.chunk.last

    def body(self, run: Run, turn: Callable[[], None], *, as_planned: bool) -> None:
        unit, chunk = self._unit, self._found.chunk
        at = unit.steps.index(self._step)
        before = unit.steps[:at]
        # A crash of the server empties staging.  That it was made is on the disk, so that this is noticed; the rest
        # need not wait for the disk.
        run.prepare(*([NOT_WAITING] if unit.closing[0].phase == "stage" and self.number > 1 else []))
        run.steps(
            unit,
            before if self.number == 1 else [step for step in before if isinstance(step, Hold)],
            last_resort=True,
        )
        if chunk is not None:
            run.timed(unit, self._step, lambda: self._found.send(run))
        turn()
        if self.complete:
            run.steps(unit, unit.steps[at + 1 :], last_resort=True)
        run.close(
            unit,
            exact=unit.exact,
            number=self.number,
            starts=as_json(chunk.start if chunk else START),
            ends=chunks.ends(chunk.end if chunk else START, run.kinds),
            complete=self.complete,
        )

    def committed(self, run: Run) -> bool:
        return chunks.found(run, self._unit, self.number)

    def sift(self, run: Run, unit: Unit, error: SyncError) -> bool:
        return False  # the run starts over to keep bad rows apart, if it is to go on
