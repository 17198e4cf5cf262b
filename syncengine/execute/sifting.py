"""Carry out the steps that keep bad rows apart: stage a source without them, and keep them once they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncengine.errors import BadRow
from syncengine.execute import badrows, settings
from syncengine.execute.kinds import union
from syncengine.execute.pieces import PieceChunk, PieceReading, staging
from syncengine.execute.tolerant import Stager
from syncengine.model import events as ev

if TYPE_CHECKING:
    from syncengine.execute.stepping import Steps
    from syncengine.model.plan import Unit
    from syncengine.model.steps import KeepBadRows, StageRecords


def stage(run: Steps, unit: Unit, step: StageRecords) -> int:
    """Stage the whole source, or as much of it as is wanted; return how many rows of it are good."""
    with staging(step, run.source) as found:
        while (chunk := found.chunk()) is not None:
            _sift(run, unit, step, found, chunk)
            if run.most is not None and chunk.rows >= run.most:
                break
        sent, size = found.sent_up_to(chunk), found.facts.bytes
    run.emit(ev.RowsRead(unit=unit.name, rows=sent.rows, bytes=size or sent.bytes))
    return sent.taken


def stage_chunk(run: Steps, unit: Unit, step: StageRecords, found: PieceReading, chunk: PieceChunk) -> int:
    """Stage a chunk of the source; return how many rows of it are good."""
    _sift(run, unit, step, found, chunk)
    size = chunk.sent.bytes
    if found.facts.bytes is not None:
        # What is read ahead of a chunk counts for it.
        left = max(0, found.facts.bytes - run.report.counts.bytes_read)
        size = left if chunk.last else min(size, left)
    run.emit(ev.RowsRead(unit=unit.name, rows=chunk.sent.rows, bytes=size))
    return chunk.sent.taken


def _sift(run: Steps, unit: Unit, step: StageRecords, found: PieceReading, chunk: PieceChunk) -> None:
    stager = Stager(step, run.connection, found.facts, run.plan.sensitive, run.plan.target)
    with settings.unlimited(run.connection, run.plan):
        found.stage(chunk, stager, run.emit, enough=run.enough or badrows.enough(step.most))
    run.kinds = union(run.kinds, chunk.sent.kinds)
    bad, samples = found.bad(chunk)
    if step.most is not None and step.most.count is not None and bad > step.most.count:
        told = ev.BadRowsFound(unit=unit.name, rows=bad, samples=samples)
        run.emit(told)
        raise badrows.excess(step.most, told, chunk.rows, step.location)
    if bad and not step.tolerates:
        raise BadRow(str(samples[0]))


def keep(run: Steps, unit: Unit, step: KeepBadRows) -> int:
    """Count the bad rows, and keep them; stop where there are more than may be."""
    found = badrows.found(step, run.connection, run.source, unit.name)
    if found.rows:
        run.emit(found)
    before = run.report.counts.quarantined
    error = badrows.too_many(step, found, run.report.books.rows_read, before)
    if error is not None:
        run.block(error)
    if step.sql:
        run.connection.execute(step.sql.encode())
    run.emit(ev.RowsCounted(unit=unit.name, counter="quarantined", rows=found.rows))
    return found.rows
