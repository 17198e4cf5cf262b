"""What the ledger remembers of runs, newest first."""

from __future__ import annotations

from syncengine.ledger.entry import Connection, ask, transaction
from syncengine.ledger.timing import lease_seconds
from syncengine.model.record import ChunkRecord, RunRecord
from syncengine.sql import ledger as sql
from syncengine.values import replace

_DOING = "reading the ledger"
_OF_RUN = (
    "run",
    "spec",
    "target",
    "file",
    "mode",
    "strategy",
    "source",
    "state",
    "started_at",
    "finished_at",
    "renewed_at",
    "seconds",
    "lost",
    "resumed",
    "approved",
    "error",
)
_OF_CHUNK = ("phase", "number", "starts", "ends", "complete", "committed_at")


def runs(connection: Connection, schema: str, spec: str | None = None) -> tuple[RunRecord, ...]:
    """Return the runs of a spec, or of all."""
    with transaction(connection, _DOING):
        rows = ask(connection, schema, sql.RECORDS, spec=spec, run=None, lease=lease_seconds())
    return tuple(_run(row) for row in rows)


def runs_called(connection: Connection, schema: str, start: str) -> tuple[RunRecord, ...]:
    """Return the runs whose names begin so, the one of exactly this name alone if there is one, with their chunks."""
    with transaction(connection, _DOING):
        rows = ask(connection, schema, sql.RECORDS, spec=None, run=start, lease=lease_seconds())
        found = [_run(row) for row in rows]
        found = [one for one in found if one.run == start] or found
        return tuple(replace(one, chunks=_chunks(connection, schema, one.run)) for one in found)


def _run(row: tuple[object, ...]) -> RunRecord:
    known = dict(zip((*_OF_RUN, *sql.COUNTERS), row, strict=True))
    counters = {name: known.pop(name) for name in sql.COUNTERS}
    return RunRecord(**known, counters=counters)  # type: ignore[arg-type]  # as the statement selects them


def _chunks(connection: Connection, schema: str, run: str) -> tuple[ChunkRecord, ...]:
    found = []
    for row in ask(connection, schema, sql.CHUNKS_OF_RUN, run=run):
        known = dict(zip((*_OF_CHUNK, *sql.COUNTERS), row, strict=True))
        counters = {name: known.pop(name) for name in sql.COUNTERS}
        found.append(ChunkRecord(**known, counters=counters))
    return tuple(found)
