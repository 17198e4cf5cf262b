"""Bad rows of a run whose chunks commit one by one: each is kept once, with the chunk that it would have been in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.killed import killed_at
from tests.runs import counts
from tests.servers import Database

# A pooler hides that a client was killed: it is given up after its lease only.
pytestmark = pytest.mark.direct
ROWS = 1000
# Lines of the file: 12 is no number, 300 and 301 are refused by the table, 900 is too short a record.
NO_NUMBER, REFUSED, RAGGED = 12, (300, 301), 900
BAD = [NO_NUMBER, *REFUSED, RAGGED]


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    lines = [f"{n},{n}" for n in range(1, ROWS + 1)]
    for line, text in ((NO_NUMBER, "x,1"), (300, "299,-1"), (301, "300,-1"), (RAGGED, "899")):
        lines[line - 2] = text
    Path("t.csv").write_text("\n".join(["id,n", *lines, ""]))
    emptied.execute("CREATE TABLE t (id int, n int CHECK (n > 0), hits int NOT NULL DEFAULT 0, UNIQUE (id))")
    emptied.execute(
        "INSERT INTO t SELECT i, 1 FROM generate_series(1, 500) AS i WHERE i NOT IN (11, 299, 300)"
    )
    return emptied


def spec_of(**keys: Any) -> dict[str, Any]:
    return {
        "name": "t",
        "source": "t.csv",
        "target": "t",
        "conflict_keys": ["id"],
        "update_columns": {"n": "excluded.n", "hits": "target.hits + 1"},
        "bad_rows": "quarantine",
        "execution": {"transaction": "chunk", "chunk_rows": 200},
        **keys,
    }


def kept(db: Database) -> list[object]:
    return [line for (line,) in db.execute("SELECT line FROM syncengine.quarantine ORDER BY line")]


def check(db: Database) -> None:
    assert db.execute("SELECT hits, count(*) FROM t GROUP BY 1 ORDER BY 1") == [(0, 499), (1, 497)]
    assert kept(db) == BAD
    left = "SELECT relname FROM pg_class WHERE relname LIKE 'stage%' AND relpersistence = 'u'"
    assert db.execute(left) == []


@pytest.mark.every_server
def test_good_rows_are_published_and_bad_ones_kept(db: Database):
    report = syncengine.run(spec_of(), connection=db.url)

    assert counts(report) == {"inserted": 499, "updated": 497, "quarantined": 4}
    assert sorted(row.line for row in report.bad_rows) == BAD
    assert report.exit_code == 4
    check(db)


@pytest.mark.parametrize(
    ("kind", "unit", "number"),
    [
        pytest.param("RowsRead", "stage", 1, id="within-the-first-chunk"),
        pytest.param("ChunkCommitted", "stage", 1, id="after-the-first-chunk"),
        pytest.param("RowsRead", "stage", 5, id="within-the-last-chunk"),
        pytest.param("ChunkCommitted", "stage", 5, id="once-all-is-staged"),
        pytest.param("UnitCommitted", "arrange", 1, id="once-the-parts-are-cut"),
        pytest.param("ChunkCommitted", "publish", 1, id="after-the-first-part"),
        pytest.param("RowsCounted", "publish", 4, id="within-a-part"),
        pytest.param("ChunkCommitted", "publish", 4, id="after-those-that-were-refused"),
        pytest.param("UnitCommitted", "finish", 1, id="when-all-is-done"),
    ],
)
def test_a_killed_run_is_gone_on_with_and_keeps_each_bad_row_once(
    db: Database, kind: str, unit: str, number: int
):
    killed_at(db, spec_of(), kind, unit, number)

    report = syncengine.run(spec_of(), connection=db.url)

    assert counts(report) == {"inserted": 499, "updated": 497, "quarantined": 4}
    check(db)


WHOLE: dict[str, Any] = {"execution": {"transaction": "all", "chunk_rows": 200}}


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param("RowsRead", 1, id="within-the-first-chunk"),
        pytest.param("ChunkCommitted", 3, id="after-the-third-chunk"),
        pytest.param("ChunkCommitted", 5, id="once-all-is-staged"),
    ],
)
def test_what_was_staged_before_a_kill_is_not_staged_again(db: Database, kind: str, number: int):
    killed_at(db, spec_of(**WHOLE), kind, "stage", number)
    seen: list[ev.Event] = []

    report = syncengine.run(spec_of(**WHOLE), connection=db.url, emit=seen.append)

    assert counts(report) == {"inserted": 499, "updated": 497, "quarantined": 4}
    check(db)
    staged = [event for event in seen if isinstance(event, ev.ChunkCommitted) and event.unit == "stage"]
    assert len(staged) == 5 - (number if kind == "ChunkCommitted" else 0)


@pytest.mark.parametrize("keys", [WHOLE, {}], ids=["all", "chunk"])
def test_staging_that_a_crash_emptied_is_filled_again(db: Database, keys: dict[str, Any]):
    killed_at(db, spec_of(**keys), "ChunkCommitted", "stage", 3)
    for (name,) in db.execute("SELECT relname FROM pg_class WHERE relname LIKE 'stage%' AND relkind = 'r'"):
        db.execute(f'TRUNCATE syncengine."{name}"')

    report = syncengine.run(spec_of(**keys), connection=db.url)

    assert (report.resumed, report.rows_read) == (False, ROWS)
    check(db)


def test_too_many_bad_rows_stop_it_between_two_chunks(db: Database):
    with pytest.raises(SyncError) as stopped:
        syncengine.run(spec_of(bad_rows={"quarantine": True, "max": 3}), connection=db.url)

    assert stopped.value.code == "too-many-bad-rows"
    report = syncengine.run(spec_of(bad_rows={"quarantine": True, "max": 4}), connection=db.url, restart=True)
    assert report.quarantined == 4
