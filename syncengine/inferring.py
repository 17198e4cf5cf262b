"""Infer the types of a table that is to be created: the whole source is staged as text, and looked at there."""

from __future__ import annotations

from collections.abc import Callable

from syncengine.execute.apply import Run
from syncengine.execute.endings import StagingGone
from syncengine.execute.infer import infer
from syncengine.model.plan import READ, Plan, Unit
from syncengine.prepare import Prepared, prepare
from syncengine.sql import staging
from syncengine.values import replace

Units = tuple[Unit, ...]
Way = Callable[[Prepared], Prepared]


def inferred(first: Prepared, run: Run, way: Way) -> tuple[Prepared, Plan]:
    """Return a spec prepared with all types known, and the plan of what is left to be done.

    `way` gives a spec as it is carried out here.  What stages the source is among what is left where the ledger knows
    what is staged: it is passed over then, and carried out again if staging is lost.
    """
    going = way(first)
    reading, rest = _parted(going.plan.units)
    if not reading:
        return first, going.plan
    run.plan = going.plan
    try:
        known = _known(first, going, run, reading)
    except BaseException as failure:
        run.tidy(rest, failure)
        raise
    plan = way(known).plan
    registered = (unit for unit in reading if unit.chunks)
    return known, replace(plan, units=(*registered, *_parted(plan.units)[1]))


def in_full(first: Prepared, known: Prepared) -> Plan:
    """Return the plan of a spec whose types are known, as a run carries it out that has yet to infer them."""
    units = (*_parted(first.plan.units)[0], *_parted(known.plan.units)[1])
    return replace(known.plan, units=units)


def _parted(units: Units) -> tuple[Units, Units]:
    """Return the units up to the one that stages the source as text, none if there is none, and those behind it."""
    behind = next((place for place, unit in enumerate(units, start=1) if unit.name == READ), 0)
    return units[:behind], units[behind:]


def _known(first: Prepared, going: Prepared, run: Run, reading: Units) -> Prepared:
    """Stage the source as text and infer its types; staging that a crash of the server emptied is filled again."""
    place = losses = 0
    while True:
        run.units(reading[place:])
        try:
            return run.surely(lambda: _typed(first, going, run))
        except StagingGone:
            losses += 1
            place = run.refill(reading, losses)


def _typed(first: Prepared, going: Prepared, run: Run) -> Prepared:
    stage, _ = staging.relations(going.task)
    columns = {staged.column.field: staged.column.column for staged in first.task.stage}
    types = infer(run.connection, stage, tuple(columns.values()), run.kinds)
    by_column = {
        loaded: types[column] for loaded, column in _direct(first).items() if loaded in first.untyped
    }
    known = prepare(
        first.spec,
        first.source,
        run.connection,
        target=first.plan.connection,
        run=first.task.run,
        inferred=by_column | {name: "text" for name in first.untyped if name not in by_column},
        staged_rows=run.report.rows_read,
        facts=first.facts,
        tolerant=first.task.tolerant,
    )
    return known.named(first.task.run, first.task.holder)


def _direct(prepared: Prepared) -> dict[str, str]:
    """Return the staging column of each loaded column that is a field as it was read."""
    return {
        column.name: column.value.columns[0].name
        for column in prepared.task.loaded
        if column.value is not None
        and column.value.text in prepared.facts.fields
        and len(column.value.columns) == 1
    }
