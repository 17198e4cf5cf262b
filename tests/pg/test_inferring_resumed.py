"""A table that is created from a source of which the types are inferred: what was staged for that is not read again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.faults.proxy import Deal, Proxy, Trap
from tests.killed import killed_at
from tests.servers import Database

# A pooler hides that a client was killed: it is given up after its lease only.
pytestmark = pytest.mark.direct

ROWS = 1000
SPEC: dict[str, Any] = {
    "name": "t",
    "target": {"table": "t", "create": True},
    "conflict_keys": ["id"],
    "execution": {"chunk_rows": 300},
}
TYPES = """
SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 't'::regclass AND attnum > 0"""
# Only the first chunk shows that `word` is no number, and only the last one that `wide` is more than an integer.
FIRST, LAST = "7x", "9999999999999999999"


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("syncengine.execute.retry.FIRST_ABSENCE", 0.02)
    return emptied


def rows() -> list[tuple[int, str, str]]:
    return [(n, FIRST if n == 0 else "7", LAST if n == ROWS - 1 else str(n)) for n in range(ROWS)]


def write(name: str) -> None:
    text = "id,word,wide\n" + "".join(f"{n},{word},{wide}\n" for n, word, wide in rows())
    if name.endswith(".gz"):
        Path(name).write_bytes(gzip.compress(text.encode()))
    elif name.endswith(".jsonl"):
        # Nothing but a number is a number in JSON; in the first chunk `word` is a text, thereafter a number.
        lines = ({"id": n, "word": "7" if n < 300 else 7, "wide": int(wide)} for n, _, wide in rows())
        Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        Path(name).write_text(text)


def assert_whole(db: Database) -> None:
    assert db.one(TYPES) == "id bigint, word text, wide numeric"
    assert db.execute("SELECT count(*), count(DISTINCT id), sum(wide) FROM t") == [
        (ROWS, ROWS, sum(range(ROWS - 1)) + int(LAST))
    ]


def left(db: Database) -> object:
    return db.one("SELECT count(*) FROM pg_class WHERE relname LIKE 'stage%'")


DEATHS = {
    "between-two-chunks": ("ChunkCommitted", "read", 2),
    "within-a-chunk": ("RowsRead", "read", 3),
    "once-all-is-read": ("ChunkCommitted", "read", 4),
    "while-columns-are-computed": ("StepFinished", "stage", 4),
    "once-columns-are-computed": ("UnitCommitted", "stage", 1),
    "while-it-is-published": ("RowsCounted", "publish", 1),
}


@pytest.mark.parametrize("bad_rows", ["fail", "quarantine"])
@pytest.mark.parametrize("source", ["t.csv", "t.csv.gz", "t.jsonl"])
@pytest.mark.parametrize(("kind", "unit", "number"), DEATHS.values(), ids=DEATHS)
def test_a_killed_run_is_gone_on_with(
    db: Database, source: str, bad_rows: str, kind: str, unit: str, number: int
):
    write(source)
    spec = {**SPEC, "source": source, "bad_rows": bad_rows}
    seen: list[ev.Event] = []

    killed_at(db, spec, kind, unit, number)
    report = syncengine.run(spec, connection=db.url, emit=seen.append)

    assert (report.resumed, report.rows_read, report.inserted) == (True, ROWS, ROWS)
    read = sum(event.rows for event in seen if isinstance(event, ev.RowsRead))
    # Chunks that are sent at the same time are told of later than they commit.
    assert read <= (0 if unit != "read" or number == 4 else ROWS - 600)
    assert_whole(db)
    assert left(db) == 0


@pytest.mark.parametrize("unit", ["read", "stage", "publish"])
@pytest.mark.parametrize("source", ["t.csv", "t.jsonl"])
def test_staging_that_a_crash_emptied_is_filled_again(db: Database, source: str, unit: str):
    write(source)
    seen: list[ev.Event] = []

    def crash(event: ev.Event) -> None:
        seen.append(event)
        if sum(isinstance(one, ev.StepStarted) and one.unit == unit for one in seen) == 1:
            seen.append(event)
            empty(db)

    report = syncengine.run({**SPEC, "source": source}, connection=db.url, emit=crash)

    assert any(isinstance(event, ev.StagingLost) for event in seen) == (unit != "read")
    assert (report.rows_read, report.inserted, report.error) == (ROWS, ROWS, None)
    assert_whole(db)
    assert left(db) == 0


def empty(db: Database) -> None:
    """Do what a crash of the server does: connections are gone, and unlogged tables are empty."""
    ours = "application_name = 'syncengine' AND datname = current_database()"
    db.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}")
    for (name,) in db.execute("SELECT relname FROM pg_class WHERE relname LIKE 'stage%' AND relkind = 'r'"):
        db.execute(f'TRUNCATE syncengine."{name}"')


@pytest.mark.parametrize("commits", [False, True], ids=["before-some-messages", "at-the-answer-to-a-commit"])
def test_a_connection_that_is_lost_costs_no_row(db: Database, *, commits: bool):
    write("t.jsonl")
    outcomes: dict[int, object] = {}
    with Proxy(db.direct) as proxy:
        messages = _messages(db, proxy, commits=commits)
        for number in range(1, messages + 1, 1 if commits else 9):
            db.execute("DROP TABLE t")
            proxy.reset()
            proxy.trap(Trap(at=number, commits=commits, deal=Deal.SWALLOW if commits else Deal.DROP))
            spec = {**SPEC, "source": "t.jsonl", "name": f"t{number}"}
            try:
                report = syncengine.run(spec, connection=proxy.url(db.direct))
            except SyncError:  # what is lost while it is planned is an error
                assert db.one("SELECT to_regclass('t')") is None
                report = syncengine.run(spec, connection=db.url)
            if (report.rows_read, report.inserted, db.one("SELECT count(*) FROM t")) != (ROWS, ROWS, ROWS):
                outcomes[number] = report

    assert messages > (6 if commits else 80)
    assert outcomes == {}
    assert_whole(db)


def _messages(db: Database, proxy: Proxy, *, commits: bool) -> int:
    """Return how many messages a run sends once there is a ledger."""
    spec = {**SPEC, "source": "t.jsonl"}
    syncengine.run({**spec, "name": "first"}, connection=proxy.url(db.direct))
    db.execute("DROP TABLE t")
    proxy.reset()
    syncengine.run({**spec, "name": "again"}, connection=proxy.url(db.direct))
    return proxy.commits if commits else proxy.messages
