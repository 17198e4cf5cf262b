"""Read the catalog without leaving a trace: one read-only transaction, always rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from syncengine.connect import wrap

# The role's path is taken before it is replaced, in a subquery that OFFSET keeps from being merged.  Every
# name is qualified: until this statement is through, a function on the role's path could stand in.  Compiling
# (jit) would take longer than these queries do.
_PIN = """
SELECT own.path, pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('transaction_read_only', 'on', true), pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('lock_timeout', %s, true)
FROM (SELECT pg_catalog.current_schemas(true)::pg_catalog.text[] AS path OFFSET 0) AS own"""
_READ_ONLY = """
SELECT pg_catalog.set_config('transaction_read_only', 'on', true), pg_catalog.set_config('lock_timeout', %s, true)"""
# Looking at a table waits for whoever holds it exclusively, but not for ever.
LOCK_TIMEOUT = "10s"


@contextmanager
def pinned(conn: psycopg.Connection, *, doing: str, lock_timeout: str = LOCK_TIMEOUT) -> Iterator[list[str]]:
    """Look things up under `search_path = pg_catalog, pg_temp`, so that types come out qualified.

    Yields the schemas of the role's own path in search order, implicit ones (pg_catalog) included.  The path
    is as before when the block ends, also inside a transaction of the caller's.
    """
    with _wrapped(doing), conn.transaction(force_rollback=True):
        row = conn.execute(_PIN, [lock_timeout]).fetchone()
        yield list(row[0]) if row else []


@contextmanager
def own_path(conn: psycopg.Connection, *, doing: str, lock_timeout: str = LOCK_TIMEOUT) -> Iterator[None]:
    """Look things up under the role's own search_path."""
    with _wrapped(doing), conn.transaction(force_rollback=True):
        conn.execute(_READ_ONLY, [lock_timeout])
        yield


@contextmanager
def _wrapped(doing: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise wrap(error, doing=doing) from error
