"""`transaction: group`: the specs of a call are published in one transaction, or not at all (docs/spec.md §10)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import syncengine
from syncengine.model import events as ev
from tests.conftest import RunCli
from tests.servers import Database

TABLES = """
CREATE TABLE parents (id serial PRIMARY KEY, code text UNIQUE NOT NULL);
CREATE TABLE kids (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parents DEFERRABLE, name text)
"""
PARENTS = (
    "source: parents.csv\ntarget: parents\nmode: mirror\nconflict_keys: [code]\nlimits: {max_deletes: 100%}\n"
)
KIDS = """source: kids.csv
target: kids
mode: mirror
conflict_keys: [id]
ignore_fields: [parent]
lookups: {parent_id: {table: parents, match: {code: source.parent}}}
limits: {max_deletes: 100%}
"""


@pytest.fixture
def family(tmp_path: Path, db: Database) -> Path:
    """Make a project of two specs, whose tables hold A with a kid."""
    db.execute(f"{TABLES}; INSERT INTO parents (code) VALUES ('A'); INSERT INTO kids VALUES (1, 1, 'Ann')")
    (tmp_path / "syncengine.yaml").write_text("transaction: group\n")
    (tmp_path / "kids.yaml").write_text(KIDS)
    (tmp_path / "parents.yaml").write_text(PARENTS)
    sources(tmp_path, "code\nB\n", "id,parent,name\n1,B,Ann\n2,B,Bob\n")
    return tmp_path


def sources(folder: Path, parents: str, kids: str) -> None:
    (folder / "parents.csv").write_text(parents)
    (folder / "kids.csv").write_text(kids)


def run(folder: Path, db: Database, emit: ev.Emit = lambda event: None) -> dict[str, syncengine.Report]:
    reports = syncengine.run_all(syncengine.load([folder]), connection=db.url, emit=emit)
    return {report.name: report for report in reports}


def rows(db: Database) -> list[tuple[object, ...]]:
    query = "SELECT k.id, p.code, k.name FROM kids AS k JOIN parents AS p ON p.id = k.parent_id ORDER BY k.id"
    return db.conn.execute(query).fetchall()


def leftovers(db: Database) -> list[tuple[object, ...]]:
    return db.conn.execute("SELECT relname FROM pg_class WHERE relname LIKE 'stage%'").fetchall()


@pytest.mark.parametrize("method", ["rows", "staged"])
def test_a_parent_may_go_with_its_kids_still_there_until_they_follow(method: str, family: Path, db: Database):
    with (family / "syncengine.yaml").open("a") as file:
        file.write(f"defaults: {{execution: {{method: {method}}}}}\n")

    reports = run(family, db)

    assert {name: report.error for name, report in reports.items()} == {"parents": None, "kids": None}
    assert (reports["parents"].inserted, reports["parents"].deleted) == (1, 1)
    assert (reports["kids"].inserted, reports["kids"].updated) == (1, 1)
    assert rows(db) == [(1, "B", "Ann"), (2, "B", "Bob")]
    assert leftovers(db) == []


def test_without_a_group_the_parent_can_not_go_first(family: Path, db: Database):
    (family / "syncengine.yaml").write_text("")

    reports = run(family, db)

    assert reports["parents"].error is not None
    assert reports["parents"].error.code == "bad-row"
    assert rows(db) == [(1, "A", "Ann")]


def test_parents_and_kids_are_seen_together(family: Path, db: Database):
    seen: list[int] = []

    def look(event: ev.Event) -> None:
        with db.connect() as other:
            found = other.execute(
                "SELECT (SELECT count(*) FROM parents WHERE code = 'B') + count(*) FROM kids"
            )
            seen.extend(count for (count,) in found)

    run(family, db, emit=look)

    # One kid before, a parent and two kids after; nothing else in between.
    assert set(seen) == {1, 3}


@pytest.mark.parametrize(
    ("parents", "kids", "failed", "code", "exit_code"),
    [
        pytest.param("code\nB\n", "id,parent,name\n1,C,Ann\n", "kids", "unresolved-lookup", 1, id="lookup"),
        pytest.param("code\nB\n", "id,parent,name\nx,B,Ann\n", "kids", "bad-row", 1, id="bad-row"),
        pytest.param("code\n", "id,parent,name\n", "parents", "limit-exceeded", 5, id="limit"),
        pytest.param(
            "code\nB\nB\n", "id,parent,name\n1,B,Ann\n1,B,Bob\n", "kids", "duplicate-keys", 1, id="keys"
        ),
    ],
)
def test_if_one_fails_nothing_is_published(
    parents: str, kids: str, failed: str, code: str, exit_code: int, family: Path, db: Database, cli: RunCli
):
    sources(family, parents, kids)

    done = cli("run", family, "--connection", db.url, "--format", "json", "--quiet")

    told = {spec["name"]: spec["error"]["code"] for spec in json.loads(done.stdout)["specs"]}
    other = {"kids": "parents", "parents": "kids"}[failed]
    assert told == {failed: code, other: "group-rolled-back"}
    assert done.returncode == exit_code
    assert rows(db) == [(1, "A", "Ann")]
    assert leftovers(db) == []


def test_a_source_that_is_not_there_keeps_all_back(family: Path, db: Database):
    (family / "kids.csv").unlink()

    reports = run(family, db)

    assert {name: report.error.code for name, report in reports.items() if report.error} == {
        "parents": "group-rolled-back",
        "kids": "source-unreadable",
    }


def test_checks_look_at_the_work_of_all(family: Path, db: Database):
    query = "SELECT bool_and(id IN (SELECT parent_id FROM kids)) FROM parents"
    check = f"checks: [{{name: every parent has a kid, sql: '{query}'}}]\n"
    (family / "parents.yaml").write_text(PARENTS + check)

    reports = run(family, db)

    assert reports["parents"].error is None
    sources(family, "code\nB\nC\n", "id,parent,name\n1,B,Ann\n2,B,Bob\n")
    reports = run(family, db)
    assert reports["parents"].error is not None
    assert reports["parents"].error.code == "check-failed"


def test_a_deferred_constraint_that_does_not_hold_in_the_end_rolls_all_back(family: Path, db: Database):
    db.execute("ALTER TABLE kids ADD aunt text REFERENCES parents (code) DEFERRABLE INITIALLY DEFERRED")
    sources(family, "code\nB\n", "id,parent,name,aunt\n1,B,Ann,A\n")

    reports = run(family, db)

    assert {report.ok for report in reports.values()} == {False}
    assert rows(db) == [(1, "A", "Ann")]


def test_another_writer_makes_the_group_start_anew(family: Path, db: Database):
    (family / "kids.yaml").write_text(
        KIDS.replace("mode: mirror", "mode: upsert").replace("limits: {max_deletes: 100%}", "")
    )
    (family / "parents.yaml").write_text(
        PARENTS.replace("mirror", "upsert").replace("limits: {max_deletes: 100%}", "")
    )
    met = threading.Event()

    def meddle(event: ev.Event) -> None:
        if (
            isinstance(event, ev.StepStarted)
            and event.step == "update the rows that change"
            and not met.is_set()
        ):
            met.set()
            with db.connect() as other:
                other.execute("UPDATE kids SET name = 'Meddled' WHERE id = 1")

    reports = run(family, db, emit=meddle)

    assert {report.error for report in reports.values()} == {None}
    assert reports["kids"].retries == 1
    assert (reports["kids"].inserted, reports["kids"].updated, reports["parents"].inserted) == (1, 1, 1)
    assert rows(db) == [(1, "B", "Ann"), (2, "B", "Bob")]


def test_a_file_that_finds_no_place_after_the_commit_is_one_specs_failure(family: Path, db: Database):
    with (family / "kids.yaml").open("a") as file:
        file.write("returning: {columns: [id], to: out/kids.csv}\n")

    def meddle(event: ev.Event) -> None:
        if isinstance(event, ev.StepFinished) and event.step == "write the returned rows":
            (family / "out" / "kids.csv").mkdir()

    reports = run(family, db, emit=meddle)

    assert reports["parents"].error is None
    assert reports["kids"].error is not None
    assert "the rows are committed" in reports["kids"].error.message
    assert rows(db) == [(1, "B", "Ann"), (2, "B", "Bob")]
    assert leftovers(db) == []


def test_databases_can_not_be_joined(family: Path, db: Database, newdb: Database, cli: RunCli):
    newdb.execute(TABLES)
    (family / "syncengine.yaml").write_text(
        "transaction: group\nconnections: {one: '${ONE}', two: '${TWO}'}\n"
    )
    (family / "kids.yaml").write_text(KIDS.replace("target: kids", "target: {table: kids, connection: one}"))
    (family / "parents.yaml").write_text(
        PARENTS.replace("target: parents", "target: {table: parents, connection: two}")
    )

    done = cli("run", family, "--quiet", env={"ONE": db.url, "TWO": newdb.url})

    assert done.returncode == 3
    assert "`transaction: group` can't span several databases: one, two" in done.stderr


KILLED = """
import os, signal, sys
from syncengine import api
from syncengine.loading import load
def emit(event):
    if type(event).__name__ == "UnitCommitted" and event.unit == "publish":
        os.kill(os.getpid(), signal.SIGKILL)
