"""Enter a run in the ledger before it writes, keep its lease while it does, and note how it ended."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from msgspec import Struct

from syncengine import ledger
from syncengine.errors import ConnectionFailed, Locked, SyncError
from syncengine.execute.apply import Run
from syncengine.ledger import Entry, Opening
from syncengine.model import events as ev
from syncengine.model.spec import Execution, Limits
from syncengine.model.task import Task
from syncengine.prepare import Prepared, prepare
from syncengine.sql import staging
from syncengine.sql.ledger import COUNTERS
from syncengine.sql.names import ident
from syncengine.values import replace

LEDGER_UNIT = "ledger"
_POLL_SECONDS = 0.25
# Where a value stands does not change what it means.
_PLACES = ("location", "marks")


class Planned(Protocol):
    """A planned spec, and the database that it is for."""

    @property
    def prepared(self) -> Prepared: ...

    @property
    def url(self) -> str: ...


def without_ledger(prepared: Prepared) -> Prepared:
    """Return the same without the unit that makes the ledger, which comes before the run is entered."""
    units = tuple(unit for unit in prepared.plan.units if unit.name != LEDGER_UNIT)
    return replace(prepared, plan=replace(prepared.plan, units=units))


@contextmanager
def entered(one: Planned, run: Run) -> Iterator[Prepared]:
    """Enter the run and yield what it is to carry out: an unfinished run goes on under its own name.

    Raises Locked, UnfinishedRun, ConnectionFailed.
    """
    prepared = one.prepared
    if prepared.plan.ledger is None:
        yield prepared
        return
    run.units([unit for unit in prepared.plan.units if unit.name == LEDGER_UNIT])
    run.stamp = prepared.source.stamp()
    entry, prepared = _enter(prepared, run)
    run.same_parts = _same_parts(prepared.task)
    if entry.resumed:
        prepared = prepared.named(entry.run, entry.holder)
        prepared = prepared.tolerant() if entry.sifted else prepared
        _tell(run, entry)
    run.entry = entry
    if entry.published:
        run.skip()
    from syncengine.connect import connect

    with ledger.heartbeat(entry, lambda: connect(one.url)), _ending(run, entry):
        yield prepared


def told(one: Planned, run: Run) -> None:
    """Note that the caller was told of a run which, done once more, would write its rows twice."""
    entry = run.entry
    if entry is not None and run.recorded and one.prepared.task.repeats:
        with suppress(SyncError):
            run.surely(lambda: ledger.tell(run.connection, entry))


def _enter(prepared: Prepared, run: Run) -> tuple[Entry, Prepared]:
    """Return the entry, and what is to be carried out: planned anew where another run had to be waited for."""
    spec, told = prepared.spec, ""
    waited_for: str | None = None
    patient_until = time.monotonic() + ledger.PATIENCE
    while True:
        try:
            opening = _opening(prepared, run.stamp)
            entry = ledger.enter(run.connection, opening, restart=spec.restart, waited_for=waited_for)
            return entry, prepared
        except Locked as error:
            waited_for = error.run
            if not spec.wait and time.monotonic() > patient_until:
                raise
            if spec.wait and error.message != told:
                told = error.message
                run.emit(ev.Waiting(message=f"{error.message}; {error.detail}"))
        time.sleep(_POLL_SECONDS)
        prepared = _planned_anew(prepared, run)


def _planned_anew(prepared: Prepared, run: Run) -> Prepared:
    """Return the plan for the table as the run that was waited for has left it."""
    return prepare(
        prepared.spec,
        prepared.source,
        run.connection,
        target=prepared.plan.connection,
        run=prepared.task.run,
        facts=prepared.facts,
    )


def _tell(run: Run, entry: Entry) -> None:
    counters = ledger.counts_of_chunks(run.connection, entry)
    for phase in ("stage", "publish"):
        run.chunks[phase] = len(ledger.committed_chunks(run.connection, entry, phase))
    run.emit(
        ev.Resumed(
            run=entry.run, chunks=sum(run.chunks.values()), published=run.chunks["publish"], counters=counters
        )
    )


@contextmanager
def _ending(run: Run, entry: Entry) -> Iterator[None]:
    """Note how the run ends, unless it did so itself when it published."""
    try:
        yield
    except SyncError as error:
        _finish(run, entry, "failed", error)
        raise
    except Exception:
        # Another spec of its group failed.
        _finish(run, entry, "failed", None)
        raise
    except BaseException:
        _finish(run, entry, "interrupted", None)
        raise
    if not run.recorded:
        counters = {name: getattr(run.report, name) for name in COUNTERS}
        ledger.conclude(run.connection, entry, counters)
        run.recorded = True


def _finish(run: Run, entry: Entry, state: str, error: SyncError | None) -> None:
    # What stopped the run matters more than that it can't be noted; a dead run is found out by its silence.
    with suppress(SyncError):
        if run.connection.closed and not isinstance(error, ConnectionFailed):
            return
        ledger.finish(run.connection, entry, state, error)


def _opening(prepared: Prepared, stamp: str | None) -> Opening:
    spec, task, plan = prepared.spec, prepared.task, prepared.plan
    location = spec.mark("/target")
    return Opening(
        schema=spec.ledger_schema,
        run=task.run,
        spec=spec.name,
        target=str(task.table),
        relation=ident(*task.target).as_string(),
        file=spec.file,
        mode=spec.mode,
        strategy=plan.strategy,
        source=plan.source,
        digest=_digest(task),
        layout=_layout(task),
        stamp=stamp,
        repeats=task.repeats,
        again=spec.again,
        same_parts=_same_parts(task),
        approved=json.dumps(dict(spec.approved)) if spec.approved else None,
        location=location,
    )


def _same_parts(task: Task) -> bool:
    """Tell whether the source alone decides which rows are in which part: not other tables, nor the time."""
    return not task.lookups and not any(column.stable for column in task.loaded)


def _digest(task: Task) -> str:
    """Return what stands for the meaning of a spec and of its target's columns, wherever the spec's text stands."""
    stated = task.spec.execution
    how = Execution(
        method=stated.method,
        transaction=stated.transaction,
        chunk_rows=stated.chunk_rows if task.chunked else None,
    )
    spec = replace(
        task.spec,
        file="",
        folder="",
        description=None,
        owner=None,
        tags=(),
        execution=how,
        limits=Limits(),
        approved=(),
        again=False,
        restart=False,
        wait=False,
    )
    # A run that makes the table meets another one from then on.
    found = () if spec.target.create else (task.stage, task.loaded, task.assignments, task.keys)
    what = (spec, *found)
    return _hashed(json.dumps(_plain(what)))


def _layout(task: Task) -> str:
    """Return what stands for the form of staging."""
    made = [staging.create_stage(task, ("", ""))]
    made += [staging.create_load(task, ("", ""))] if task.converts else []
    return _hashed("; ".join(statement.as_string() for statement in made))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    """Return values as JSON takes them, in the same way in every process; no places, and not by a `repr` that masks."""
    if isinstance(value, Struct):
        names = [name for name in value.__struct_fields__ if name not in _PLACES]
        return [type(value).__name__, *([name, _plain(getattr(value, name))] for name in names)]
    if isinstance(value, Mapping):
        return [[str(key), _plain(value[key])] for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
