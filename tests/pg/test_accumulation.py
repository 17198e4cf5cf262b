"""docs/spec.md §11, rule 6: what adds up is published once a source, whoever asks again, unless told so."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.conftest import RunCli
from tests.modecases import METHODS, by_id
from tests.runs import counts, places
from tests.servers import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b')"
FIRST = "id,n\n1,1\n2,2\n3,3\n"
SWAPPED = "id,n\n3,3\n1,1\n2,2\n"
OTHER = "id,n\n1,5\n"
ONCE = {1: 11, 2: 22, 3: 3}
TWICE = {1: 12, 2: 24, 3: 6}


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    emptied.execute(TABLE)
    return emptied


def spec_of(**keys: Any) -> dict[str, Any]:
    base = {
        "name": "t",
        "source": "t.csv",
        "target": "t",
        "conflict_keys": ["id"],
        "update_columns": {"n": "sum"},
    }
    return {**base, **keys}


def publish(db: Database, text: str | None, **keys: Any) -> syncengine.Report:
    if text is not None:
        Path("t.csv").write_text(text)
    return syncengine.run(spec_of(**keys), connection=db.url)


def sums(db: Database) -> dict[object, object]:
    return dict(db.execute("SELECT id, n FROM t ORDER BY 1"))


@dataclass(frozen=True, kw_only=True)
class Again:
    """A second run after a first one of FIRST, and what it leaves; `between` is SQL in between."""

    text: str | None = None
    first: dict[str, Any] = field(default_factory=dict)
    second: dict[str, Any] = field(default_factory=dict)
    between: str = ""
    sums: dict[int, int]
    nothing: bool = False


CASES = {
    "the-same-file": Again(sums=ONCE, nothing=True),
    "the-same-rows-in-another-order": Again(text=SWAPPED, sums=ONCE, nothing=True),
    "the-same-rows-written-otherwise": Again(
        text='"id","n"\r\n"1","1"\r\n2,2\r\n3,3', sums=ONCE, nothing=True
    ),
    "a-changed-file": Again(text=OTHER, sums={1: 16, 2: 22, 3: 3}),
    "a-row-more": Again(text=FIRST + "4,4\n", sums={**TWICE, 4: 4}),
    "a-row-twice": Again(text=FIRST + "3,3\n", sums=TWICE),
    "by-another-strategy": Again(
        first={"execution": {"method": "staged"}},
        second={"execution": {"method": "rows"}},
        sums=ONCE,
        nothing=True,
    ),
    "by-another-name": Again(second={"name": "other"}, sums=TWICE),
    "other-rules": Again(second={"update_columns": {"n": "target.n + excluded.n"}}, sums=ONCE, nothing=True),
    "the-table-was-emptied": Again(between="TRUNCATE t", sums={1: 1, 2: 2, 3: 3}),
    "the-table-is-another": Again(between=f"DROP TABLE t; {TABLE}", sums=ONCE),
    "an-expression-that-reads-the-stored-row": Again(
        first={"update_columns": {"n": "target.n + excluded.n"}},
        second={"update_columns": {"n": "target.n + excluded.n"}},
        sums=ONCE,
        nothing=True,
    ),
    "a-sum-of-null": Again(
        first={"update_columns": {"n": "coalesce(target.n, 0) + 1"}},
        second={"update_columns": {"n": "coalesce(target.n, 0) + 1"}},
        sums={1: 11, 2: 21, 3: 3},
        nothing=True,
    ),
    "mode-update": Again(
        first={"mode": "update"}, second={"mode": "update"}, sums={1: 11, 2: 22}, nothing=True
    ),
    "mode-mirror": Again(first={"mode": "mirror"}, second={"mode": "mirror"}, sums=ONCE, nothing=True),
}


@pytest.mark.parametrize("method", METHODS)
@by_id(CASES)
def test_rule_6_a_second_run(db: Database, case: Again, method: str):
    chosen = {"execution": {"method": method}}
    publish(db, FIRST, **chosen, **case.first) if not case.first else publish(
        db, FIRST, **{**chosen, **case.first}
    )
    db.execute(case.between or "SELECT")
    before = places(db)

    report = publish(db, case.text, **{**chosen, **case.second})

    rows = len((case.text or FIRST).split()) - 1
    assert report.published_before is case.nothing
    assert report.rows_read == rows
    assert not case.nothing or counts(report) == {"unchanged": rows}
    assert sums(db) == case.sums
    assert (places(db) == before) is case.nothing


def test_rule_6_what_was_published_stays_so_whatever_came_since(db: Database):
    for text in (FIRST, OTHER, FIRST, OTHER):
        publish(db, text)

    assert sums(db) == {1: 16, 2: 22, 3: 3}


def test_rule_6_append_is_done_once(db: Database):
    rows = [{"id": 1, "v": "x"}]
    for _ in range(2):
        syncengine.run(spec_of(update_columns={"v": "append"}), source=rows, connection=db.url)

    assert db.one("SELECT v FROM t WHERE id = 1") == "ax"


def test_rule_6_holds_for_a_source_that_can_be_read_once(db: Database):
    for _ in range(2):
        rows = ({"id": n, "n": n} for n in (1, 2, 3))
        syncengine.run(spec_of(), source=rows, connection=db.url)

    assert sums(db) == ONCE


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "stops",
    [
        pytest.param({"checks": [{"name": "no", "sql": "SELECT false"}]}, id="check"),
        pytest.param({"limits": {"max_updates": 1}}, id="limit"),
        pytest.param({"after": ["SELECT 1/0"]}, id="error"),
    ],
)
def test_rule_6_a_run_that_failed_has_published_nothing(db: Database, stops: dict[str, Any], method: str):
    chosen = {"execution": {"method": method}}
    with pytest.raises(SyncError):
        publish(db, FIRST, **chosen, **stops)
    assert sums(db) == {1: 10, 2: 20}

    report = publish(db, FIRST, **chosen)

    assert (counts(report), sums(db)) == ({"updated": 2, "inserted": 1}, ONCE)


def test_rule_6_a_preview_publishes_nothing_and_sees_what_was_published(db: Database):
    Path("t.csv").write_text(FIRST)
    before = syncengine.plan(spec_of(), connection=db.url, diff=True).preview
    publish(db, None)
    after = syncengine.plan(spec_of(), connection=db.url, diff=True).preview

    assert before is not None
    assert after is not None
    assert (before.counts.updated, before.counts.inserted, before.counts.unchanged) == (2, 1, 0)
    assert (after.counts.updated, after.counts.inserted, after.counts.unchanged) == (0, 0, 3)
    assert sums(db) == ONCE


def test_rule_6_a_repeated_attempt_adds_up_once(db: Database):
    seen: list[str] = []

    def disturb(event: object) -> None:
        seen.append(type(event).__name__)
        if seen[-1] == "Classified" and seen.count("Classified") == 1:
            db.execute("UPDATE t SET n = n + 100 WHERE id = 1")

    Path("t.csv").write_text(FIRST)
    report = syncengine.run(spec_of(), connection=db.url, emit=disturb)

    assert report.retries == 1
    assert sums(db) == {**ONCE, 1: 111}


@pytest.mark.parametrize("method", METHODS)
def test_rule_6_two_at_once_add_up_once(db: Database, method: str):
    Path("t.csv").write_text(FIRST)
    publish(db, None, name="warm", execution={"method": method})
    db.execute("TRUNCATE t; INSERT INTO t VALUES (1, 10), (2, 20)")
    reports: list[syncengine.Report] = []
    hold = threading.Barrier(2)

    def wait(event: ev.Event) -> None:
        if isinstance(event, ev.SpecStarted):
            hold.wait(10)

    def run() -> None:
        spec = spec_of(execution={"method": method})
        reports.append(syncengine.run(spec, connection=db.url, emit=wait, wait=True))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(report.published_before for report in reports) == [False, True]
    assert sums(db) == ONCE


def start(folder: Path, db: Database) -> subprocess.Popen[str]:
    (folder / "t.yaml").write_text(json.dumps(spec_of()))
    command = [
        sys.executable,
        "-m",
        "syncengine",
        "run",
        "t.yaml",
        "--connection",
        db.url,
        "--format",
        "json",
    ]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def eventually(true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.direct
def test_rule_6_a_run_killed_in_between_is_done_by_the_next(db: Database, tmp_path: Path, cli: RunCli):
    Path("t.csv").write_text(FIRST)
    db.execute(
        "CREATE FUNCTION still() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_advisory_xact_lock_shared(4712); RETURN NEW; END$$;"
        "CREATE TRIGGER still BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION still()"
    )
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    with db.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(4712)")
        process = start(tmp_path, db)
        try:
            assert eventually(lambda: db.execute(waits))
        finally:
            process.kill()
            process.communicate()
    busy = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'syncengine' AND state <> 'idle'"
    )
    assert eventually(lambda: not db.execute(busy))
    assert sums(db) == {1: 10, 2: 20}

    books = []
    for more in ((), (), ("--again",)):
        done = cli("run", "t.yaml", "--connection", db.url, "--format", "json", *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (spec,) = json.loads(done.stdout)["specs"]
        books.append((spec["inserted"], spec["updated"], spec["unchanged"]))

    assert books == [(1, 2, 0), (0, 0, 3), (0, 3, 0)]
    assert sums(db) == TWICE
