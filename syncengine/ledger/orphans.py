"""Staging tables that dead runs left: found by the ledger, never by their names alone."""

from __future__ import annotations

import re
from typing import Any

import psycopg

from syncengine.connect import wrap
from syncengine.ledger.timing import GRACE, lease_seconds
from syncengine.sql import ledger as sql
from syncengine.sql import staging
from syncengine.sql.badrows import BAD
from syncengine.sql.names import STAGE_PREFIX, of_stage

Connection = psycopg.Connection[tuple[Any, ...]]
# For so long the staged rows of a dead run wait for the next run of its spec to go on with them.
KEPT_SECONDS = 3600.0


def tables_of(connection: Connection, schema: str) -> dict[str, list[str]]:
    """Return the staging tables in the engine's schema by run."""
    found: dict[str, list[str]] = {}
    for (name,) in connection.execute(sql.STAGING, {"schema": schema, "prefix": f"{STAGE_PREFIX}%"}):
        if match := re.fullmatch(of_stage(r"(?P<run>[0-9a-f]+_\d+)") + r"(_[a-z_]+)?", str(name)):
            found.setdefault(match["run"], []).append(str(name))
    return found


def intact(connection: Connection, schema: str, run: str) -> bool:
    """Tell whether a run's staging holds as many rows as were registered: a crash of the server empties it."""
    try:
        return _intact(connection, schema, run)
    except psycopg.Error as error:
        raise wrap(error, doing="looking at what is staged") from error


def _intact(connection: Connection, schema: str, run: str) -> bool:
    phases: dict[str, int] = dict(
        connection.execute(sql.of_schema(schema, sql.REGISTERED), {"run": run}).fetchall()
    )
    tables = tables_of(connection, schema).get(run, [])
    for phase, table in (("arrange", of_stage(run) + "_parts"), ("stage", of_stage(run))):
        if phase in phases:  # once the parts are cut, nothing else is needed
            if table not in tables:
                return False
            bad = of_stage(run) + BAD
            kept = [table, bad] if phase == "stage" and bad in tables else [table]
            found = [connection.execute(sql.count_rows((schema, name))).fetchone() for name in kept]
            # Another connection of the run may have staged more in between.
            return sum(int(row[0]) for row in found if row is not None) >= int(phases[phase])
    return True


def is_sifted(connection: Connection, schema: str, run: str) -> bool:
    """Tell whether a run has begun to stage with the numbers of its rows, to keep bad ones apart."""
    return of_stage(run) + BAD in tables_of(connection, schema).get(run, [])


def drop(connection: Connection, schema: str, run: str) -> None:
    """Drop the staging of a run."""
    for table in tables_of(connection, schema).get(run, []):
        connection.execute(staging.drop((schema, table)))


def collect(connection: Connection, schema: str, *, every: bool = False) -> list[str]:
    """Drop the staging of dead runs and return its names.

    What the next run of a spec could go on with is kept for an hour, unless `every` is to go; what stands between
    committed chunks and the rest of their run is always kept.
    """
    dropped: list[str] = []
    try:
        with connection.transaction():
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            tables = tables_of(connection, schema)
        for run in tables:
            with connection.transaction():
                connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
                connection.execute("SET LOCAL lock_timeout = '2s'")
                if _is_dead(connection, schema, run, 0.0 if every else KEPT_SECONDS):
                    for table in tables[run]:
                        connection.execute(staging.drop((schema, table)))
                        dropped.append(f"{schema}.{table}")
    except psycopg.errors.InsufficientPrivilege:
        return dropped  # another role's: its own runs, or its owner, will collect them
    except psycopg.Error as error:
        raise wrap(error, doing="dropping what dead runs left") from error
    return dropped


def _is_dead(connection: Connection, schema: str, run: str, kept: float) -> bool:
    """Tell whether a run will never need its staging, and hold its lock until the transaction's end if so."""
    values = {"run": run, "lease": lease_seconds(), "grace": GRACE, "kept": kept}
    rows = connection.execute(sql.of_schema(schema, sql.NEEDS_STAGING), values).fetchall()
    if not rows or rows[0][0]:
        return False
    row = connection.execute(sql.try_lock(run)).fetchone()
    return row is not None and bool(row[0])
