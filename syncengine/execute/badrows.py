"""What is done about the bad rows of a run: they are noted and taken out, counted, and limited."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.rows import TupleRow

from syncengine.errors import Blocked, Location, SyncError, TooManyBadRows, UnreadableKeys
from syncengine.execute.keeping import keep_unseen
from syncengine.execute.refusals import Refusal
from syncengine.model.badrows import SHOWN, BadRowSample
from syncengine.model.events import BadRowsFound
from syncengine.model.plan import Unit
from syncengine.model.spec import Limit
from syncengine.model.steps import (
    CheckLimits,
    CheckResult,
    Claim,
    KeepBadRows,
    RunSegments,
    RunSql,
    Sample,
    Sieve,
    Step,
    WriteFile,
)
from syncengine.protocols import Source
from syncengine.values import replace


def take_out(connection: psycopg.Connection[TupleRow], sieve: Sieve, rows: Mapping[int, Refusal]) -> None:
    """Note why rows can't be loaded, and take them out of staging."""
    note(connection, sieve, rows)
    connection.execute(sieve.move.encode())


def note(connection: psycopg.Connection[TupleRow], sieve: Sieve, rows: Mapping[int, Refusal]) -> None:
    """Note why rows can't be loaded."""
    with connection.cursor() as cursor:
        cursor.executemany(sieve.note.encode(), [rows[number].values(number) for number in sorted(rows)])


def before_writing(unit: Unit) -> tuple[Unit, tuple[RunSql, ...]]:
    """Return a unit up to the first statement that writes to the target, and the user's statements that come after."""
    left_out = (Claim, CheckLimits, CheckResult, KeepBadRows, Sample, WriteFile)
    ahead: list[Step] = []
    steps = iter(unit.steps)
    for step in steps:
        if isinstance(step, RunSql) and step.writes and not step.hook:
            break
        if not isinstance(step, left_out):
            ahead.append(step)
    hooks = tuple(step for step in steps if isinstance(step, RunSql) and step.hook)
    return replace(unit, steps=tuple(ahead)), hooks


def found(
    step: KeepBadRows, connection: psycopg.Connection[TupleRow], source: Source, unit: str
) -> BadRowsFound:
    """Return how many bad rows there are, and the first of them; all of them are kept as they stand in the source."""
    keep_unseen(step.raw, connection, source)
    row = connection.execute(step.count.encode()).fetchone()
    assert row is not None
    rows, unreadable = int(row[0]), int(row[1])
    samples = connection.execute(step.sample.encode()).fetchall() if rows else []
    return BadRowsFound(unit=unit, rows=rows, samples=tuple(map(_sample, samples)), unreadable=unreadable)


def _sample(row: TupleRow) -> BadRowSample:
    place, line, number, column, sqlstate, constraint, message = row
    return BadRowSample(
        place=str(place),
        line=int(line or 0),
        number=int(number),
        column=column,
        sqlstate=sqlstate,
        constraint=constraint,
        message=str(message),
    )


def too_many(step: KeepBadRows, bad: BadRowsFound, rows_read: int, before: int) -> SyncError | None:
    """Return the error if more rows are bad than may be, or if a key that must be known can't be read.

    `before` are those that are kept already.
    """
    if step.most is not None and bad.rows + before > step.most.of(rows_read):
        return excess(step.most, bad, rows_read, step.location, before)
    return _unreadable(step, bad) if step.strict and bad.unreadable else None


def excess(
    most: Limit, bad: BadRowsFound, rows_read: int, location: Location | None, before: int = 0
) -> TooManyBadRows:
    """Return the error for more bad rows than may be, `before` of them kept already."""
    share = f" ({most} of {rows_read:,})" if most.share is not None else ""
    noun = "row" if bad.rows == 1 else "rows"
    return TooManyBadRows(
        f"{bad.rows + before:,} {noun} can't be loaded, at most {int(most.of(rows_read)):,}{share} may be",
        detail="; ".join(map(str, bad.samples)),
        hint="nothing was published: mend the source, or raise `bad_rows: {max: …}`",
        location=location,
    )


def enough(most: Limit | None) -> int | None:
    """Return how many bad rows are too many, where that is known without reading them all."""
    return None if most is None or most.count is None else max(most.count + 1, SHOWN)


def _unreadable(step: KeepBadRows, bad: BadRowsFound) -> Blocked:
    return UnreadableKeys(
        "a bad row has no key that can be read, so `replace` would take its stored row for gone"
        f" ({bad.unreadable:,} in all)",
        detail="; ".join(map(str, bad.samples)),
        hint="mend these rows; or use mode mirror, which then deletes nothing, or upsert",
        location=step.location,
    )


def cut(unit: Unit) -> tuple[Unit, Unit]:
    """Return the steps of a unit up to where its bad rows are counted, and those from there on."""
    place = next(place for place, step in enumerate(unit.steps) if isinstance(step, KeepBadRows))
    if isinstance(unit.steps[place - 1], RunSegments):
        place -= 1  # their keys are computed for that
    return replace(unit, steps=unit.steps[:place]), replace(unit, steps=unit.steps[place:])
