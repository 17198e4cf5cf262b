"""Where the stored rows lie in the order of their keys, changes are found and written in that order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.servers import Database

ROWS = 3000
SHUFFLED = "ORDER BY md5(id::text)"


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    """A table of rows in the order of their keys, and a file of them in another; every third differs, 300 are new."""
    monkeypatch.chdir(tmp_path)
    emptied.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    emptied.execute(f"INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, {ROWS}) AS n")
    emptied.execute("ANALYZE t")
    value = "CASE WHEN id % 3 = 0 THEN 'new' ELSE 'v' || id END"
    rows = emptied.execute(f"SELECT id, {value} FROM generate_series(1, {ROWS + 300}) AS id {SHUFFLED}")
    Path("t.csv").write_text("id,v\n" + "".join(f"{key},{value}\n" for key, value in rows))
    return emptied


def spec(**more: Any) -> dict[str, Any]:
    return {"name": "t", "source": "t.csv", "target": "t", "conflict_keys": ["id"]} | more


def shuffle(db: Database) -> None:
    db.execute(f"CREATE TABLE mixed AS SELECT * FROM t {SHUFFLED}")
    db.execute("TRUNCATE t")
    db.execute("INSERT INTO t SELECT * FROM mixed")
    db.execute("ANALYZE t")


def statements(db: Database, **more: Any) -> tuple[str, str]:
    """Return what classifies and what updates."""
    plan = syncengine.plan(spec(**more), connection=db.url)
    found = {step.title: getattr(step, "sql", "") for step in plan.steps}
    classify = next(sql for title, sql in found.items() if title.startswith("classify"))
    return classify, found["update the rows that change"]


def outcome(db: Database, **more: Any) -> tuple[int, int, int]:
    report = syncengine.run(spec(**more), connection=db.url)
    return report.inserted, report.updated, report.unchanged


def test_changes_are_sorted_once_whichever_way_the_rows_lie(db: Database):
    classify, update = statements(db)
    assert ("ORDER BY" in classify, "ORDER BY" in update) == (True, False)
    assert "in which they are joined and updated" in syncengine.plan(spec(), connection=db.url).explain()

    shuffle(db)
    classify, update = statements(db)
    assert ("ORDER BY" in classify, "ORDER BY" in update) == (False, True)
    assert "in which they are joined" not in syncengine.plan(spec(), connection=db.url).explain()


def test_the_plan_shows_under_which_price_the_join_is_made(db: Database):
    told = syncengine.plan(spec(), connection=db.url).explain(sql=True)
    assert "keep what changes, under random_page_cost = 2\n" in told

    stated = syncengine.plan(spec(session={"random_page_cost": "1.5"}), connection=db.url).explain(sql=True)
    assert "keep what changes\n" in stated


@pytest.mark.parametrize("method", ["staged", "rows"])
@pytest.mark.parametrize("lies", ["in order", "shuffled"])
def test_the_same_rows_change_whichever_way_they_lie_and_in_key_order(db: Database, lies: str, method: str):
    if lies == "shuffled":
        shuffle(db)
    assert outcome(db, execution={"method": method}) == (300, ROWS // 3, ROWS - ROWS // 3)

    # New versions stand behind one another as they were written.
    updated = [
        key for (key,) in db.execute(f"SELECT id FROM t WHERE v = 'new' AND id <= {ROWS} ORDER BY ctid")
    ]
    assert updated == sorted(updated)
    assert outcome(db, execution={"method": method}) == (0, 0, ROWS + 300)


def test_parts_are_published_as_they_are_cut(db: Database):
    classify, update = statements(db, execution={"transaction": "chunk", "chunk_rows": 1000})

    assert ("ORDER BY" in classify, "ORDER BY" in update) == (False, True)


def test_rows_that_triggers_may_move_are_sorted_for_the_update_which_finds_them_by_key(db: Database):
    db.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    db.execute("CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()")
    classify, update = statements(db)

    assert ("ORDER BY" in classify, "ORDER BY" in update) == (False, True)
