"""Short ways to run a spec over rows, and to look at what came of it."""

from __future__ import annotations

from typing import Any

import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model.report import COUNTERS
from tests.servers import Database


def sync(db: Database, rows: object, **spec: Any) -> syncengine.Report:
    """Sync rows from Python, or with `rows` None the spec's own source, into table t unless another is named."""
    return syncengine.run({"name": "t", "target": "t", **spec}, source=rows, connection=db.url)


def refused(db: Database, rows: object, **spec: Any) -> SyncError:
    """Return the error that a run ends with."""
    with pytest.raises(SyncError) as failure:
        sync(db, rows, **spec)
    return failure.value


def counts(report: syncengine.Report) -> dict[str, int]:
    """Return the counters that are not 0, without rows_read, after checking that the books close."""
    assert report.counts.closed
    found = {name: int(getattr(report, name)) for name in COUNTERS if name != "rows_read"}
    return {name: count for name, count in found.items() if count}


def places(db: Database, table: str = "t") -> list[tuple[object, ...]]:
    """Return each row with where it is stored and who wrote it: a row written again has another place."""
    return db.execute(f"SELECT tableoid, ctid::text, xmin::text, t::text FROM {table} AS t ORDER BY 1, 2, 3")
