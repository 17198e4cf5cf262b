"""Ask the server what it thinks of a statement, without carrying it out."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg.sql import SQL, Composed

from syncengine.catalog.session import LOCK_TIMEOUT, own_path, pinned
from syncengine.connect import wrap
from syncengine.errors import Location, MissingPrivilege, SpecError, SyncError

_NO_ARBITER = "42P10"
# Not allowed to ask, a read-only server, a relation for which ON CONFLICT is not supported at all.
_NO_ANSWER = ("42501", "25006", "0A000")
# Syntax and names, data (a constant that is no date), subqueries, features: what a text can have wrong.
_TEXT_CLASSES = ("42", "22", "21", "0A", "2F", "39")


def check_expressions(
    conn: psycopg.Connection,
    probe_sql: Sequence[tuple[Location | None, str, Composed]],
    *,
    settings: Sequence[tuple[str, str]] = (),
    as_role: bool = False,
) -> list[SyncError]:
    """EXPLAIN each statement under the pinned path and return what the server has against them, in order.

    `settings` are those of the run: constants are read by them.  `as_role`: under the role's own path, as checks run.

    Each probe is the place and the text that a user wrote, and the statement it was put into.  Raises what is
    no fault of the texts, such as a lost connection.
    """
    if not probe_sql:
        return []
    with (own_path if as_role else pinned)(conn, doing="checking expressions"):
        for name, value in settings:
            conn.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
        found = [_check(conn, location, text, statement) for location, text, statement in probe_sql]
    return [problem for problem in found if problem is not None]


def _check(
    conn: psycopg.Connection, location: Location | None, text: str, statement: Composed
) -> SyncError | None:
    try:
        with conn.transaction():
            conn.execute(SQL("EXPLAIN {}").format(statement))
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in _TEXT_CLASSES:
            raise
        wrapped = wrap(error, doing="checking it")
        kind = MissingPrivilege if isinstance(wrapped, MissingPrivilege) else SpecError
        return kind(wrapped.message, detail=f"in: {text}", hint=wrapped.hint, location=location)
    return None


def check_settings(
    conn: psycopg.Connection, settings: Sequence[tuple[Location, str, str]]
) -> list[SyncError]:
    """Return what the server has against settings, each with its place, name and value."""
    if not settings:
        return []
    found = []
    with pinned(conn, doing="checking the session's settings"):
        for location, name, value in settings:
            try:
                with conn.transaction():
                    conn.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
            except psycopg.Error as error:
                wrapped = wrap(error, doing="setting it")
                found.append(SpecError(wrapped.message, hint=wrapped.hint, location=location))
    return [*found]


def server_arbiter(
    conn: psycopg.Connection, probe: Composed, *, lock_timeout: str = LOCK_TIMEOUT
) -> tuple[str, ...] | None:
    """Return the indexes that the server infers for an INSERT … ON CONFLICT (…), () if none matches.

    None means that the server cannot be asked: the role lacks a right, or the server is read-only.  It infers
    deferrable indexes as well and fails later, so pass the names through `arbiter.pick_inferred`.
    """
    try:
        with own_path(conn, doing="asking for the arbiter index", lock_timeout=lock_timeout):
            row = conn.execute(SQL("EXPLAIN (FORMAT JSON, COSTS OFF) {}").format(probe)).fetchone()
    except SyncError as error:
        if error.sqlstate == _NO_ARBITER:
            return ()
        if error.sqlstate in _NO_ANSWER:
            return None
        raise
    assert row is not None  # FORMAT JSON answers with one row
    return tuple(row[0][0]["Plan"].get("Conflict Arbiter Indexes", ()))
