"""A spec has one writer for its target: others wait or say who it is, and a writer that was given up can't write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine import entering
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.conftest import RunCli
from tests.killed import killed_at
from tests.runs import counts
from tests.servers import Database

# A pooler hides that a client was killed: it is given up after its lease only.
pytestmark = pytest.mark.direct
ROOT = Path(__file__).parents[2]
SECONDS = 30.0
WORKER = """
import json, os, signal, sys
import syncengine
spec, url, kind, unit = json.loads(sys.argv[1])
def emit(event):
    if type(event).__name__ == kind and unit == getattr(event, "unit", ""):
        print("there", flush=True)
        sys.stdin.readline()
try:
    report = syncengine.run(spec, connection=url, emit=emit)
    print("done", report.inserted, report.updated)
except syncengine.SyncError as error:
    print(error.code, error)
"""
SPEC: dict[str, Any] = {
    "name": "t",
    "source": "t.csv",
    "target": "t",
    "conflict_keys": ["id"],
    "update_columns": {"hits": "target.hits + 1"},
    "execution": {"method": "staged"},
}


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(100)))
    emptied.execute("CREATE TABLE t (id int PRIMARY KEY, hits int NOT NULL DEFAULT 0)")
    emptied.execute("INSERT INTO t SELECT n FROM generate_series(0, 49) AS n")
    return emptied


def eventually(true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


@contextmanager
def standing_at(
    db: Database, kind: str, unit: str, spec: dict[str, Any] | None = None, lease: float = 30
) -> Iterator[subprocess.Popen[str]]:
    """Bring a run in a process of its own to an event, where it waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps([spec or SPEC, db.url, kind, unit])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SYNCENGINE_LEASE": str(lease)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate("\n", timeout=SECONDS)
    return out


def hits(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT hits, count(*) FROM t GROUP BY hits ORDER BY hits")


def test_a_second_run_is_refused_and_told_who_writes(db: Database, cli: RunCli, tmp_path: Path):
    Path("t.yaml").write_text(json.dumps(SPEC))
    with standing_at(db, "UnitStarted", "publish") as first:
        done = cli("run", "t.yaml", "--connection", db.url, "--format", "json", cwd=tmp_path)
        (run,) = db.execute("SELECT run FROM syncengine.runs WHERE state = 'running'")[0]
        assert go_on(first) == "done 50 50\n"

    error = json.loads(done.stdout)["specs"][0]["error"]
    assert (done.returncode, error["code"]) == (5, "locked")
    assert str(run) in error["message"]
    assert "--wait" in error["hint"]
    assert hits(db) == [(0, 50), (1, 50)]


def test_a_second_run_waits_if_it_is_told_to(db: Database):
    seen: list[ev.Event] = []
    reports: list[syncengine.Report] = []

    def second() -> None:
        reports.append(syncengine.run(SPEC, connection=db.url, wait=True, emit=seen.append))

    with standing_at(db, "UnitStarted", "publish") as first:
        thread = threading.Thread(target=second)
        thread.start()
        assert eventually(lambda: any(isinstance(event, ev.Waiting) for event in seen))
        assert go_on(first) == "done 50 50\n"
        thread.join(SECONDS)

    assert reports[0].published_before
    assert hits(db) == [(0, 50), (1, 50)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"name": "other", "update_columns": []}, id="another-spec"),
        pytest.param({"target": "u"}, id="another-target"),
    ],
)
def test_other_specs_and_targets_do_not_wait(db: Database, other: dict[str, Any]):
    db.execute("CREATE TABLE u (id int PRIMARY KEY, hits int NOT NULL DEFAULT 0)")
    with standing_at(db, "UnitStarted", "stage"):
        assert syncengine.run({**SPEC, **other}, connection=db.url).ok


