"""`execution.workers`: chunks are carried out at the same time, and nothing but the time it takes tells how many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg.conninfo import make_conninfo

import syncengine
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.conftest import ROOT
from tests.processes import ENOUGH, Ended, interrupted, started, wait_until
from tests.runs import counts
from tests.servers import Database

ROWS = 2000
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'syncengine'"
APPEND = {"mode": "insert", "target": "t", "source": "t.csv"}
MERGE = {"conflict_keys": ["id"], "target": "t", "source": "t.csv"}


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    return emptied


def write(bad: dict[int, str] | None = None, rows: int = ROWS) -> None:
    lines = [f'{n},"v ""{n}""\nand more"' for n in range(rows)]
    for number, line in (bad or {}).items():
        lines[number] = line
    Path("t.csv").write_text("\n".join(["id,v", *lines, ""]))


def spec_of(base: dict[str, Any], workers: int | None, **execution: Any) -> dict[str, Any]:
    how = {"chunk_rows": 100, "workers": workers, **execution}
    return {
        "name": "t",
        **base,
        "execution": {name: value for name, value in how.items() if value is not None},
    }


def chunks(db: Database, phase: str) -> list[tuple[object, ...]]:
    return db.execute(
        "SELECT number, rows_read, inserted, starts, ends, complete FROM syncengine.chunks WHERE phase = %s"
        " ORDER BY committed_at, number",
        [phase],
    )


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("base", "execution", "phase"),
    [
        pytest.param(MERGE, {}, "stage", id="staging"),
        pytest.param(APPEND, {"transaction": "chunk"}, "publish", id="into-the-target"),
        pytest.param(MERGE, {"transaction": "chunk"}, "publish", id="parts"),
    ],
)
def test_any_number_of_workers_does_the_same(
    base: dict[str, Any], execution: dict[str, Any], phase: str, db: Database
):
    found = []
    for workers in (1, 2, 3, 7):
        db.execute("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS syncengine CASCADE")
        db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        db.execute("INSERT INTO t SELECT n, 'old' FROM generate_series(-9, -1) AS n")
        write()
        report = syncengine.run(spec_of(base, workers, **execution), connection=db.url)
        rows = db.execute("SELECT * FROM t ORDER BY id")
        found.append((counts(report), report.bytes_read, report.chunks, rows, chunks(db, phase)))

    assert found[0][0] == {"inserted": ROWS}
    assert len(found[0][-1]) == ROWS / 100
    assert all(one == found[0] for one in found[1:])


@pytest.mark.parametrize("bad", [150, 250, 1234, ROWS - 1])
@pytest.mark.parametrize("workers", [1, 3])
def test_chunks_before_a_bad_row_are_committed_and_none_behind_it(db: Database, workers: int, bad: int):
    db.execute("CREATE TABLE t (id int, v text)")
    write({bad: "x,y"})

    with pytest.raises(SyncError) as refused:
        syncengine.run(spec_of(APPEND, workers, transaction="chunk"), connection=db.url)

    assert (refused.value.code, str(refused.value.location)) == ("bad-row", f"t.csv:{2 * bad + 2}")
    assert db.one("SELECT count(*) FROM t") == bad // 100 * 100
    assert db.one("SELECT max(number) FROM syncengine.chunks") == bad // 100


def test_of_several_bad_rows_the_first_one_is_told(db: Database):
    db.execute("CREATE TABLE t (id int, v text)")
    write(dict.fromkeys(range(350, ROWS, 100), "x,y"))

    for _ in range(5):
        with pytest.raises(SyncError) as refused:
            syncengine.run(spec_of(APPEND, 4, transaction="chunk"), connection=db.url, restart=True)
        assert str(refused.value.location) == "t.csv:702"


@pytest.mark.parametrize("again", [101, 250, 1999])
def test_a_key_that_comes_again_in_another_chunk_is_the_databases_error(db: Database, again: int):
    """The chunk that comes first waits for the one that has the key as well: the later one gives way."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    write({again: "100,again"})

    with pytest.raises(SyncError) as refused:
        syncengine.run(spec_of(APPEND, 4, transaction="chunk"), connection=db.url)

    assert refused.value.sqlstate == "23505"
    assert db.one("SELECT count(*) FROM t") == again // 100 * 100


