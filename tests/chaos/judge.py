"""What must be true after each run and at the end of a round; what is not is a Violation."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable

import psycopg
from psycopg.sql import SQL, Identifier

from tests.chaos.cases import Row
from tests.chaos.field import Field
from tests.chaos.injuries import Fault
from tests.faults.processes import Ended

CLASSES = ("inserted", "updated", "unchanged", "skipped", "duplicates", "quarantined")
SCHEMA = "syncengine"
# Done, failed, done with bad rows, locked; and what interruptions and kills end with.
ALLOWED = {0, 1, 4, 5}
BY_FAULT = {"ctrl-c": {130}, "sigterm": {143}}
KILLED = -signal.SIGKILL
SHOWN = 5


class Violation(AssertionError):
    """A promise was broken; `struck` are the faults that led to it."""

    struck: tuple[Fault, ...] = ()


def between(field: Field, ended: Ended, kind: str) -> None:
    """Judge how a run ended, and what it left, whether it succeeded or not."""
    killed = {KILLED} if kind.startswith("kill") else set()
    for one, allowed in (
        (ended, ALLOWED | killed | BY_FAULT.get(kind, set())),
        *((o, ALLOWED) for o in field.others),
    ):
        if one.hung:
            raise Violation(f"a run under {kind or 'no fault'} did not end\n{said(one)}")
        if one.code not in allowed or "Traceback" in one.err:
            raise Violation(f"a run under {kind or 'no fault'} ended with {one.code}\n{said(one)}")
    rows = field.rows()
    worlds = [one for one in (field.world, field.other) if one is not None]
    strange = [one.strange(rows) for one in worlds]
    if all(strange):
        raise Violation(f"after {kind or 'no fault'} the table holds {some(strange[0])}\n{said(ended)}")
    if ended.done and rows not in [one.final for one in worlds]:
        raise Violation(f"a run under {kind or 'no fault'} succeeded, and {_difference(field, rows)}")


def is_told(field: Field) -> bool:
    """Tell whether the ledger takes its caller to know that the run is done: an insert is then a new one."""
    with field.connect() as connection:
        if not _keeps_books(connection):
            return False
        found = connection.execute(
            f"SELECT 1 FROM {SCHEMA}.runs WHERE state = 'done' AND told".encode()
        ).fetchone()
    return found is not None


def other_was_published(field: Field) -> bool:
    """Tell whether the source as it was changed under way is what the table holds."""
    return (
        field.other is not None
        and field.other.final != field.world.final
        and field.rows() == field.other.final
    )


def final(field: Field, ended: Ended) -> None:
    """Judge the end of a round."""
    if not ended.done:
        raise Violation(f"without faults a run ended with {ended.code}\n{said(ended)}")
    rows = field.rows()
    if rows != field.world.final:
        raise Violation(_difference(field, rows))
    result = ended.result
    if result and not _closed(result):
        raise Violation(f"the books do not close: {result}")


def remains(field: Field) -> None:
    """Judge what is left in the database when all runs are over."""
    try:
        field.settle()
    except TimeoutError as error:
        raise Violation("a session of the engine's is still there") from error
    with field.connect() as connection:
        held = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        if held != (0,):
            raise Violation(f"{held} advisory locks are still held")
        _ledger(connection)
        _quarantine(connection)


def _quarantine(connection: psycopg.Connection) -> None:
    """See that each run that is done keeps the bad rows that it counts, and each of them once."""
    if not _keeps_books(connection):
        return
    kept = connection.execute(
        f"SELECT run, state, quarantined, count(k.number), count(DISTINCT k.number)"
        f" FROM {SCHEMA}.runs AS r LEFT JOIN {SCHEMA}.quarantine AS k USING (run) GROUP BY 1, 2, 3".encode()
    ).fetchall()
    for run, state, counted, rows, numbers in kept:
        if rows != numbers or (state == "done" and rows != counted):
            raise Violation(
                f"run {run} ({state}) counts {counted} bad rows, and keeps {rows}, {numbers} of them differ"
            )


def _ledger(connection: psycopg.Connection) -> None:
    if not _keeps_books(connection):
        return
    columns = SQL(", ").join(Identifier(name) for name in ("run", "state", "rows_read", *CLASSES))
    for run, state, read, *classes in connection.execute(
        SQL("SELECT {} FROM {}").format(columns, Identifier(SCHEMA, "runs"))
    ).fetchall():
        if state == "running":
            raise Violation(f"run {run} is still said to run")
        if state == "done" and read != sum(classes):
            raise Violation(f"the ledger's books of run {run} do not close: {read} rows read, {classes}")
    staging = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relname ~ '^stage_' AND relkind = 'r'",
        [SCHEMA],
    ).fetchall()
    if staging:
        raise Violation(f"staging is left: {staging}")


def _keeps_books(connection: psycopg.Connection) -> bool:
    """Tell whether the engine's ledger knows of chunks: before it did, it kept no books either."""
    return connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.chunks"]).fetchone() != (None,)


def _closed(result: dict[str, object]) -> bool:
    return result["rows_read"] == sum(int(str(result[name])) for name in CLASSES)


def _difference(field: Field, rows: tuple[Row, ...]) -> str:
    found, wanted = Counter(rows), Counter(field.world.final)
    return f"the table is wrong: surplus {some(found - wanted)}, missing {some(wanted - found)}"


def some(rows: Iterable[Row] | Counter[Row]) -> str:
    listed = sorted(rows.elements() if isinstance(rows, Counter) else rows)
    return f"{len(listed)} rows such as {listed[:SHOWN]}"


def said(ended: Ended) -> str:
    return f"exit code {ended.code} after {ended.seconds:.1f} s\n{ended.err[-2000:]}\n{ended.out[-1000:]}"