@pytest.mark.parametrize("unit", ["stage", "publish"])
@pytest.mark.parametrize("kind", ["UnitStarted", "StepFinished"])
def test_a_stopped_process_is_given_up_and_can_write_no_more(
    db: Database, monkeypatch: pytest.MonkeyPatch, kind: str, unit: str
):
    monkeypatch.setenv("SYNCENGINE_LEASE", "1")
    with standing_at(db, kind, unit, lease=1) as zombie:
        zombie.send_signal(signal.SIGSTOP)
        time.sleep(1.1)
        report = syncengine.run(SPEC, connection=db.url, wait=True)
        assert counts(report) == {"inserted": 50, "updated": 50}
        zombie.send_signal(signal.SIGCONT)
        said = go_on(zombie)

    assert said.splitlines()[-3].startswith("taken-over")
    assert hits(db) == [(0, 50), (1, 50)]


def test_a_run_that_takes_long_keeps_its_lease(db: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SYNCENGINE_LEASE", "1")
    with standing_at(db, "UnitStarted", "publish", lease=1) as first:
        time.sleep(2.5)
        with pytest.raises(SyncError) as refused:
            syncengine.run(SPEC, connection=db.url)
        assert refused.value.code == "locked"
        assert go_on(first) == "done 50 50\n"
    assert hits(db) == [(0, 50), (1, 50)]


def test_a_run_whose_process_was_killed_gives_way_at_once(db: Database):
    with standing_at(db, "StepFinished", "publish") as first:
        first.kill()
        first.wait()
        started = time.monotonic()
        report = syncengine.run(SPEC, connection=db.url)

    assert time.monotonic() - started < 20
    assert counts(report) == {"inserted": 50, "updated": 50}
    assert hits(db) == [(0, 50), (1, 50)]


APPEND = {"name": "t", "source": "t.csv", "target": "u", "mode": "insert"}


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("transaction", ["all", "chunk"])
def test_rows_of_an_insert_that_runs_twice_at_once_are_written_once(
    db: Database, monkeypatch: pytest.MonkeyPatch, transaction: str, wait: bool
):
    db.execute("CREATE TABLE u (id int)")
    spec = {**APPEND, "execution": {"transaction": transaction}}
    reports: list[syncengine.Report] = []
    refused = threading.Event()

    def planned_anew(*known: Any) -> Any:
        refused.set()
        return plan_anew(*known)

    plan_anew = entering._planned_anew
    monkeypatch.setattr(entering, "_planned_anew", planned_anew)
    with standing_at(db, "UnitStarted", "publish", spec=spec) as first:
        second = threading.Thread(
            target=lambda: reports.append(syncengine.run(spec, connection=db.url, wait=wait))
        )
        second.start()
        assert refused.wait(SECONDS)
        assert go_on(first) == "done 100 0\n"
        second.join(SECONDS)

    assert [(report.ok, report.published_before) for report in reports] == [(True, True)]
    assert db.one("SELECT count(*) FROM u") == 100
    assert syncengine.run(spec, connection=db.url).inserted == 100


def test_ten_at_once_end_as_one(db: Database):
    reports: list[syncengine.Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(syncengine.run(SPEC, connection=db.url, wait=True)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    assert sorted(report.published_before for report in reports) == [False, *[True] * 9]
    assert hits(db) == [(0, 50), (1, 50)]


def test_a_lease_that_is_renewed_while_it_publishes_gets_in_nobodys_way(
    db: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SYNCENGINE_LEASE", "1")
    seen: list[ev.Event] = []

    def emit(event: ev.Event) -> None:
        seen.append(event)
        if isinstance(event, ev.Classified):
            time.sleep(0.8)

    report = syncengine.run(SPEC, connection=db.url, emit=emit)

    assert db.one("SELECT count(*) FROM syncengine.leases") == 1
    assert report.retries == 0
    assert not any(isinstance(event, ev.UnitRolledBack) for event in seen)


def test_a_dead_run_is_not_taken_over_while_a_transaction_holds_it(db: Database):
    killed_at(db, SPEC, "ChunkCommitted", "stage")
    with db.conn.transaction():
        # As one of the dead run's does that the server still ends.
        db.conn.execute("SELECT FROM syncengine.runs FOR SHARE")
        with pytest.raises(SyncError) as caught:
            syncengine.run(SPEC, connection=db.direct)

    assert caught.value.code == "locked"
    assert syncengine.run(SPEC, connection=db.direct).resumed