api.run_all(load([sys.argv[1]]), connection=sys.argv[2], emit=emit)
"""


@pytest.mark.direct
def test_a_group_that_was_killed_when_it_was_done_is_taken_up_and_not_repeated(
    newdb: Database, tmp_path: Path, cli: RunCli
):
    newdb.execute("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int)")
    (tmp_path / "syncengine.yaml").write_text("transaction: group\n")
    (tmp_path / "a.csv").write_text("id,v\n1,x\n2,y\n")
    (tmp_path / "b.csv").write_text("id\n1\n2\n3\n")
    (tmp_path / "specs.yaml").write_text(
        "name: a\nsource: a.csv\ntarget: a\nconflict_keys: [id]\n---\nname: b\nsource: b.csv\ntarget: b\nmode: insert\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "specs.yaml", newdb.url],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    (tmp_path / "a.csv").write_text("id,v\n1,x\n2,z\n")

    again = cli("run", "specs.yaml", "--connection", newdb.url, "--format", "json", cwd=tmp_path)

    assert again.returncode == 0, again.stdout + again.stderr
    a, b = json.loads(again.stdout)["specs"]
    assert (a["updated"], a["unchanged"]) == (1, 1)
    assert (b["inserted"], b["resumed"]) == (3, True)
    assert newdb.execute("SELECT * FROM a ORDER BY id") == [(1, "x"), (2, "z")]
    assert newdb.one("SELECT count(*) FROM b") == 3
