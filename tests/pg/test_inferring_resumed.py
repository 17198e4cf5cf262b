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
    crash = Crash(db, "StepStarted", unit)

    report = syncengine.run({**SPEC, "source": source}, connection=db.url, emit=crash)

    assert (report.rows_read, report.inserted, report.error) == (ROWS, ROWS, None)
    assert_whole(db)
    assert left(db) == 0


@pytest.mark.parametrize("source", ["t.csv", "t.jsonl"])
def test_staging_that_is_lost_while_a_resumed_run_reads_is_filled_again(db: Database, source: str):
    write(source)
    spec = {**SPEC, "source": source}
    killed_at(db, spec, "ChunkCommitted", "read", 2)

    report = syncengine.run(spec, connection=db.url, emit=Crash(db, "ChunkCommitted", "read"))

    assert (report.resumed, report.rows_read, report.inserted) == (True, ROWS, ROWS)
    assert_whole(db)
    assert left(db) == 0


@pytest.mark.parametrize("number", [1, 2])
def test_numbered_staging_that_is_lost_while_it_is_read_is_filled_again(db: Database, number: int):
    write("t.csv")
    lines = Path("t.csv").read_text().splitlines(keepends=True)
    Path("t.csv").write_text("".join([*lines[:500], "one,field,too,many\n", *lines[500:]]))
    spec = {**SPEC, "source": "t.csv", "bad_rows": "quarantine"}

    report = syncengine.run(spec, connection=db.url, emit=Crash(db, "ChunkCommitted", "read", number))

    assert (report.rows_read, report.inserted, report.quarantined) == (ROWS + 1, ROWS, 1)
    assert_whole(db)
    assert left(db) == 0


OTHERS = ["id int PRIMARY KEY, word text, wide numeric(21,1)", "id text UNIQUE, word text, wide text"]


@pytest.mark.parametrize(("kind", "unit", "number"), DEATHS.values(), ids=DEATHS)
@pytest.mark.parametrize("columns", OTHERS, ids=["typed", "texts"])
def test_what_was_staged_as_text_is_of_no_use_to_a_table_that_somebody_made(
    db: Database, columns: str, kind: str, unit: str, number: int
):
    write("t.csv")
    spec = {**SPEC, "source": "t.csv", "execution": {"chunk_rows": 300, "method": "staged"}}
    killed_at(db, spec, kind, unit, number)
    db.execute(f"CREATE TABLE t ({columns})")

    report = syncengine.run(spec, connection=db.url)

    assert (report.rows_read, report.inserted) == (ROWS, ROWS)
    assert db.one("SELECT count(DISTINCT id) FROM t") == ROWS
    assert left(db) == 0


def test_what_was_staged_for_a_table_is_of_no_use_once_that_is_gone(db: Database):
    write("t.csv")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, word text, wide numeric(21,1))")
    spec = {**SPEC, "source": "t.csv", "execution": {"chunk_rows": 300, "method": "staged"}}
    killed_at(db, spec, "ChunkCommitted", "stage", 3)
    db.execute("DROP TABLE t")

    report = syncengine.run(spec, connection=db.url)

    assert (report.resumed, report.inserted) == (False, ROWS)
    assert_whole(db)
    assert left(db) == 0


def test_all_that_a_dead_run_has_staged_is_dropped_where_it_does_not_go_on(db: Database):
    write("t.csv")
    Path("t.csv").write_text(Path("t.csv").read_text() + "one,field,too,many\n")
    columns = {"twice": {"expression": "CAST(source.id AS bigint) * 2"}}
    spec = {**SPEC, "source": "t.csv", "columns": columns, "bad_rows": "quarantine"}
    killed_at(db, spec, "UnitCommitted", "stage")
    assert db.one("SELECT count(*) FROM pg_class WHERE relname LIKE 'stage%aside_load'") == 1

    report = syncengine.run(spec, connection=db.url, restart=True)

    assert (report.resumed, report.inserted) == (False, ROWS)
    assert left(db) == 0


class Crash:
    """Empties staging at the event of a unit, once."""

    def __init__(self, db: Database, kind: str, unit: str, number: int = 1) -> None:
        self._db = db
        self._at = kind, unit
        self._left = number

    def __call__(self, event: ev.Event) -> None:
        if (type(event).__name__, getattr(event, "unit", "")) == self._at:
            self._left -= 1
            if self._left == 0:
                empty(self._db)


def empty(db: Database) -> None:
    """Do what a crash of the server does: connections are gone, and unlogged tables are empty."""
    ours = "application_name = 'syncengine' AND datname = current_database()"
    cut = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}"
    db.execute(cut)
    for (name,) in db.execute("SELECT relname FROM pg_class WHERE relname LIKE 'stage%' AND relkind = 'r'"):
        db.execute(f'TRUNCATE syncengine."{name}"')
    db.execute(cut)  # those that were back before it was empty, which is not so after a crash


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
