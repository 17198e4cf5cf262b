"""Which PostgreSQL is the first to understand a piece of SQL."""

from __future__ import annotations

import pytest

OLDEST = 14
SINCE = {
    "NULLS NOT DISTINCT": 15,
    "numeric(5,-1)": 15,
    "pg_stat_force_next_flush": 15,
    "VIRTUAL": 18,
    "WITHOUT OVERLAPS": 18,
}


def needs(sql: str) -> pytest.MarkDecorator:
    """Leave a test, or a row of its table, to the servers that understand `sql`."""
    return pytest.mark.since(max((since for words, since in SINCE.items() if words in sql), default=OLDEST))
