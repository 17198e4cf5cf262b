"""Find the rows that the target refuses: what publishes them is tried on segments of them, in a transaction that is
rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.execute.refusals import Refusal, is_of_row, refusal
from syncengine.model.steps import RunSegments, RunSql
from syncengine.sql import segments

SEGMENT = 1_000
# Each time a row fails only for another one that fails, one more is tried.
MOST_ROUNDS = 100

Connection = psycopg.Connection[TupleRow]
# Carries the statements out for the segment that is set; raises psycopg.Error.
Attempt = Callable[[], None]


def guilty(
    connection: Connection,
    numbers: Sequence[int],
    attempt: Attempt,
    blame: Callable[[psycopg.Error], Refusal],
    *,
    enough: int | None = None,
) -> dict[int, Refusal]:
    """Return the rows for which `attempt` fails; for all others it is carried out, by segments of them in order.

    A row that failed for want of another one is tried again after that.  Once there are `enough`, no more are sought.
    """
    found: dict[int, Refusal] = {}
    cuts = [list(numbers[at : at + SEGMENT]) for at in range(0, len(numbers), SEGMENT)]
    for cut in cuts:
        found |= _tried(connection, cut, attempt, blame)
        if enough is not None and len(found) >= enough:
            break
    for turn in range(MOST_ROUNDS):
        if not found:
            break
        again: dict[int, Refusal] = {}
        # In turns from the end and from the beginning: parents stand before their children, or after them.
        for number in sorted(found, reverse=turn % 2 == 0):
            again |= _tried(connection, [number], attempt, blame)
        if len(again) == len(found):
            break
        found = again
    return found


def _tried(
    connection: Connection, cut: list[int], attempt: Attempt, blame: Callable[[psycopg.Error], Refusal]
) -> dict[int, Refusal]:
    """Carry out a segment, in halves where it fails, down to single rows."""
    found: dict[int, Refusal] = {}
    pending = [cut]
    while pending:
        some = pending.pop()
        error = _error(connection, some, attempt)
        if error is None:
            continue
        if len(some) == 1:
            found[some[0]] = blame(error)
            continue
        middle = len(some) // 2
        pending += [some[middle:], some[:middle]]
    return found


def _error(connection: Connection, some: Sequence[int], attempt: Attempt) -> psycopg.Error | None:
    # Whoever finds out what is to blame looks at the same segment.
    connection.execute(segments.bounds(some[0], some[-1] + 1))
    try:
        with connection.transaction():
            attempt()
    except psycopg.Error as error:
        if not is_of_row(error.sqlstate):
            raise
        return error
    return None


def run_segments(
    step: RunSegments, connection: Connection, sensitive: Sequence[str], target: str
) -> dict[int, Refusal] | None:
    """Carry out a statement over all staged rows, and where that fails by segments of them; return the bad rows.

    None: the statement went through.  Raises psycopg.Error.
    """
    try:
        with connection.transaction():
            connection.execute(step.sql.encode())
    except psycopg.Error as error:
        if not is_of_row(error.sqlstate):
            raise
    else:
        return None

    def blame(error: psycopg.Error) -> Refusal:
        return refusal(error, sensitive, target, column=_guilty_part(step, connection, error))

    numbers = [int(row[0]) for row in connection.execute(step.numbers.encode())]
    return guilty(connection, numbers, lambda: _execute(connection, step.segment), blame)


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(statement.encode())


def _guilty_part(step: RunSegments, connection: Connection, error: psycopg.Error) -> str | None:
    """Return the column that fails alike by itself; the segment is still that of the row."""
    for part in step.parts:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(part.sql.encode())
        except psycopg.Error as other:
            if (other.sqlstate, other.diag.message_primary) == (error.sqlstate, error.diag.message_primary):
                return part.column
    return None


def applied(
    connection: Connection,
    writes: Sequence[RunSql],
    hooks: Sequence[RunSql],
    own_path: Callable[[bool], None],
) -> None:
    """Write the segment that is set, and see that no constraint objects, as at the end of the transaction.

    Statements that come after the writing may mend what a deferred constraint would refuse; they are undone.
    """
    own_path(True)
    for step in writes:
        connection.execute(step.sql.encode())
    if not hooks:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
    else:
        with connection.transaction(force_rollback=True):
            for step in hooks:
                connection.execute(step.sql.encode())
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    own_path(False)


@contextmanager
def wrapped(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise wrap(error, doing=doing) from error
