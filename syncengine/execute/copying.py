"""COPY FROM STDIN whose lost connection is told as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import Composed


@contextmanager
def copying(cursor: psycopg.Cursor[object], statement: Composed) -> Iterator[psycopg.Copy]:
    """Copy as `cursor.copy` does.

    A pooler whose server is gone sends two errors, the server's and its own, where psycopg knows of one and raises a
    ValueError of its own making.
    """
    raised: BaseException | None = None
    try:
        with cursor.copy(statement) as stream:
            try:
                yield stream
            except BaseException as error:
                raised = error
                raise
    except ValueError as error:
        if error is raised:
            raise
        raise psycopg.OperationalError("the connection was lost during COPY") from error