def test_chunks_that_wait_for_one_another_take_turns(db: Database):
    """What every row does to one other row makes each chunk wait for those that are under way."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute("CREATE TABLE parents (id int PRIMARY KEY, n int); INSERT INTO parents VALUES (1, 0)")
    db.execute(
        "CREATE FUNCTION counts(v text) RETURNS boolean LANGUAGE plpgsql AS"
        " $$BEGIN UPDATE parents SET n = n + 1; RETURN true; END$$"
    )
    db.execute("ALTER TABLE t ADD CHECK (counts(v))")
    write()

    report = syncengine.run(spec_of(APPEND, 4, transaction="chunk"), connection=db.url)

    assert counts(report) == {"inserted": ROWS}
    assert db.one("SELECT n FROM parents") == ROWS


def test_a_server_that_takes_no_more_connections_is_used_by_one(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    write()
    role = "workers_few"
    db.execute(f"DROP ROLE IF EXISTS {role}")
    db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' CONNECTION LIMIT 1")
    try:
        database = db.one("SELECT current_database()")
        db.execute(f"GRANT ALL ON t TO {role}; GRANT USAGE ON SCHEMA public TO {role}")
        db.execute(f"GRANT CREATE ON DATABASE {database} TO {role}")
        report = syncengine.run(
            spec_of(MERGE, 4), connection=make_conninfo(db.url, user=role, password="secret")
        )
        assert counts(report) == {"inserted": ROWS}
    finally:
        db.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.direct
@pytest.mark.parametrize("base", [MERGE, APPEND], ids=["staged", "straight"])
def test_connections_that_are_lost_are_opened_anew(base: dict[str, Any], db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    write()

    def emit(event: ev.Event) -> None:
        if isinstance(event, ev.ChunkCommitted) and event.number in (2, 5, 9, 10, 16):
            db.execute(f"SELECT pg_terminate_backend(pid) {OURS}")

    spec = spec_of(base, 3, transaction="chunk", retries=30)
    report = syncengine.run(spec, connection=db.url, emit=emit)

    assert counts(report) == {"inserted": ROWS}
    assert db.execute("SELECT count(*), count(DISTINCT id) FROM t") == [(ROWS, ROWS)]


def test_events_come_from_the_callers_thread_in_the_order_of_the_chunks(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    write()
    seen: list[tuple[str, ev.Event]] = []

    syncengine.run(
        spec_of(APPEND, 4, transaction="chunk"),
        connection=db.url,
        emit=lambda event: seen.append((threading.current_thread().name, event)),
    )

    assert {name for name, _ in seen} == {threading.current_thread().name}
    numbers = [event.number for _, event in seen if isinstance(event, ev.ChunkCommitted)]
    assert numbers == list(range(1, ROWS // 100 + 1))


SLOW = "name: t\nsource: t.csv\ntarget: t\nmode: insert\n" + (
    "execution: {transaction: chunk, chunk_rows: 20, workers: 3}\n"
)


def a_slow_table(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute(
        "CREATE FUNCTION slow(v text) RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(0.05) IS NOT NULL'"
    )
    db.execute("ALTER TABLE t ADD CHECK (slow(v))")
    write()
    Path("s.yaml").write_text(SLOW)


@contextmanager
def three_at_work(db: Database, folder: Path) -> Iterator[subprocess.Popen[str]]:
    a_slow_table(db)
    with started(folder, "run", "s.yaml", "--connection", db.url) as process:
        wait_until(lambda: db.one(f"SELECT count(*) {OURS} AND query LIKE 'COPY%'") == 3)
        yield process


def check_interrupted(db: Database, ended: Ended) -> None:
    assert (ended.code, ended.seconds < ENOUGH, "Traceback" in ended.err) == (130, True, False), ended.err
    wait_until(lambda: db.one(f"SELECT count(*) {OURS}") == 0)
    assert int(str(db.one("SELECT count(*) FROM t"))) % 20 == 0


@pytest.mark.direct
def test_an_interruption_ends_all_of_them(db: Database, tmp_path: Path):
    with three_at_work(db, tmp_path) as process:
        ended = interrupted(process, signal.SIGINT)

    check_interrupted(db, ended)


@contextmanager
def standing_still(db: Database) -> Iterator[None]:
    pids = db.execute(f"SELECT pid {OURS} AND query LIKE 'COPY%'")
    servers = [psutil.Process(int(str(pid))) for (pid,) in pids]
    for server in servers:
        server.suspend()
    try:
        yield
    finally:
        for server in servers:
            server.resume()


@pytest.mark.direct
def test_connections_that_stand_still_are_left_behind(db: Database, tmp_path: Path):
    with three_at_work(db, tmp_path) as process, standing_still(db):
        ended = interrupted(process, signal.SIGINT)

    check_interrupted(db, ended)


CALLER = """
import sys, syncengine
try:
    syncengine.run("s.yaml", connection=sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.direct
def test_a_caller_gets_its_interruption_though_the_server_stands_still(db: Database, tmp_path: Path):
    a_slow_table(db)
    process = subprocess.Popen(
        [sys.executable, "-c", CALLER, db.url], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: db.one(f"SELECT count(*) {OURS} AND query LIKE 'COPY%'") == 3)
        with standing_still(db):
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    finally:
        process.kill()

    assert (out, "Traceback" in err) == ("interrupted\n", False), err


@pytest.mark.parametrize(
    ("change", "base", "why"),
    [
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER f AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            APPEND,
            "triggers of public.t fire",
        ),
        ("ALTER TABLE t ADD n serial", APPEND, "the order of the rows numbers them (n)"),
        ("ALTER TABLE t ADD p int REFERENCES t", APPEND, "rows of public.t refer to one another"),
        ("ALTER TABLE t ADD UNIQUE (v)", APPEND, "public.t has more than one unique index"),
        ("SELECT", {**MERGE, "duplicates": "last"}, "staged rows are numbered as they come"),
        ("SELECT", {**MERGE, "source": {"type": "rows", "rows": [{"id": 1}]}}, "the source hands over rows"),
    ],
)
def test_where_the_order_matters_the_plan_says_why_there_is_one(
    change: str, base: dict[str, Any], why: str, db: Database
):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute(change)
    write()
    transaction = "chunk" if base is APPEND else "all"

    plan = syncengine.plan(spec_of(base, 4, transaction=transaction, method=None), connection=db.url)

    assert any(why in warning for warning in plan.warnings), plan.warnings
    assert all(unit.workers == 1 for unit in plan.units)
