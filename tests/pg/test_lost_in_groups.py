"""A connection that is lost while a group is carried out: all of it is published once, or nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import syncengine
from syncengine.model import events as ev
from syncengine.values import replace
from tests.faults.proxy import Deal, Proxy, Trap
from tests.servers import Database

pytestmark = pytest.mark.direct
SPECS = """
name: a
source: a.csv
target: a
conflict_keys: [id]
update_columns: {hits: target.hits + 1}
bad_rows: quarantine
---
name: b
source: b.csv
target: b
conflict_keys: [id]
update_columns: {hits: target.hits + 1}
"""
CREATING = """---
name: c
source: c.csv
target: {table: c, create: true}
"""
TABLE = "(id int PRIMARY KEY CHECK (id >= 0), hits int NOT NULL DEFAULT 0)"
OURS = "application_name = 'syncengine' AND datname = current_database()"


@pytest.fixture
def db(newdb: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("syncengine.execute.retry.FIRST_ABSENCE", 0.02)
    Path("syncengine.yaml").write_text("transaction: group\n")
    Path("specs.yaml").write_text(SPECS)
    newdb.execute(f"CREATE TABLE a {TABLE}; CREATE TABLE b {TABLE}")
    newdb.execute("INSERT INTO a SELECT generate_series(0, 4); INSERT INTO b SELECT generate_series(0, 4)")
    write("-1")
    return newdb


def write(bad: str) -> None:
    """Write two files with five good rows and a bad one; another one makes other files."""
    Path("a.csv").write_text("".join(["id\n", *(f"{n}\n" for n in range(5)), f"{bad}\n"]))
    Path("b.csv").write_text("".join(["id\n", *(f"{n}\n" for n in range(5))]))


def run(url: str, emit: ev.Emit = lambda event: None) -> list[syncengine.Report]:
    jobs = [replace(job, spec=replace(job.spec, again=True)) for job in syncengine.load(["specs.yaml"])]
    return list(syncengine.run_all(jobs, connection=url, emit=emit))


def hits(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT hits, count(*) FROM (TABLE a UNION ALL TABLE b) AS u GROUP BY 1")


@pytest.mark.parametrize("commits", [False, True], ids=["before-some-messages", "at-the-answer-to-a-commit"])
def test_all_of_it_is_published_once_or_nothing(db: Database, *, commits: bool):
    with Proxy(db.direct) as proxy:
        url = proxy.url(db.direct)
        run(url)  # it makes the ledger
        proxy.reset()
        run(url)
        messages = proxy.commits if commits else proxy.messages
        outcomes: dict[int, object] = {}
        whole = 0
        for number in range(1, messages + 1, 1 if commits else 13):
            db.execute("UPDATE a SET hits = 0; UPDATE b SET hits = 0")
            proxy.reset()
            proxy.trap(Trap(at=number, commits=commits, deal=Deal.SWALLOW if commits else Deal.DROP))
            try:
                failed = [report for report in run(url) if report.error is not None]
            except syncengine.SyncError:
                failed = [syncengine.Report()]
            whole += not failed
            wanted = [(0, 10)] if failed else [(1, 10)]
            if hits(db) != wanted:
                outcomes[number] = (hits(db), [report.error for report in failed])
            if failed:
                assert [report.error for report in run(url)] == [None, None]

    assert messages > (8 if commits else 100)
    assert outcomes == {}
    assert whole > 8  # what is lost while it is planned is an error


@pytest.mark.parametrize("created", [False, True], ids=["tables", "one-to-be-created"])
def test_staging_that_a_crash_emptied_is_filled_again(db: Database, *, created: bool):
    if created:
        Path("specs.yaml").write_text(SPECS + CREATING)
        Path("c.csv").write_text("id\n7\n")
    Path("b.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(5)))
    seen = 0

    def crash(event: ev.Event) -> None:
        nonlocal seen
        if isinstance(event, ev.UnitStarted) and event.unit == "publish":
            seen += 1
        if seen == 1 and isinstance(event, ev.StepStarted):
            seen += 1
            db.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OURS}")
            staging = "SELECT relname FROM pg_class WHERE relname LIKE 'stage%' AND relkind = 'r'"
            for (name,) in db.execute(staging):
                db.execute(f'TRUNCATE syncengine."{name}"')

    reports = run(db.direct, crash)

    assert seen > 1
    assert {report.error for report in reports} == {None}
    assert hits(db) == [(1, 10)]
    assert not created or db.execute("SELECT id, pg_typeof(id)::text FROM c") == [(7, "bigint")]


def test_a_bad_row_of_a_table_to_be_created_is_kept_apart(db: Database):
    Path("specs.yaml").write_text(SPECS + CREATING.replace("\ntarget", "\nbad_rows: quarantine\ntarget"))
    Path("b.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(5)))
    Path("c.csv").write_text("id\n7\n8,9\n")

    reports = run(db.direct)

    assert [(report.error, report.quarantined) for report in reports] == [(None, 1), (None, 0), (None, 1)]
    assert db.execute("SELECT id, pg_typeof(id)::text FROM c") == [(7, "bigint")]
    assert db.one("SELECT count(*) FROM pg_class WHERE relname LIKE 'stage%'") == 0
