"""`syncengine history`, `show` and `gc`: what the ledger remembers is shown, and what dead runs left goes."""

from __future__ import annotations

from pathlib import Path

import pytest

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec
from tests.calls import Call, caller
from tests.servers import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
HEADING = "run spec target state started seconds read ins upd unch skip dup quar del"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    return caller(capsys)


@pytest.fixture
def db(emptied: Database) -> Database:
    emptied.execute(TABLE)
    return emptied


def run(db: Database, folder: Path, rows: str, name: str = "users") -> None:
    """Run a spec over these rows; one whose rows are bad fails."""
    (folder / "rows.csv").write_text(f"id,v\n{rows}")
    syncengine.run(
        a_spec(folder, name=name, conflict_keys=["id"], execution={"method": "staged"}), connection=db.url
    )


@pytest.fixture
def ran(db: Database, tmp_path: Path) -> Database:
    """Run `users` twice, of which the second fails, and `orders` once."""
    run(db, tmp_path, "1,a\n2,b\n")
    with pytest.raises(SyncError, match="column id"):
        run(db, tmp_path, "x,a\n")
    run(db, tmp_path, "1,a\n3,c\n", name="orders")
    return db


def test_history_lists_runs_newest_first(ran: Database, call: Call):
    said = call("history", "--connection", ran.url, "-q")

    heading, *lines = [line.split() for line in said.out.splitlines()]
    assert (said.code, said.err, heading) == (0, "", HEADING.split())
    assert [(line[1], line[2], line[3], line[7:]) for line in lines] == [
        ("orders", "public.t", "done", ["2", "1", "0", "1", "0", "0", "0", "0"]),
        ("users", "public.t", "failed", ["0"] * 8),
        ("users", "public.t", "done", ["2", "2", "0", "0", "0", "0", "0", "0"]),
    ]


def test_history_of_one_spec_as_json(ran: Database, call: Call):
    found = call("history", "users", "--connection", ran.url, "--format", "json").document

    assert (found["format"], found["ok"]) == (1, True)
    assert [(one["spec"], one["state"], one["inserted"]) for one in found["runs"]] == [
        ("users", "failed", 0),
        ("users", "done", 2),
    ]
    assert found["runs"][0]["error"]["code"] == "bad-row"
    assert found["runs"][1]["error"] is None


@pytest.mark.parametrize("prepare", ["", "CREATE SCHEMA syncengine"], ids=["no-schema", "no-table"])
def test_where_nothing_ran_there_is_no_history(db: Database, call: Call, prepare: str):
    db.execute(prepare or "SELECT 1")

    assert call("history", "--connection", db.url).out == "no runs\n"
    assert call("gc", "--connection", db.url).out == "nothing to drop\n"
    assert call("show", "abc", "--connection", db.url).code == 3
    assert "syncengine.runs" not in str(db.execute("SELECT relname FROM pg_class WHERE relname = 'runs'"))


def test_show_tells_all_of_a_run(ran: Database, call: Call):
    done, failed = (
        ran.one(f"SELECT run FROM syncengine.runs WHERE spec = 'users' AND state = '{state}'")
        for state in ("done", "failed")
    )

    said = call("show", str(done), "--connection", ran.url)
    assert said.code == 0
    assert said.out.startswith(f"{done}: users, upsert rows.csv into public.t by staged\n")
    assert "rows_read 2, inserted 2" in said.out
    assert "column id" in call("show", str(failed), "--connection", ran.url).out
    document = call("show", str(failed), "--connection", ran.url, "--format", "json").document
    assert (document["run"], document["state"], document["error"]["code"]) == (failed, "failed", "bad-row")
    assert document["chunks"] == []


def test_show_takes_the_beginning_of_a_name(ran: Database, call: Call):
    ran.execute("UPDATE syncengine.runs SET run = 'aa_' || left(run, 4) WHERE spec = 'users'")
    ran.execute("UPDATE syncengine.runs SET run = 'bb_0' WHERE spec = 'orders'")

    assert call("show", "bb", "--connection", ran.url).out.startswith("bb_0: orders,")
    several = call("show", "aa", "--connection", ran.url)
    assert (several.code, several.out) == (3, "")
    assert "2 runs begin with 'aa'" in several.err


def test_a_run_that_was_not_heard_of_is_shown_as_lost(ran: Database, call: Call):
    ran.execute(
        "UPDATE syncengine.runs SET state = 'running', finished_at = NULL, renewed_at = now() - interval '1 hour'"
        " WHERE spec = 'orders'"
    )

    assert "running, lost" in call("history", "orders", "--connection", ran.url).out
    assert "last heard of" in call("show", _only(ran, "orders"), "--connection", ran.url).out


def _only(db: Database, spec: str) -> str:
    return str(db.one("SELECT run FROM syncengine.runs WHERE spec = %s", [spec]))


def test_chunks_of_a_run_are_shown(ran: Database, call: Call):
    run_id = _only(ran, "orders")
    ran.execute(
        "INSERT INTO syncengine.chunks (run, phase, number, ends, rows_read)"
        f" VALUES ('{run_id}', 'publish', 7, '{{\"id\": 7}}', 5)"
    )

    said = call("show", run_id, "--connection", ran.url).out
    chunks = call("show", run_id, "--connection", ran.url, "--format", "json").document["chunks"]

    chunk = next(chunk for chunk in chunks if chunk["number"] == 7)
    assert f"  chunks    {len(chunks)}\n" in said
    assert '{"id": 7}' in said
    assert (chunk["phase"], chunk["number"], chunk["ends"], chunk["rows_read"]) == (
        "publish",
        7,
        {"id": 7},
        5,
    )


def test_gc_drops_the_staging_of_dead_runs_and_no_other(ran: Database, call: Call):
    done = _only(ran, "orders")
    ran.execute(f"CREATE UNLOGGED TABLE syncengine.stage_{done} (id int)")
    ran.execute("CREATE UNLOGGED TABLE syncengine.stage_abcdef_0 (id int)")

    first = call("gc", "--connection", ran.url, "--format", "json")
    second = call("gc", "--connection", ran.url)

    assert (first.code, first.document["dropped"]) == (0, [f"syncengine.stage_{done}"])
    assert second.out == "nothing to drop\n"
    assert ran.execute("SELECT 1 FROM pg_class WHERE relname = 'stage_abcdef_0'") == [(1,)]


def test_the_project_says_where_to_look(
    ran: Database, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SHOP_URL", ran.url)
    (tmp_path / "syncengine.yaml").write_text(
        "connections: {shop: '${SHOP_URL}'}\nenvironments: {prod: {defaults: {target: {connection: shop}}}}\n"
    )

    assert (
        call("history", "orders", "--env", "prod", "--format", "json").document["runs"][0]["spec"] == "orders"
    )
    assert call("history", "orders", "--connection", "shop").code == 0
    assert call("history", "orders").code == 3
