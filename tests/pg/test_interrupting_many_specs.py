"""Ctrl-C and SIGTERM while several specs run: all of them stop at once, and nothing is left."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import ENOUGH, started, wait_until
from tests.servers import Database

GATE = 4713
TABLES = """
CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE TABLE c (id int PRIMARY KEY, v text)"""
WAITING = f"""
CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END$$;
CREATE TRIGGER still BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION stand_still();
CREATE TRIGGER still BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION stand_still()"""
# A pooler keeps sessions that nobody uses.
OURS = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'syncengine' AND state <> 'idle'"
)
LEFT = "SELECT relname::text FROM pg_class WHERE relname LIKE 'stage%' AND relpersistence <> 't'"
SPEC = "name: {0}\nsource: {{type: csv, path: '{1}'}}\ntarget: public.{0}\nconflict_keys: [id]\n"
STAGED = "execution: {method: staged}\n"


@pytest.fixture
def db(newdb: Database) -> Database:
    newdb.execute(TABLES)
    return newdb


@contextmanager
def a_run(db: Database, folder: Path, specs: list[str], *options: str) -> Iterator[subprocess.Popen[str]]:
    (folder / "specs.yaml").write_text("---\n".join(specs))
    (folder / "rows.csv").write_text("id,v\n1,x\n2,y\n")
    arguments = ["run", "specs.yaml", "--log-format=json", "--connection", db.url, *options]
    with started(folder, *arguments) as process:
        yield process


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, float, str, str]:
    """Interrupt a run; return its exit code, the seconds it took, and what it said."""
    began = time.monotonic()
    process.send_signal(number)
    code = process.wait(10)
    seconds = time.monotonic() - began
    assert process.stdout is not None
    assert process.stderr is not None
    return code, seconds, process.stdout.read(), process.stderr.read()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_statements_of_all_specs_are_cancelled(
    db: Database, tmp_path: Path, number: signal.Signals, code: int
):
    db.execute(WAITING)
    specs = [SPEC.format(name, "rows.csv") + STAGED for name in "ab"]
    with db.connect() as holder, a_run(db, tmp_path, specs, "--jobs", "2") as process:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        wait_until(lambda: db.one(f"SELECT count(*) {OURS} AND wait_event = 'advisory'") == 2)
        found, seconds, out, err = stopped(process, number)

    assert (found, out) == (code, "")
    assert seconds < ENOUGH
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert [line["event"] for line in lines if line["level"] == "error"] == ["stopped"]
    assert (db.execute("TABLE a"), db.execute("TABLE b"), db.execute(LEFT)) == ([], [], [])
    wait_until(lambda: db.one(f"SELECT count(*) {OURS}") == 0)


def test_a_spec_whose_source_does_not_answer_is_left_behind(db: Database, tmp_path: Path):
    db.execute(WAITING)
    specs = [SPEC.format("a", "rows.csv") + STAGED, SPEC.format("c", "-") + STAGED]
    with db.connect() as holder, a_run(db, tmp_path, specs, "--jobs", "2") as process:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        assert process.stdin is not None
        process.stdin.write("id,v\n" + "".join(f"{n},{'x' * 100}\n" for n in range(20_000)))
        process.stdin.flush()
        wait_until(lambda: db.one(f"SELECT count(*) {OURS} AND wait_event = 'advisory'") == 1)
        wait_until(lambda: db.one(f"SELECT count(*) {OURS} AND query LIKE 'COPY%'") == 1)
        code, seconds, out, err = stopped(process, signal.SIGINT)

    assert (code, out) == (130, "")
    assert seconds < ENOUGH
    assert "Traceback" not in err
    assert "Fatal" not in err
    wait_until(lambda: db.one(f"SELECT count(*) {OURS}") == 0)
    assert (db.execute("TABLE a"), db.execute("TABLE c"), db.execute(LEFT)) == ([], [], [])


def test_a_spec_that_waits_for_another_is_never_started(db: Database, tmp_path: Path):
    db.execute(WAITING)
    specs = [SPEC.format("a", "rows.csv"), SPEC.format("c", "rows.csv") + "depends_on: [a]\n"]
    with db.connect() as holder, a_run(db, tmp_path, specs, "--jobs", "2") as process:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        wait_until(lambda: db.one(f"SELECT count(*) {OURS} AND wait_event = 'advisory'") == 1)
        code, seconds, _, err = stopped(process, signal.SIGINT)

    assert code == 130
    assert seconds < ENOUGH
    assert {json.loads(line)["spec"] for line in err.splitlines()} == {"", "a"}
    assert db.execute("TABLE c") == []
