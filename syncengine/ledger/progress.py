"""How far a run has come: its committed chunks, and what they counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncengine.ledger.entry import Connection, Entry, ask, transaction
from syncengine.sql import ledger as sql

_DOING = "reading the ledger"
_PHASES = ("stage", "arrange", "publish")


def last_chunk(
    connection: Connection, entry: Entry, phase: str
) -> tuple[int, dict[str, Any] | None, bool, int] | None:
    """Return the last committed chunk of a phase: its number, where it ends, and whether it completes the phase; and
    the number of rows that were read up to there.
    """
    with transaction(connection, _DOING):
        rows = ask(connection, entry.schema, sql.LAST_CHUNK, run=entry.run, phase=phase)
    return (int(rows[0][0]), rows[0][1], bool(rows[0][2]), int(rows[0][3])) if rows else None


def committed_chunks(connection: Connection, entry: Entry, phase: str) -> frozenset[int]:
    with transaction(connection, _DOING):
        rows = ask(connection, entry.schema, sql.DONE_CHUNKS, run=entry.run, phase=phase)
    return frozenset(int(row[0]) for row in rows)


def counts_of_chunks(connection: Connection, entry: Entry) -> dict[str, int]:
    """Return the counters of all committed chunks together."""
    with transaction(connection, _DOING):
        rows = ask(connection, entry.schema, sql.SUMS, run=entry.run, phases=list(_PHASES))
    return _named(rows)


def is_in_the_way(connection: Connection) -> bool:
    """Tell, within a transaction, whether another one waits for it: of the same run, or one that the run waits for."""
    row = connection.execute(sql.IN_THE_WAY).fetchone()
    return row is not None and bool(row[0])


def counts_of_run(connection: Connection, entry: Entry) -> dict[str, int]:
    """Return the counters of a run that is done."""
    with transaction(connection, _DOING):
        rows = ask(connection, entry.schema, sql.COUNTS_OF_RUN, run=entry.run)
    return _named(rows)


def forget_chunks(connection: Connection, entry: Entry, phases: Sequence[str]) -> None:
    with transaction(connection, "noting that staging is lost"):
        ask(connection, entry.schema, sql.FORGET_CHUNKS, run=entry.run, phases=list(phases))


def _named(rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    return dict(zip(sql.COUNTERS, map(int, rows[0]), strict=True))
