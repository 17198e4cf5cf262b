"""Units that commit chunk by chunk, each with its row in the ledger, so that a rerun goes on where one stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from syncengine import ledger
from syncengine.errors import BooksDoNotClose, ConnectionFailed, SourceError, SyncError, TakenOver
from syncengine.execute import badrows, transfer
from syncengine.execute.complaints import taken_over, unclosed_part
from syncengine.execute.reading import Chunk, Reading, reading
from syncengine.execute.refusals import Refusal
from syncengine.model import events as ev
from syncengine.model.plan import CopyIn, Hold, Phase, RunSql, Unit
from syncengine.protocols import START, ChunkSize, Position

if TYPE_CHECKING:
    from syncengine.execute.apply import Run

# The parameters of a Record beside its counters, where they mean nothing.
NO_PLACE: Mapping[str, object] = {"number": 1, "starts": None, "ends": None, "complete": True}


def of_source(run: Run, unit: Unit) -> None:
    """Carry out a unit once for each chunk of the source that is not committed yet."""
    done = _last(run, unit.closing[0].phase)
    if done.complete:
        return
    copy = next(step for step in unit.steps if isinstance(step, CopyIn))
    with reading(copy, run.source, done.place) as found:
        _OfSource(run, unit, copy, found, done).carry_out()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """The last chunk of a phase that is committed; number 0 if there is none."""

    number: int = 0
    place: Position = START
    complete: bool = False


class _OfSource:
    def __init__(self, run: Run, unit: Unit, copy: CopyIn, found: Reading, done: _Last) -> None:
        self._run = run
        self._unit = unit
        self._copy = copy
        self._found = found
        self._size = ChunkSize(bytes=copy.chunk_bytes, records=copy.chunk_rows)
        at = unit.steps.index(copy)
        self._before, self._after = unit.steps[:at], unit.steps[at + 1 :]
        self._number = done.number
        self._chunk: Chunk | None = None
        self._complete = False

    def carry_out(self) -> None:
        while not (self._complete or self._run.over):
            started = time.monotonic()
            self._number += 1
            self._chunk = None
            self._run.attempt(self._unit, self._body, self._committed)
            self._run.chunk_committed(self._unit, self._number, None, started)

    def _body(self, as_planned: bool) -> None:
        run, unit = self._run, self._unit
        run.prepare()
        first = self._number == 1
        before = self._before if first else [step for step in self._before if isinstance(step, Hold)]
        run.steps(unit, before, last_resort=True)
        self._chunk = chunk = self._found.chunk(self._size)
        if chunk is not None:
            run.timed(unit, self._copy, lambda: run.copied(unit, self._copy, self._send))
        self._complete = chunk is None or chunk.last
        if self._complete:
            run.steps(unit, self._after, last_resort=True)
        run.close(
            unit,
            exact=unit.exact,
            number=self._number,
            starts=_text(chunk.start if chunk else START),
            ends=_text(chunk.end if chunk else START),
            complete=self._complete,
        )

    def _send(self) -> transfer.Sent:
        assert self._chunk is not None
        run, before = self._run, self._run.report.counts.bytes_read
        return transfer.copy_chunk(
            self._copy, run.connection, self._found, self._chunk, run.emit, before=before
        )

    def _committed(self) -> bool:
        done = _last(self._run, self._unit.closing[0].phase)
        if done.number >= self._number:
            self._complete = done.complete
            found_committed(self._run, self._unit)
            return True
        self._complete = False
        if self._chunk is not None:
            self._found.rewind()
            self._chunk = None
        return False


def of_parts(run: Run, unit: Unit) -> None:
    """Carry out a unit once for each part of staging that is not committed yet."""
    parts, rows, apart = _arranged(run)
    read = run.report.counts.rows_read
    if read != rows + apart:
        raise BooksDoNotClose(
            f"{read} rows were read, but {rows} are staged and {apart} are duplicates or bad",
            hint="another process may have changed the staging table: run it again with --restart",
        )
    done = _numbers(run, "publish")
    for number in range(1, parts + 1):
        if number not in done:
            started = time.monotonic()
            run.part = number
            part = _OfPart(run, unit, number)
            run.attempt(unit, part.body, part.committed, part.sift)
            run.chunk_committed(unit, number, parts, started)
    run.part = 0


class _OfPart:
    def __init__(self, run: Run, unit: Unit, number: int) -> None:
        self._run = run
        self._unit = unit
        self._number = number
        self._bad: dict[int, Refusal] = {}

    def body(self, as_planned: bool) -> None:
        run, unit = self._run, self._unit
        run.prepare()
        taken = next(place for place, step in enumerate(unit.steps) if isinstance(step, RunSql)) + 1
        run.steps(unit, unit.steps[:taken], last_resort=True)
        if self._bad and unit.probe is not None:
            badrows.note(run.connection, unit.probe.sieve, self._bad)
            run.steps(unit, unit.sift, last_resort=True)
        run.steps(unit, unit.steps[taken:], last_resort=not as_planned)
        error = unclosed_part(run.report.pending, exact=unit.exact and as_planned)
        if error is not None:
            raise error
        run.close(unit, exact=False, number=self._number)

    def sift(self, unit: Unit, error: SyncError) -> bool:
        """Note which rows of the part the target refuses; tell whether there are any that were not known."""
        before = len(self._bad)
        self._bad |= self._run.refused(unit, error)
        return len(self._bad) > before

    def committed(self) -> bool:
        if self._number not in _numbers(self._run, "publish"):
            return False
        found_committed(self._run, self._unit)
        return True


def found_committed(run: Run, unit: Unit) -> None:
    run.emit(ev.FoundCommitted(unit=unit.name, counters=counts_of_chunks(run)))


def is_done(run: Run, phase: Phase) -> bool:
    """Tell whether a unit that stands between those of chunks was committed by an earlier process."""
    return phase in ("stage", "arrange") and run.entry is not None and bool(_numbers(run, phase))


def look_again(run: Run) -> None:
    """Learn from the ledger how things stand after a connection was lost.  Raises StagingGone."""
    from syncengine.execute.apply import StagingGone

    assert run.entry is not None
    ledger.renew(run.connection, run.entry, ledger.own_pid(run.connection))
    if ledger.state(run.connection, run.entry) == "running" and not ledger.intact(
        run.connection, run.entry.schema, run.entry.run
    ):
        raise StagingGone


def forget(run: Run) -> None:
    """Forget the chunks that are staged, since they are staged in another way."""
    assert run.entry is not None
    ledger.forget_chunks(run.connection, run.entry, ("stage", "arrange"))
    run.chunks["stage"] = 0


def forget_staging(run: Run, units: Sequence[Unit]) -> None:
    """Make room for staging once more; chunks that were published stay published."""
    assert run.entry is not None
    if ledger.state(run.connection, run.entry) != "running":
        raise taken_over(run.plan.name)
    if run.chunks["publish"] and not run.same_parts:
        raise SourceError(
            "the server crashed, and what was staged is gone; made once more, its parts might be others",
            hint="see what is in the table, then run it with --restart",
        )
    for unit in units:
        if unit.always:
            run.whole(unit)
    ledger.forget_chunks(run.connection, run.entry, ("stage", "arrange"))
    run.emit(ev.StagingLost(unit=units[0].name, counters=counts_of_chunks(run)))


def counts_of_run(run: Run) -> dict[str, int]:
    """Return the counters of a run that is done, as the ledger has them."""
    assert run.entry is not None
    return ledger.counts_of_run(run.connection, run.entry)


def counts_of_chunks(run: Run) -> dict[str, int]:
    """Return the counters of all chunks that are committed."""
    assert run.entry is not None
    return ledger.counts_of_chunks(run.connection, run.entry)


def worth_keeping(run: Run, failure: BaseException) -> bool:
    """Tell whether what is staged is of use to the next run: it goes on after what was no fault of the data.

    Once chunks are published, the rest of them is in staging only.
    """
    if isinstance(failure, TakenOver):
        return True  # it is another process's now
    if run.entry is None or run.stamp is None:
        return False
    passing = not isinstance(failure, SyncError) or isinstance(failure, ConnectionFailed)
    return run.chunks["publish"] > 0 or (passing and run.chunks["stage"] > 0)


def _last(run: Run, phase: Phase) -> _Last:
    if run.entry is None:
        return _Last()
    found = ledger.last_chunk(run.connection, run.entry, phase)
    if found is None:
        return _Last()
    number, ends, complete = found
    return _Last(number=number, place=Position(**(ends or {})), complete=complete)


def _numbers(run: Run, phase: Phase) -> frozenset[int]:
    assert run.entry is not None
    return ledger.committed_chunks(run.connection, run.entry, phase)


def _arranged(run: Run) -> tuple[int, int, int]:
    """Return how many parts there are, how many rows they hold together, and how many were taken out before."""
    assert run.entry is not None
    found = ledger.last_chunk(run.connection, run.entry, "arrange")
    assert found is not None
    ends = found[1] or {}
    return int(ends["parts"]), int(ends["rows"]), int(ends["apart"])


def _text(place: Position) -> str:
    return json.dumps(asdict(place))
