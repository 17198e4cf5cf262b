"""A connection that is lost while chunks are carried out, at whichever message: each row is in the target once."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import syncengine
from syncengine.errors import SyncError
from tests.faults.proxy import Deal, Proxy, Trap
from tests.processes import wait_until
from tests.servers import Database

pytestmark = pytest.mark.direct

ROWS = 10
SPEC: dict[str, Any] = {"name": "t", "target": "t", "mode": "insert"}

Run = Callable[[dict[str, Any], str], syncengine.Report]


def lines(numbers: range) -> str:
    return "".join(["id\n", *(f"{number}\n" for number in numbers)])


def of_a_generator(spec: dict[str, Any], url: str) -> syncengine.Report:
    rows = ({"id": number} for number in range(ROWS))
    return syncengine.run(spec, source=rows, connection=url)


def of_stdin(spec: dict[str, Any], url: str) -> syncengine.Report:
    sys.stdin = io.TextIOWrapper(io.BytesIO(lines(range(ROWS)).encode()))
    return syncengine.run({**spec, "source": {"type": "csv", "path": "-"}}, connection=url)


def of_files(spec: dict[str, Any], url: str) -> syncengine.Report:
    """The last file is empty, so that the last chunk is not known to be that while it is read."""
    for name, numbers in (("1", range(4)), ("2", range(4, ROWS)), ("3", range(0))):
        Path(f"{name}.csv").write_text(lines(numbers))
    return syncengine.run({**spec, "source": "*.csv"}, connection=url)


def carried_out(run: Run, spec: dict[str, Any], url: str) -> syncengine.Report | SyncError:
    try:
        return run(spec, url)
    except SyncError as error:
        return error


@pytest.mark.parametrize("commits", [False, True], ids=["before-any-message", "at-the-answer-to-a-commit"])
@pytest.mark.parametrize(
    ("run", "workers"),
    [(of_a_generator, 1), (of_stdin, 1), (of_stdin, 3), (of_files, 1), (of_files, 3)],
)
def test_each_row_is_written_once(
    newdb: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, workers: int, commits: bool
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", sys.stdin)
    monkeypatch.setattr("syncengine.execute.retry.FIRST_ABSENCE", 0.02)
    newdb.execute("CREATE TABLE t (id int)")
    spec = {**SPEC, "execution": {"transaction": "chunk", "chunk_rows": 3, "workers": workers}}
    outcomes: dict[int, object] = {}
    with Proxy(newdb.direct) as proxy:
        url = proxy.url(newdb.direct)
        assert not isinstance(carried_out(run, spec, url), SyncError)  # it makes the ledger
        proxy.reset()
        assert not isinstance(carried_out(run, {**spec, "name": "again"}, url), SyncError)
        messages = proxy.commits if commits else proxy.messages
        for number in range(1, messages + 1):
            newdb.execute("TRUNCATE t")
            proxy.reset()
            proxy.trap(Trap(at=number, commits=commits, deal=Deal.SWALLOW if commits else Deal.DROP))
            report = carried_out(run, {**spec, "name": f"t{number}"}, url)
            found = [row for (row,) in newdb.execute("SELECT id FROM t ORDER BY id")]
            whole = found == list(range(ROWS))
            prefix = isinstance(report, SyncError) and found == list(range(len(found)))
            outcomes[number] = "whole" if whole else "prefix" if prefix else (str(report), found)

    assert messages > (4 if commits else 30)
    assert {n: one for n, one in outcomes.items() if one not in ("whole", "prefix")} == {}
    assert sum(one == "whole" for one in outcomes.values()) > messages / 2


@pytest.mark.parametrize("transaction", ["all", "chunk"])
@pytest.mark.parametrize("commits", [False, True], ids=["before-any-message", "at-the-answer-to-a-commit"])
def test_rows_beside_bad_ones_count_once(
    newdb: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transaction: str, *, commits: bool
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("syncengine.execute.retry.FIRST_ABSENCE", 0.02)
    (tmp_path / "t.csv").write_text("id\n0\nx\n1\n2\n3\n4\n5\n-1\n")
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY CHECK (id >= 0), hits int NOT NULL DEFAULT 0)")
    spec = {
        "source": "t.csv",
        "target": "t",
        "conflict_keys": ["id"],
        "update_columns": {"hits": "target.hits + 1"},
        "bad_rows": "quarantine",
        "execution": {"transaction": transaction, "chunk_rows": 3},
    }
    outcomes: dict[int, object] = {}
    with Proxy(newdb.direct) as proxy:
        url = proxy.url(newdb.direct)
        syncengine.run({**spec, "name": "first"}, connection=url)  # it makes the ledger
        proxy.reset()
        syncengine.run({**spec, "name": "again"}, connection=url)
        messages = proxy.commits if commits else proxy.messages
        for number in range(1, messages + 1, 1 if commits else 7):
            newdb.execute("UPDATE t SET hits = 0")
            proxy.reset()
            proxy.trap(Trap(at=number, commits=commits, deal=Deal.SWALLOW if commits else Deal.DROP))
            one = {**spec, "name": f"t{number}"}
            report = carried_out(lambda spec, url: syncengine.run(spec, connection=url), one, url)
            if isinstance(report, SyncError):
                report = syncengine.run(one, connection=url)
            hits = newdb.execute("SELECT DISTINCT hits FROM t")
            kept = newdb.execute(
                f"SELECT number FROM syncengine.quarantine WHERE spec = '{one['name']}' ORDER BY 1"
            )
            if (hits, kept, report.rows_read) != ([(1,)], [(2,), (8,)], 8):
                outcomes[number] = (hits, kept, report)

    assert messages > (6 if commits else 80)
    assert outcomes == {}


SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.8); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON syncengine.chunks DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.number = 2) EXECUTE FUNCTION slow()"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_commit_that_is_still_under_way_when_the_ledger_is_asked_is_found_later(
    newdb: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("syncengine.execute.retry.FIRST_ABSENCE", 0.02)
    (tmp_path / "t.csv").write_text(lines(range(ROWS)))
    newdb.execute("CREATE TABLE t (id int)")
    spec = {
        **SPEC,
        "execution": {"transaction": "chunk", "chunk_rows": 3, "workers": workers},
        "source": "t.csv",
    }
    with Proxy(newdb.direct) as proxy:
        url = proxy.url(newdb.direct)
        syncengine.run({**spec, "name": "first"}, connection=url)  # it makes the ledger
        newdb.execute(f"TRUNCATE t; {SLOW_COMMIT}")
        watcher = threading.Thread(target=cut_while_committing, args=(newdb, proxy))
        watcher.start()
        report = syncengine.run({**spec, "name": "second"}, connection=url)
        watcher.join()

    assert report.retries >= 1
    assert report.inserted == ROWS
    assert newdb.execute("SELECT id FROM t ORDER BY id") == [(n,) for n in range(ROWS)]


def cut_while_committing(db: Database, proxy: Proxy) -> None:
    """Cut the connections once the server is within a COMMIT."""
    # Other tests share the server.
    within = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep' AND query = 'COMMIT'"
    )
    with psycopg.connect(db.direct, autocommit=True) as connection:
        wait_until(lambda: connection.execute(within).fetchone() != (0,))
        proxy.cut()


ONE_DEADLOCK = """
CREATE SEQUENCE calls;
CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
IF nextval('calls') = 5 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF;
RETURN NEW; END$$;
CREATE TRIGGER deadlock BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION deadlock()"""


@pytest.mark.parametrize("run", [of_a_generator, of_stdin, of_files])
def test_a_deadlock_in_a_chunk_repeats_that_chunk(
    newdb: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", sys.stdin)
    newdb.execute(f"CREATE TABLE t (id int); {ONE_DEADLOCK}")
    spec = {**SPEC, "execution": {"transaction": "chunk", "chunk_rows": 3, "workers": 1}}

    report = run(spec, newdb.url)

    assert (report.retries, report.inserted) == (1, ROWS)
    assert newdb.execute("SELECT id FROM t ORDER BY id") == [(n,) for n in range(ROWS)]
