"""A run that was killed goes on where it stopped: chunks that are committed are neither read nor written again."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

import syncengine
from syncengine import redact
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.conftest import RunCli
from tests.killed import killed_at
from tests.runs import counts
from tests.servers import Database

# A pooler hides that a client was killed: it is given up after its lease only.
pytestmark = pytest.mark.direct
ROWS = 1000
OLD = 600


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    return emptied


def spec_of(**keys: Any) -> dict[str, Any]:
    """Return a spec that adds up, so that a row which is written twice shows."""
    base: dict[str, Any] = {
        "name": "t",
        "source": "t.csv",
        "target": "t",
        "conflict_keys": ["id"],
        "update_columns": {"v": "excluded.v", "hits": "target.hits + 1"},
        "execution": {"transaction": "chunk", "chunk_rows": 300, "method": "staged", "workers": 1},
    }
    return {**base, **keys}


def write(name: str = "t.csv", rows: int = ROWS, value: str = "new") -> None:
    text = "id,v\n" + "".join(f"{n},{value}\n" for n in range(rows))
    if name.endswith(".gz"):
        Path(name).write_bytes(gzip.compress(text.encode()))
    elif name.endswith(".jsonl"):
        Path(name).write_text("".join(json.dumps({"id": n, "v": value}) + "\n" for n in range(rows)))
    else:
        Path(name).write_text(text)


def make(db: Database, key: str = "PRIMARY KEY") -> None:
    db.execute(f"CREATE TABLE t (id int {key}, v text, hits int NOT NULL DEFAULT 0)")
    db.execute("INSERT INTO t SELECT n, 'old', 0 FROM generate_series(0, %s) AS n", [OLD - 1])


def hits(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT hits, count(*) FROM t GROUP BY hits ORDER BY hits")


def left(db: Database) -> list[tuple[object, ...]]:
    return db.execute(
        "SELECT relname::text FROM pg_class WHERE relname LIKE 'stage%' AND relkind = 'r' AND relpersistence = 'u'"
    )


@dataclass(frozen=True, kw_only=True)
class Death:
    """Where a run is killed: at an event of a unit."""

    kind: str
    unit: str = ""
    number: int = 1
    keys: dict[str, Any] = field(default_factory=dict)
    resumed: bool = True


ALL = {"execution": {"transaction": "all", "chunk_rows": 300, "method": "staged"}}
DEATHS = {
    "before-the-first-chunk": Death(kind="RowsRead", unit="stage", resumed=False),
    "between-two-staged-chunks": Death(kind="ChunkCommitted", unit="stage", number=2),
    "within-a-staged-chunk": Death(kind="RowsRead", unit="stage", number=3),
    "once-all-is-staged": Death(kind="ChunkCommitted", unit="stage", number=4),
    "while-the-parts-are-cut": Death(kind="StepStarted", unit="arrange", number=3),
    "once-the-parts-are-cut": Death(kind="UnitCommitted", unit="arrange"),
    "within-the-first-part": Death(kind="Classified", unit="publish"),
    "between-two-parts": Death(kind="ChunkCommitted", unit="publish"),
    "within-a-later-part": Death(kind="RowsCounted", unit="publish", number=5),
    "after-the-last-part": Death(kind="ChunkCommitted", unit="publish", number=4),
    "when-all-is-done": Death(kind="UnitCommitted", unit="finish"),
    "all-or-nothing-between-two-staged-chunks": Death(
        kind="ChunkCommitted", unit="stage", number=2, keys=ALL
    ),
    "all-or-nothing-while-publishing": Death(kind="RowsCounted", unit="publish", keys=ALL),
    "all-or-nothing-when-published": Death(kind="UnitCommitted", unit="publish", keys=ALL),
    "compressed": Death(kind="ChunkCommitted", unit="stage", number=2, keys={"source": "t.csv.gz"}),
    "json-lines": Death(kind="ChunkCommitted", unit="stage", number=2, keys={"source": "t.jsonl"}),
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_killed_run_is_gone_on_with_and_each_row_counts_once(db: Database, death: Death):
    make(db)
    spec = spec_of(**death.keys)
    write(spec["source"])

    killed_at(db, spec, death.kind, death.unit, death.number)
    report = syncengine.run(spec, connection=db.url)

    assert hits(db) == [(0, ROWS - OLD), (1, OLD)]
    assert db.one("SELECT count(*) FROM t WHERE v = 'new'") == ROWS
    assert counts(report) == {"inserted": ROWS - OLD, "updated": OLD}
    assert (report.resumed, report.rows_read) == (death.resumed, ROWS)
    assert left(db) == []
    assert db.execute(
        "SELECT state, inserted, updated FROM syncengine.runs ORDER BY started_at DESC LIMIT 1"
    ) == [("done", ROWS - OLD, OLD)]
    again = syncengine.run(spec, connection=db.url)
    assert (again.published_before, hits(db)) == (True, [(0, ROWS - OLD), (1, OLD)])


# With one worker an event tells of a chunk before the next one begins.
CHUNKS = {"transaction": "chunk", "chunk_rows": 300, "workers": 1}
APPEND = {"mode": "insert", "source": "t.csv", "execution": CHUNKS}


def appending(**more: Any) -> dict[str, Any]:
    return {"name": "t", "target": "t", **APPEND, **more}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("change", ["appended", "rewritten"])
@pytest.mark.parametrize("source", ["t.csv", "t.jsonl"])
def test_nothing_is_published_of_what_was_written_to_a_file_meanwhile(
    db: Database, source: str, change: str, workers: int
):
    db.execute("CREATE TABLE t (id int, v text)")
    many = 40_000
    write(source, rows=many, value="new and as long as it takes")
    whole, stat = Path(source).read_bytes(), Path(source).stat()
    spec = appending(
        source=source, execution={"transaction": "chunk", "chunk_rows": 3_000, "workers": workers}
    )

    def emit(event: ev.Event) -> None:
        if isinstance(event, ev.ChunkCommitted) and event.number == 1:
            end = whole[whole.index(b"\n", len(whole) // 2) + 1 :]
            Path(source).write_bytes(whole + end if change == "appended" else whole.replace(b"new", b"bad"))

    with pytest.raises(SyncError, match="changed while it was being read"):
        syncengine.run(spec, connection=db.url, emit=emit)
    Path(source).write_bytes(whole)
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = syncengine.run(spec, connection=db.url)

    assert (report.resumed, report.rows_read) == (True, many)
    assert db.execute(
        "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE v LIKE 'bad%') FROM t"
    ) == [(many, many, 0)]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("source", ["t.csv", "t.csv.gz", "t.jsonl"])
def test_an_insert_cut_at_the_source_goes_on_behind_its_last_chunk(db: Database, source: str, number: int):
    db.execute("CREATE TABLE t (id int, v text)")
    write(source)
    spec = appending(source=source)

    killed_at(db, spec, "ChunkCommitted", "publish", number)
    assert db.one("SELECT count(*) FROM t") == min(300 * number, ROWS)
    report = syncengine.run(spec, connection=db.url)

    assert db.execute("SELECT count(*), count(DISTINCT id) FROM t") == [(ROWS, ROWS)]
    assert (counts(report), report.resumed) == ({"inserted": ROWS}, True)


@pytest.mark.parametrize("number", [1, 2, 4, 8])
@pytest.mark.parametrize("source", ["t.csv", "t.csv.gz"])
def test_chunks_that_are_sent_at_the_same_time_are_gone_on_with(db: Database, source: str, number: int):
    db.execute("CREATE TABLE t (id int, v text)")
    write(source)
    spec = appending(source=source, execution={**CHUNKS, "chunk_rows": 90, "workers": 3})

    killed_at(db, spec, "ChunkCommitted", "publish", number)
    assert db.one("SELECT count(*) FROM t") >= 90 * number
    report = syncengine.run(spec, connection=db.url)

    assert db.execute("SELECT count(*), count(DISTINCT id) FROM t") == [(ROWS, ROWS)]
    assert (counts(report), report.resumed) == ({"inserted": ROWS}, True)


def test_an_insert_that_was_killed_before_it_could_say_so_is_not_done_twice(db: Database):
    db.execute("CREATE TABLE t (id int, v text)")
    write()
    spec = {"name": "t", "source": "t.csv", "target": "t", "mode": "insert"}

    killed_at(db, spec, "UnitCommitted", "publish")
    first = syncengine.run(spec, connection=db.url)
    assert (counts(first), first.resumed) == ({"inserted": ROWS}, True)
    assert db.one("SELECT count(*) FROM t") == ROWS

    second = syncengine.run(spec, connection=db.url)
    assert (counts(second), second.resumed) == ({"inserted": ROWS}, False)
    assert db.one("SELECT count(*) FROM t") == 2 * ROWS


def test_another_source_is_refused_where_rows_would_count_twice(db: Database):
    make(db)
    write()
    killed_at(db, spec_of(), "ChunkCommitted", "publish", 2)
    write(value="other")
    before = db.execute("SELECT * FROM t ORDER BY id")

    with pytest.raises(SyncError) as refused:
        syncengine.run(spec_of(), connection=db.url)

    assert (refused.value.code, refused.value.exit_code) == ("unfinished-run", 1)
    assert "2 committed chunks" in refused.value.message
    assert "--restart" in str(refused.value.hint)
    assert db.execute("SELECT * FROM t ORDER BY id") == before
    assert counts(syncengine.run(spec_of(), connection=db.url, restart=True))["updated"] == OLD
    assert hits(db) == [(0, ROWS - OLD), (1, 0), (2, OLD)] or db.one("SELECT max(hits) FROM t") == 2
    assert left(db) == []


def test_another_source_is_started_over_where_it_does_no_harm(db: Database):
    make(db)
    write()
    harmless = spec_of(update_columns=["v"])
    killed_at(db, harmless, "ChunkCommitted", "publish", 2)
    write(value="other")

    report = syncengine.run(harmless, connection=db.url)

    assert not report.resumed
    assert db.one("SELECT count(*) FROM t WHERE v = 'other'") == ROWS
    assert left(db) == []


def test_restart_starts_over(db: Database):
    make(db)
    write()
    harmless = spec_of(update_columns=["v"])
    killed_at(db, harmless, "ChunkCommitted", "publish", 2)

    report = syncengine.run(harmless, connection=db.url, restart=True)

    assert (report.resumed, report.rows_read) == (False, ROWS)
    assert counts(report) == {"inserted": ROWS - OLD, "unchanged": OLD}
    assert left(db) == []


def test_staging_that_a_crash_emptied_is_filled_again(db: Database):
    make(db)
    write()
    killed_at(db, spec_of(), "ChunkCommitted", "publish", 2)
    # What is left of an unlogged table after a crash of the server: the table.
    for (name,) in left(db):
        db.execute(f'TRUNCATE syncengine."{name}"')

    report = syncengine.run(spec_of(), connection=db.url)

    assert (report.resumed, hits(db)) == (True, [(0, ROWS - OLD), (1, OLD)])
    assert (report.rows_read, report.updated, report.inserted) == (ROWS, OLD, ROWS - OLD)
    assert left(db) == []


def test_rows_that_were_staged_in_another_form_are_staged_again(db: Database):
    """As another version of the program may have left them."""
    make(db)
    write()
    killed_at(db, spec_of(), "ChunkCommitted", "stage", 2)
    db.execute("UPDATE syncengine.runs SET digest = split_part(digest, ':', 1)")

    report = syncengine.run(spec_of(), connection=db.url)

    assert (report.resumed, report.rows_read) == (False, ROWS)
    assert hits(db) == [(0, ROWS - OLD), (1, OLD)]
    assert left(db) == []


def test_limits_are_known_before_the_first_part_is_written(db: Database):
    make(db)
    write()

    with pytest.raises(SyncError) as stopped:
        syncengine.run(spec_of(limits={"max_updates": 100}), connection=db.url)

    assert (stopped.value.code, stopped.value.exit_code) == ("limit-exceeded", 5)
    assert hits(db) == [(0, OLD)]
    assert left(db) == []
    report = syncengine.run(spec_of(limits={"max_updates": 600}), connection=db.url)
    assert counts(report) == {"inserted": ROWS - OLD, "updated": OLD}


def test_a_row_that_the_table_refuses_leaves_complete_chunks_and_a_way_to_go_on(db: Database):
    make(db)
    db.execute("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 700)")
    write()

    with pytest.raises(SyncError):
        syncengine.run(spec_of(), connection=db.url)
    assert hits(db) == [(1, OLD)]

    db.execute("ALTER TABLE t DROP CONSTRAINT small")
    report = syncengine.run(spec_of(), connection=db.url)
    assert (report.resumed, hits(db)) == (True, [(0, ROWS - OLD), (1, OLD)])
    assert left(db) == []


def test_chunks_of_rows_without_a_key_are_cut_the_same_way_twice(db: Database):
    db.execute("CREATE TABLE t (id int, v text, twice int)")
    write()
    spec = appending(columns={"twice": {"expression": "CAST(source.id AS int) * 2"}})

    killed_at(db, spec, "ChunkCommitted", "publish", 2)
    report = syncengine.run(spec, connection=db.url)

    assert db.execute("SELECT count(*), count(DISTINCT id), sum(twice) FROM t") == [
        (ROWS, ROWS, ROWS * (ROWS - 1))
    ]
    assert (counts(report), report.resumed) == ({"inserted": ROWS}, True)


def test_what_is_resumed_is_told(db: Database):
    make(db)
    write()
    killed_at(db, spec_of(), "ChunkCommitted", "publish", 2)
    seen: list[ev.Event] = []

    syncengine.run(spec_of(), connection=db.url, emit=seen.append)

    (resumed,) = [event for event in seen if isinstance(event, ev.Resumed)]
    assert (resumed.chunks, resumed.published, resumed.counters["updated"]) == (6, 2, OLD)
    assert not any(isinstance(event, ev.RowsRead) for event in seen)


def test_the_report_says_what_a_failed_run_has_left_and_what_was_resumed(
    db: Database, cli: RunCli, tmp_path: Path
):
    make(db)
    db.execute("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 700)")
    write()
    Path("t.yaml").write_text(json.dumps(spec_of()))

    failed = cli("run", "t.yaml", "--connection", db.url, "--quiet", cwd=tmp_path)
    assert failed.returncode == 1
    assert "t: failed, public.t holds 2 complete chunks, behind which the next run goes on\n" in failed.stdout

    db.execute("ALTER TABLE t DROP CONSTRAINT small")
    done = cli("run", "t.yaml", "--connection", db.url, "--quiet", cwd=tmp_path)
    assert "  resumed: it went on where an earlier run had stopped\n" in done.stdout


def test_what_the_process_keeps_secret_does_not_make_it_another_spec(
    db: Database, monkeypatch: pytest.MonkeyPatch
):
    make(db)
    write()
    killed_at(db, spec_of(), "ChunkCommitted", "publish", 2)
    monkeypatch.setattr(redact, "_secrets", {"excluded", "hits"})
    redact._known.cache_clear()
    report = syncengine.run(spec_of(), connection=db.url)
    redact._known.cache_clear()

    assert (report.resumed, hits(db)) == (True, [(0, ROWS - OLD), (1, OLD)])


def test_a_connection_lost_before_a_chunk_begins_repeats_none(db: Database):
    make(db)
    write()
    ours = "application_name = 'syncengine' AND datname = current_database()"
    seen = 0

    def emit(event: ev.Event) -> None:
        nonlocal seen
        if isinstance(event, ev.UnitStarted) and event.unit == "stage":
            seen += 1
            if seen == 3:
                db.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}")

    one_by_one = spec_of(execution={**spec_of()["execution"], "workers": 1})
    report = syncengine.run(one_by_one, connection=db.url, emit=emit)

    assert (report.rows_read, report.retries) == (ROWS, 1)
    assert hits(db) == [(0, ROWS - OLD), (1, OLD)]


def test_a_connection_lost_once_all_is_done_fails_nothing(db: Database):
    make(db, key="CHECK (true)")
    write()
    ours = "application_name = 'syncengine' AND datname = current_database()"
    lost: list[str] = []

    def emit(event: ev.Event) -> None:
        if isinstance(event, ev.UnitStarted) and event.unit == "tidy" and not lost:
            lost.append(event.unit)
            db.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}")

    staged = appending(execution={"method": "staged"})
    report = syncengine.run(staged, connection=db.url, emit=emit)
    again = syncengine.run(staged, connection=db.url)

    # The second one is another run, for the caller knew that the first was done; it drops what that one left.
    assert (lost, report.inserted, again.inserted, again.resumed) == (["tidy"], ROWS, ROWS, False)
    assert left(db) == []


def test_staging_that_cannot_be_dropped_once_all_is_done_fails_nothing(db: Database):
    make(db, key="CHECK (true)")
    write()
    staged = appending(execution={"method": "staged", "lock_timeout": "200ms"})
    told: list[str] = []
    with psycopg.connect(db.url) as reader:

        def emit(event: ev.Event) -> None:
            if isinstance(event, ev.UnitRolledBack):
                told.append(event.unit)
            if isinstance(event, ev.UnitStarted) and event.unit == "tidy":
                ((name,),) = left(db)
                reader.execute(f"LOCK TABLE syncengine.{name} IN ACCESS SHARE MODE".encode())

        report = syncengine.run(staged, connection=db.url, emit=emit)
        kept = left(db)
    again = syncengine.run(staged, connection=db.url)

    assert (report.ok, report.inserted, len(kept), told) == (True, ROWS, 1, ["tidy"])
    assert (again.ok, left(db)) == (True, [])


def test_bytes_of_files_that_were_done_before_a_kill_count(db: Database):
    db.execute("CREATE TABLE t (id int)")
    for name, keys in (("1", "1\n2\n"), ("2", "3\n4\n5\n")):
        Path(f"{name}.csv").write_text(f"id\n{keys}")
    spec = appending(source="?.csv", execution={"transaction": "chunk", "chunk_rows": 3, "workers": 1})
    killed_at(db, spec, "RowsRead", "", 2)

    report = syncengine.run(spec, connection=db.url)

    size = sum(Path(f"{name}.csv").stat().st_size for name in "12")
    assert (report.resumed, report.rows_read, report.bytes_read) == (True, 5, size)


def test_other_chunk_rows_are_another_spec(db: Database):
    make(db)
    write()
    killed_at(db, spec_of(), "ChunkCommitted", "publish", 2)
    other = spec_of(execution={"transaction": "chunk", "chunk_rows": 100, "method": "staged"})

    with pytest.raises(SyncError) as refused:
        syncengine.run(other, connection=db.url)

    assert refused.value.code == "unfinished-run"


def test_a_table_that_the_run_makes_is_filled_once(db: Database):
    write()
    spec = {"name": "t", "source": "t.csv", "target": {"table": "made", "create": True}, "mode": "insert"}

    killed_at(db, spec, "UnitCommitted", "publish")
    report = syncengine.run(spec, connection=db.url)

    assert (report.resumed, db.one("SELECT count(*) FROM made")) == (True, ROWS)


def test_types_are_stated_where_a_new_table_is_published_in_chunks(db: Database):
    write()
    spec = appending(target={"table": "made", "create": True})

    with pytest.raises(SyncError) as refused:
        syncengine.run(spec, connection=db.url)

    assert refused.value.exit_code == 3
    assert "types" in refused.value.message
    typed = {**spec, "columns": {"id": {"type": "int"}, "v": {"type": "text"}}}
    assert syncengine.run(typed, connection=db.url).inserted == ROWS
