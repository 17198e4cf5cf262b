"""Units that commit chunk by chunk, each with its row in the ledger, so that a rerun goes on where one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from syncengine import ledger
from syncengine.errors import BooksDoNotClose, ConnectionFailed, SourceError, SyncError, TakenOver
from syncengine.execute import badrows, kinds, lanes
from syncengine.execute.complaints import taken_over, unclosed_part
from syncengine.execute.endings import StagingGone
from syncengine.execute.refusals import Refusal
from syncengine.model import events as ev
from syncengine.model.plan import Unit
from syncengine.model.report import Counts
from syncengine.model.steps import Phase, RunSql
from syncengine.protocols import START, Position

if TYPE_CHECKING:
    from syncengine.execute.apply import Run

# The parameters of a Record beside its counters, where they mean nothing.
NO_PLACE: Mapping[str, object] = {"number": 1, "starts": None, "ends": None, "complete": True}


KINDS = "kinds"


class Last(Struct, frozen=True, kw_only=True):
    """The last chunk of a phase that is committed; number 0 if there is none.

    `place` is where it ends in the source, `rows` how many rows all chunks up to it hold, and `kinds` of what kinds
    their values are, where types are inferred.
    """

    number: int = 0
    place: Position = START
    complete: bool = False
    rows: int = 0
    kinds: kinds.Kinds | None = None


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
    works = (_Part(unit, number, parts) for number in range(1, parts + 1) if number not in done)
    lanes.carry_out(run, unit, works, lambda: read)
    run.part = 0


class _Part:
    """A part of staging (lane.Work)."""

    def __init__(self, unit: Unit, number: int, of: int) -> None:
        self.number = number
        self.of = of
        self._unit = unit
        self._bad: dict[int, Refusal] = {}

    def body(self, run: Run, turn: Callable[[], None], *, as_planned: bool) -> None:
        unit = self._unit
        run.prepare()
        taken = next(place for place, step in enumerate(unit.steps) if isinstance(step, RunSql)) + 1
        run.steps(unit, unit.steps[:taken], last_resort=True)
        if self._bad and unit.probe is not None:
            badrows.note(run.connection, unit.probe.sieve, self._bad)
            run.steps(unit, unit.sift, last_resort=True)
        run.steps(unit, unit.steps[taken:], last_resort=not as_planned)
        if run.report.pending == Counts():
            raise StagingGone  # no part is empty
        error = unclosed_part(run.report.pending, exact=unit.exact and as_planned)
        if error is not None:
            raise error
        turn()
        run.close(unit, exact=False, number=self.number)

    def sift(self, run: Run, unit: Unit, error: SyncError) -> bool:
        """Note which rows of the part the target refuses; tell whether there are any that were not known."""
        before = len(self._bad)
        self._bad |= run.refused(unit, error)
        return len(self._bad) > before

    def committed(self, run: Run) -> bool:
        return found(run, self._unit, self.number)


def found(run: Run, unit: Unit, number: int) -> bool:
    """Tell whether a chunk is committed, and take over what the ledger says then."""
    if number not in _numbers(run, unit.closing[0].phase):
        return False
    found_committed(run, unit)
    return True


def found_committed(run: Run, unit: Unit) -> None:
    run.emit(ev.FoundCommitted(unit=unit.name, counters=counts_of_chunks(run)))


def is_done(run: Run, phase: Phase) -> bool:
    """Tell whether a unit that stands between those of chunks was committed by an earlier process."""
    return phase in ("stage", "arrange") and run.entry is not None and bool(_numbers(run, phase))


def look_again(run: Run) -> None:
    """Learn from the ledger how things stand after a connection was lost.  Raises StagingGone."""
    assert run.entry is not None
    ledger.renew(run.connection, run.entry, ledger.own_pid(run.connection) if run.leads else None)
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
    # An answer to a COMMIT may have been lost with the server.
    run.chunks["publish"] = len(_numbers(run, "publish"))
    if run.chunks["publish"] and not run.same_parts:
        raise SourceError(
            "the server crashed, and what was staged is gone; made once more, its parts might be others",
            hint="see what is in the table, then run it with --restart",
        )
    for unit in run.plan.units:
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
    entry = run.entry
    assert entry is not None
    return run.surely(lambda: ledger.counts_of_chunks(run.connection, entry))


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


def last(run: Run, phase: Phase) -> Last:
    """Return the last chunk of a phase that is committed."""
    if run.entry is None:
        return Last()
    entry = run.entry
    found = run.surely(lambda: ledger.last_chunk(run.connection, entry, phase))
    if found is None:
        return Last()
    number, ends, complete, rows = found
    place = dict(ends or {})
    observed = place.pop(KINDS, None)
    return Last(
        number=number,
        place=Position(**place),
        complete=complete,
        rows=rows,
        kinds=None if observed is None else kinds.read(observed),
    )


def ends(place: Position, observed: kinds.Kinds | None) -> str:
    """Return where a chunk ends as the ledger keeps it, with the kinds of the values up to there."""
    return json.dumps(asdict(place) | ({} if observed is None else {KINDS: kinds.written(observed)}))


def _numbers(run: Run, phase: Phase) -> frozenset[int]:
    entry = run.entry
    assert entry is not None
    return run.surely(lambda: ledger.committed_chunks(run.connection, entry, phase))


def _arranged(run: Run) -> tuple[int, int, int]:
    """Return how many parts there are, how many rows they hold together, and how many were taken out before."""
    entry = run.entry
    assert entry is not None
    found = run.surely(lambda: ledger.last_chunk(run.connection, entry, "arrange"))
    assert found is not None
    ends = found[1] or {}
    return int(ends["parts"]), int(ends["rows"]), int(ends["apart"])
