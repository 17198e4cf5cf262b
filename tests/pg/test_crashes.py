"""What is left when the client, its connection or the embedded server dies at a known place.

The run is a real process that reads standard input, so the test decides when staging ends.  Later places are reached
by a lock on the target, or by triggers that wait for a lock which the test holds.  A staging table that a killed
client leaves behind is no subject here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

import syncengine
from syncengine import embedded
from tests.builders import a_spec
from tests.runs import counts
from tests.servers import Database

# A pooler hides that a client was killed: it is given up after its lease only.
pytestmark = pytest.mark.direct
ROOT = Path(__file__).parents[2]
SECONDS = 20.0
GATE = 4711
ROWS = 3000
STAND_STILL = """
CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END$$"""
# A pooler keeps sessions that nobody uses.
OURS = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'syncengine' AND state <> 'idle'"
)


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run stands still: what makes it so, and how the server shows it."""

    prepare: str = ""
    lock: str = ""
    feeds_all: bool = True
    waiting: str


PLACES = {
    "staging": Place(feeds_all=False, waiting='query LIKE \'COPY "syncengine"."stage%\''),
    "between-stage-and-publish": Place(
        lock="LOCK TABLE t IN ACCESS EXCLUSIVE MODE",
        waiting="wait_event_type = 'Lock' AND wait_event = 'relation'",
    ),
    "update": Place(
        prepare="CREATE TRIGGER still BEFORE UPDATE ON t"
        " FOR EACH ROW WHEN (OLD.id = 500) EXECUTE FUNCTION stand_still()",
        lock=f"SELECT pg_advisory_lock({GATE})",
        waiting="wait_event = 'advisory' AND query LIKE '%UPDATE%'",
    ),
    "insert": Place(
        prepare="CREATE TRIGGER still BEFORE INSERT ON t"
        " FOR EACH ROW WHEN (NEW.id = 2500) EXECUTE FUNCTION stand_still()",
        lock=f"SELECT pg_advisory_lock({GATE})",
        waiting="wait_event = 'advisory' AND query LIKE '%INSERT%'",
    ),
    "deferred-constraints": Place(
        prepare="CREATE CONSTRAINT TRIGGER still AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.id = 2500) EXECUTE FUNCTION stand_still()",
        lock=f"SELECT pg_advisory_lock({GATE})",
        waiting="wait_event = 'advisory' AND query LIKE 'SET CONSTRAINTS%'",
    ),
}
BEFORE = [(n, "old", 0) for n in range(1, 1001)]
AFTER = [(n, "new", n // 1001) for n in range(1, ROWS + 1)]
LINES = [f"{n},new,{n // 1001}\n" for n in range(1, ROWS + 1)]
# After a first look at standard input the run is planned, and then waits for the rest inside its COPY.
MORE_THAN_A_FIRST_LOOK = LINES + LINES[-1:] * 10_000


def eventually(true: Callable[[], object]) -> bool:
    """Return whether it becomes true in time."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def stored(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT * FROM t ORDER BY id")


@contextmanager
def a_run(folder: Path, *options: str, **keys: Any) -> Iterator[subprocess.Popen[str]]:
    """Start `syncengine run` on standard input, by default an upsert into t."""
    whole = {"target": "t", **({"conflict_keys": ["id"]} if "mode" not in keys else {}), **keys}
    spec = a_spec(folder, {"type": "csv", "path": "-"}, **whole)
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    process = subprocess.Popen(
        [sys.executable, "-m", "syncengine", "run", str(spec), "--format", "json", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), **{name: os.environ[name] for name in kept if name in os.environ}},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def feed(process: subprocess.Popen[str], lines: list[str]) -> None:
    """Send the header and some lines; there may be more to come."""
    assert process.stdin is not None
    process.stdin.write("id,v,n\n" + "".join(lines))
    process.stdin.flush()


def end_feeding(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None


@contextmanager
def standing_still(db: Database, folder: Path, place: Place, **keys: Any) -> Iterator[subprocess.Popen[str]]:
    """Bring a run to a place, where it waits until the block ends."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, n int)")
    db.execute("INSERT INTO t SELECT n, 'old', 0 FROM generate_series(1, 1000) AS n")
    db.execute(f"{STAND_STILL}; {place.prepare}")
    with a_run(folder, "--connection", db.url, **keys) as process, db.connect() as holder:
        feed(process, MORE_THAN_A_FIRST_LOOK)
        with holder.transaction():
            if place.lock:
                assert eventually(lambda: db.execute(f"SELECT 1 {OURS} AND query LIKE 'COPY%'"))
                holder.execute(place.lock.encode())
            if place.feeds_all:
                end_feeding(process)
            assert eventually(lambda: db.execute(f"SELECT 1 {OURS} AND {place.waiting}")), shown(process)
            yield process
        holder.execute(b"SELECT pg_advisory_unlock_all()")
        assert eventually(lambda: process.poll() is not None and not db.execute(f"SELECT 1 {OURS}"))


def shown(process: subprocess.Popen[str]) -> str:
    process.kill()
    return "".join(process.communicate())


def rerun(db: Database) -> syncengine.Report:
    """Do it again, undisturbed."""
    db.execute("DROP TRIGGER IF EXISTS still ON t")
    rows = ({"id": n, "v": v, "n": k} for n, v, k in AFTER)
    return syncengine.run(
        {"name": "spec", "target": "t", "conflict_keys": ["id"]}, source=rows, connection=db.url
    )


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_killed_client_leaves_the_target_untouched_or_complete(db: Database, tmp_path: Path, place: Place):
    with standing_still(db, tmp_path, place) as process:
        process.kill()
        process.wait()

    assert stored(db) == BEFORE
    report = rerun(db)
    assert counts(report) == {"inserted": 2000, "updated": 1000}
    assert stored(db) == AFTER


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_lost_connection_is_a_clear_error_and_the_target_is_untouched(
    newdb: Database, tmp_path: Path, place: Place
):
    with standing_still(newdb, tmp_path, place, execution={"retries": 0}) as process:
        newdb.execute(f"SELECT pg_terminate_backend(pid) {OURS}")
        out, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 1, err
    assert "Traceback" not in err
    (result,) = json.loads(out)["specs"]
    assert result["error"]["code"] == "connection-failed"
    assert "terminat" in str(result["error"])
    assert (result["inserted"], result["updated"]) == (0, 0)
    assert stored(newdb) == BEFORE
    assert counts(rerun(newdb)) == {"inserted": 2000, "updated": 1000}
    assert stored(newdb) == AFTER


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_lost_connection_is_opened_anew_and_the_run_goes_on(newdb: Database, tmp_path: Path, place: Place):
    with standing_still(newdb, tmp_path, place) as process:
        newdb.execute(f"SELECT pg_terminate_backend(pid) {OURS}")
        if not place.feeds_all:
            end_feeding(process)
    out, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, err
    (result,) = json.loads(out)["specs"]
    assert (result["inserted"], result["updated"]) == (2000, 1000)
    assert stored(newdb) == AFTER


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_copy_into_the_target_that_breaks_off_leaves_it_untouched(db: Database, tmp_path: Path, end: str):
    place = Place(feeds_all=False, waiting='query LIKE \'COPY "public"."t"%\'')
    with standing_still(db, tmp_path, place, mode="insert", execution={"method": "copy"}) as process:
        if end == "kill":
            process.kill()
        else:
            db.execute(f"SELECT pg_terminate_backend(pid) {OURS}")
        process.communicate(timeout=SECONDS)

    assert process.returncode == (-signal.SIGKILL if end == "kill" else 1)
    assert stored(db) == BEFORE


def test_the_embedded_server_ends_with_a_killed_client_and_the_next_run_works(project: Path):
    create = {"table": "t", "create": True}
    with a_run(project, target=create) as process:
        feed(process, LINES[:10])
        out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["specs"][0]["inserted"]) == (0, 10), err

    with a_run(project, target=create) as process:
        feed(process, MORE_THAN_A_FIRST_LOOK)
        assert eventually(lambda: embedded.status(project))
        running = embedded.status(project)
        assert running is not None
        assert eventually(lambda: in_copy(running.url))
        process.kill()
        process.wait()
    assert eventually(lambda: not psutil.pid_exists(running.pid))

    with a_run(project, target=create) as process:
        feed(process, LINES)
        out, err = process.communicate(timeout=60)
    (result,) = json.loads(out)["specs"]
    assert (process.returncode, result["inserted"], result["unchanged"]) == (0, 2990, 10), err


def in_copy(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'syncengine' AND query LIKE 'COPY%'"
        )
        return found.fetchone() is not None
