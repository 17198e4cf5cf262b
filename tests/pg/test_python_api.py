"""The Python API of docs/spec.md §8: specs and sources of every kind, plans, reports, errors, and the event loop."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import time
from collections import deque, namedtuple
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import syncengine
from tests.builders import a_spec, contents
from tests.runs import counts, places, refused, sync
from tests.servers import Database

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = {"name": "t", "target": "t", "conflict_keys": ["id"]}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 7)"


class Named(NamedTuple):
    id: int
    v: str


@pytest.fixture
def db(emptied: Database) -> Database:
    emptied.execute(TABLE)
    return emptied


def stored(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT * FROM t ORDER BY id")


SOURCES: dict[str, Any] = {
    "list-of-dicts": lambda: [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}],
    "generator-of-dicts": lambda: ({"id": n, "v": v} for n, v in ((1, "a"), (2, "b"))),
    "named-tuples": lambda: [Named(1, "a"), Named(2, "b")],
    "iterator-of-named-tuples": lambda: map(Named._make, [(1, "a"), (2, "b")]),
    "old-named-tuples": lambda: [namedtuple("Row", "v id")(*row) for row in (("a", 1), ("b", 2))],
    "set-of-named-tuples": lambda: {Named(1, "a"), Named(2, "b")},
    "deque": lambda: deque([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]),
    "mapping-views": lambda: {1: {"id": 1, "v": "a"}, 2: {"id": 2, "v": "b"}}.values(),
    "fields-in-another-case": lambda: [{"ID": 1, "V": "a"}, {"ID": 2, "V": "b"}],
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_rows_may_come_as_any_iterable(db: Database, source: Any):
    report = sync(db, source(), conflict_keys=["id"])

    assert counts(report) == {"inserted": 2}
    assert stored(db) == [(1, "a", 7), (2, "b", 7)]


@pytest.mark.parametrize("kind", [tuple, list])
def test_tuples_map_by_position(db: Database, kind: Any):
    report = sync(db, map(kind, [(1, "a", 5), (2, "b", None)]), conflict_keys=["id"])

    assert counts(report) == {"inserted": 2}
    assert stored(db) == [(1, "a", 5), (2, "b", None)]


def test_tuples_of_another_length_than_the_table_are_refused(db: Database):
    error = refused(db, [(1, "a")], conflict_keys=["id"])

    assert error.exit_code == 3
    assert "2 fields without names" in str(error)
    assert "3 columns" in str(error)


def test_tuples_map_to_named_fields(db: Database):
    report = sync(db, [("a", 1)], conflict_keys=["id"], columns={"id": "2", "v": "1"})

    assert counts(report) == {"inserted": 1}
    assert stored(db) == [(1, "a", 7)]


def test_a_key_that_a_row_lacks_is_null(db: Database):
    report = sync(db, [{"id": 1, "v": "a"}, {"id": 2}, {"id": 3, "n": 1}], conflict_keys=["id"])

    assert counts(report) == {"inserted": 3}
    assert stored(db) == [(1, "a", None), (2, None, None), (3, None, 1)]


def test_a_row_that_is_no_row_is_named(db: Database):
    error = refused(db, [{"id": 1, "v": "a"}, "x"], conflict_keys=["id"])

    assert (error.code, str(error.location)) == ("source-unreadable", "row 2")
    assert stored(db) == []


@pytest.mark.parametrize("source", [[], iter(()), ()], ids=["list", "iterator", "tuple"])
@pytest.mark.parametrize("keys", [{"conflict_keys": ["id"]}, {"mode": "insert"}], ids=["upsert", "insert"])
def test_no_rows_are_nothing_to_do(db: Database, source: Any, keys: dict[str, Any]):
    report = sync(db, source, **keys)

    assert (report.ok, report.rows_read, counts(report)) == (True, 0, {})


@pytest.mark.parametrize("read", [0, 10, 3000])
def test_a_generator_that_raises_leaves_the_table_as_it_was(db: Database, read: int):
    db.execute("INSERT INTO t VALUES (1, 'old')")
    before = contents(db)

    def rows() -> Iterator[dict[str, object]]:
        yield from ({"id": n, "v": "new"} for n in range(read))
        raise ValueError("the line went dead")

    with pytest.raises(syncengine.SourceError) as failure:
        syncengine.run(SPEC, source=rows(), connection=db.url)

    assert f"ValueError after row {read}" in failure.value.message
    assert failure.value.detail == "the line went dead"
    assert isinstance(failure.value.__cause__, ValueError)
    found = contents(db)
    assert [name for name in found if "stage" in name] == []
    assert found["public.t"] == before["public.t"]


def test_interrupting_a_generator_leaves_the_table_as_it_was(db: Database):
    def rows() -> Iterator[dict[str, object]]:
        yield from ({"id": n, "v": "new"} for n in range(3000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        syncengine.run(SPEC, source=rows(), connection=db.url)

    assert [name for name in contents(db) if "stage" in name] == []
    assert stored(db) == []


def test_a_generator_is_closed_when_the_run_fails(db: Database):
    closed: list[bool] = []

    def rows() -> Iterator[dict[str, object]]:
        try:
            for number in range(100_000):
                yield {"id": "x" if number == 5000 else number, "v": "a"}
        finally:
            closed.append(True)

    error = refused(db, rows(), conflict_keys=["id"])

    assert (error.code, str(error.location)) == ("bad-row", "row 5001")
    assert closed == [True]


@pytest.mark.parametrize(
    "as_spec",
    [
        pytest.param(lambda path: path, id="path"),
        pytest.param(str, id="str"),
        pytest.param(lambda path: syncengine.load([path])[0].spec, id="spec"),
        pytest.param(
            lambda path: {
                "name": "t",
                "source": str(path.parent / "rows.csv"),
                "target": "t",
                "conflict_keys": ["id"],
            },
            id="mapping",
        ),
    ],
)
def test_a_spec_may_be_a_path_a_mapping_or_a_spec(
    db: Database, tmp_path: Path, as_spec: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("id,v\n1,a\n", encoding="utf-8")
    spec = as_spec(a_spec(tmp_path, target="t", conflict_keys=["id"]))

    planned = syncengine.plan(spec, connection=db.url)
    report = syncengine.run(spec, connection=db.url)

    assert (planned.strategy, planned.name) == (report.strategy, report.name)
    assert counts(report) == {"inserted": 1}


def test_a_mappings_paths_are_relative_to_the_working_folder(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("id,v\n1,a\n", encoding="utf-8")

    assert counts(sync(db, None, source="rows.csv", conflict_keys=["id"])) == {"inserted": 1}


def test_a_spec_file_without_source_takes_the_callers(db: Database, tmp_path: Path):
    path = tmp_path / "people.yaml"
    path.write_text("target: t\nconflict_keys: [id]\n", encoding="utf-8")

    report = syncengine.run(path, source=[{"id": 1, "v": "a"}], connection=db.url)

    assert (report.name, counts(report)) == ("people", {"inserted": 1})
    with pytest.raises(syncengine.SyncError) as failure:
        syncengine.run(path, connection=db.url)
    assert (failure.value.code, "source" in str(failure.value)) == ("invalid-spec", True)


def test_the_callers_source_goes_before_that_of_the_file(db: Database, tmp_path: Path):
    spec = a_spec(tmp_path, "no-such-file.csv", "t", conflict_keys=["id"])

    assert counts(syncengine.run(spec, source=[{"id": 1, "v": "a"}], connection=db.url)) == {"inserted": 1}


def test_a_file_of_several_specs_is_refused_where_one_is_needed(db: Database, tmp_path: Path):
    path = tmp_path / "two.yaml"
    path.write_text(
        "name: a\nsource: a.csv\ntarget: t\n---\nname: b\nsource: b.csv\ntarget: t\n", encoding="utf-8"
    )

    with pytest.raises(syncengine.OptionError) as failure:
        syncengine.run(path, connection=db.url)

    assert "2 specs" in failure.value.message


def test_several_specs_run_in_order_and_one_that_fails_keeps_none_back(db: Database, tmp_path: Path):
    (tmp_path / "bad.csv").write_text("id,v\nx,a\n", encoding="utf-8")
    (tmp_path / "good.csv").write_text("id,v\n1,a\n", encoding="utf-8")
    documents = [
        f"name: {name}\nsource: {name}.csv\ntarget: t\nconflict_keys: [id]\n" for name in ("bad", "good")
    ]
    (tmp_path / "all.yaml").write_text("---\n".join(documents), encoding="utf-8")

    bad, good = syncengine.run_all(syncengine.load([tmp_path / "all.yaml"]), connection=db.url)

    assert (bad.ok, bad.exit_code, good.ok) == (False, 1, True)
    assert isinstance(bad.error, syncengine.BadRow)
    assert stored(db) == [(1, "a", 7)]


def test_a_report_tells_what_was_done(db: Database):
    db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    rows = [
        {"id": 1, "v": "a"},
        {"id": 2, "v": "x"},
        {"id": 3, "v": "y"},
        {"id": 4, "v": "d"},
        {"id": 4, "v": "d"},
    ]

    report = syncengine.run({**SPEC, "where": "target.v <> 'c'"}, source=rows, connection=db.url)

    assert (report.rows_read, report.inserted, report.updated, report.unchanged, report.skipped) == (
        5,
        1,
        1,
        1,
        1,
    )
    assert (report.duplicates, report.quarantined, report.deleted) == (1, 0, 0)
    assert (report.name, report.mode, report.ok, report.error, report.exit_code) == (
        "t",
        "upsert",
        True,
        None,
        0,
    )
    assert report.target == "public.t"
    assert 0 < report.seconds < 60
    assert pickle.loads(pickle.dumps(report)) == report


def test_a_reports_bytes_are_those_of_the_file(db: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("id,v\n1,a\n", encoding="utf-8")

    assert (
        syncengine.run(a_spec(tmp_path, target="t", conflict_keys=["id"]), connection=db.url).bytes_read == 9
    )


def test_a_plan_explains_itself_and_writes_nothing(db: Database):
    rows = [{"id": 1, "v": "a"}]
    before = contents(db)

    plan = syncengine.plan({**SPEC, "execution": {"method": "staged"}}, source=rows, connection=db.url)
    again = syncengine.plan({**SPEC, "execution": {"method": "staged"}}, source=rows, connection=db.url)

    assert (plan.strategy, plan.mode, plan.target) == ("staged", "upsert", "public.t")
    assert "insert the new rows" in [step.title for step in plan.steps]
    assert "id is covered by t_pkey" in plan.explain()
    assert "INSERT INTO" in plan.explain(sql=True)
    (document,) = json.loads(plan.to_json())["specs"]
    assert document["strategy"] == "staged"
    assert [step["title"] for step in document["steps"]] == [step.title for step in plan.steps]
    assert document["inserted"] is None
    assert (plan.explain(sql=True), plan.to_json()) == (again.explain(sql=True), again.to_json())
    assert contents(db) == before


def test_planning_a_generator_reads_no_more_than_it_needs(db: Database):
    taken: list[int] = []

    def rows() -> Iterator[dict[str, int]]:
        for number in range(10_000):
            taken.append(number)
            yield {"id": number}

    syncengine.plan(SPEC, source=rows(), connection=db.url)

    assert len(taken) <= 1001


def test_events_tell_the_run_in_order(db: Database):
    seen: list[Any] = []

    report = syncengine.run(
        {**SPEC, "execution": {"method": "staged"}},
        source=[{"id": 1, "v": "a"}],
        connection=db.url,
        emit=seen.append,
    )

    names = [type(event).__name__ for event in seen]
    assert (names[0], names[-1]) == ("SpecStarted", "SpecFinished")
    assert [event.unit for event in seen if type(event).__name__ == "UnitCommitted"][-2:] == [
        "publish",
        "tidy",
    ]
    assert [event.rows for event in seen if type(event).__name__ == "RowsRead"] == [1]
    assert syncengine.Report.of(seen) == report


def test_an_emit_that_raises_ends_the_run_and_the_table_is_as_it_was(db: Database):
    def emit(event: object) -> None:
        if type(event).__name__ == "Classified":
            raise RuntimeError("my own bug")

    with pytest.raises(RuntimeError, match="my own bug"):
        syncengine.run(SPEC, source=[{"id": 1, "v": "a"}], connection=db.url, emit=emit)

    assert stored(db) == []
    assert [name for name in contents(db) if "stage" in name] == []


FAILURES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "invalid-spec": ({"conflict_keys": ["nope"]}, [{"id": 1}], "invalid-spec"),
    "several-problems": (
        {"conflict_keys": ["id"], "update_columns": ["x", "y"]},
        [{"id": 1}],
        "invalid-spec",
    ),
    "no-arbiter": ({"conflict_keys": ["v"]}, [{"id": 1, "v": "a"}], "no-arbiter-index"),
    "bad-row": ({"conflict_keys": ["id"]}, [{"id": 1}, {"id": "x"}], "bad-row"),
    "duplicates": ({"conflict_keys": ["id"]}, [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}], "duplicate-keys"),
    "null-keys": ({"conflict_keys": ["id"]}, [{"id": None, "v": "a"}], "null-keys"),
    "not-available": ({"conflict_keys": ["id"], "keep_before_images": True}, [{"id": 1}], "not-available"),
    "strategy": ({"conflict_keys": ["id"], "execution": {"method": "copy"}}, [{"id": 1}], "no-strategy-fits"),
}


@pytest.mark.parametrize(("spec", "rows", "code"), FAILURES.values(), ids=FAILURES)
def test_errors_say_what_where_and_how_to_mend_it_and_travel(
    db: Database, spec: dict[str, Any], rows: Any, code: str
):
    error = refused(db, rows, **spec)

    for each in error.each():
        assert (each.code, bool(each.message)) == (code, True)
        assert each.hint
        assert each.location is not None
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.exit_code) == (type(error), str(error), error.exit_code)
    assert (copy.code, copy.message, copy.detail, copy.hint, copy.location) == (
        error.code,
        error.message,
        error.detail,
        error.hint,
        error.location,
    )
    assert stored(db) == []


@pytest.mark.parametrize(
    "source", ["rows.csv", b"x", {"id": 1}, 5, object()], ids=["text", "bytes", "one-row", "number", "object"]
)
def test_what_is_no_source_is_refused(db: Database, source: Any):
    error = refused(db, source, conflict_keys=["id"])

    assert (type(error), error.exit_code) == (syncengine.OptionError, 3)


def test_a_wrong_spec_type_is_refused():
    with pytest.raises((syncengine.OptionError, TypeError)):
        syncengine.run(5)  # type: ignore[arg-type]  # that is the point


def test_passwords_never_come_out(db: Database):
    user, _, rest = db.url.partition("@")
    with pytest.raises(syncengine.ConnectionFailed) as failure:
        syncengine.run(SPEC, source=[{"id": 1}], connection=f"{user.rpartition(':')[0]}:geh3im!pass@{rest}")

    assert "geh3im" not in str(failure.value)


# The event loop.
async def arows(count: int, fail: Exception | None = None) -> AsyncIterator[dict[str, object]]:
    for number in range(count):
        if number % 100 == 0:
            await asyncio.sleep(0)
        yield {"id": number, "v": "a"}
    if fail is not None:
        raise fail


def test_an_async_generator_is_a_source(db: Database):
    report = asyncio.run(syncengine.arun(SPEC, source=arows(2500), connection=db.url))

    assert counts(report) == {"inserted": 2500}
    assert db.one("SELECT count(*) FROM t") == 2500


def test_arun_takes_ordinary_sources_as_well(db: Database):
    report = asyncio.run(syncengine.arun(SPEC, source=[{"id": 1, "v": "a"}], connection=db.url))

    assert counts(report) == {"inserted": 1}


def test_run_refuses_an_async_generator_and_names_arun(db: Database):
    error = refused(db, arows(1), conflict_keys=["id"])

    assert (type(error), "arun" in str(error)) == (syncengine.OptionError, True)


def test_an_async_generator_that_raises_leaves_the_table_as_it_was(db: Database):
    with pytest.raises(syncengine.SourceError) as failure:
        asyncio.run(syncengine.arun(SPEC, source=arows(2000, ValueError("gone")), connection=db.url))

    assert "ValueError after row 2000" in failure.value.message
    assert stored(db) == []


def test_arun_does_not_block_the_event_loop(db: Database):
    longest = 0.0

    async def main() -> syncengine.Report:
        async def tick() -> None:
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - before)

        ticking = asyncio.create_task(tick())
        report = await syncengine.arun(SPEC, source=slow(), connection=db.url)
        ticking.cancel()
        return report

    def slow() -> Iterator[dict[str, int]]:
        for number in range(3):
            time.sleep(0.3)
            yield {"id": number}

    report = asyncio.run(main())

    assert counts(report) == {"inserted": 3}
    assert longest < 0.25


def test_runs_at_once_in_one_loop_do_not_meet(db: Database):
    db.execute("CREATE TABLE u (id int PRIMARY KEY, v text)")

    async def both() -> list[syncengine.Report]:
        other = {**SPEC, "name": "u", "target": "u"}
        return list(
            await asyncio.gather(
                syncengine.arun(SPEC, source=arows(1500), connection=db.url),
                syncengine.arun(other, source=arows(1500), connection=db.url),
            )
        )

    assert [report.inserted for report in asyncio.run(both())] == [1500, 1500]


# Memory.
MEASURE = """
import resource, sys
import syncengine

def rows(count):
    for number in range(count):
        yield {"id": number, "v": "value of row %d" % number, "n": number % 7}

spec = {"name": "t", "target": "t", "conflict_keys": ["id"]}
sizes = []
for count in (30_000, 300_000):
    report = syncengine.run(spec, source=rows(count), connection=sys.argv[1])
    sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(report.rows_read, (sizes[1] - sizes[0]) // 1024)
"""


def test_a_long_generator_runs_in_bounded_memory(newdb: Database):
    newdb.execute(TABLE)

    done = subprocess.run(
        [sys.executable, "-c", MEASURE, newdb.url],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=True,
    )

    rows, grown = map(int, done.stdout.split())
    assert rows == 300_000
    assert grown < 40
    assert newdb.one("SELECT count(*) FROM t") == 300_000


def test_the_second_run_of_a_generator_writes_nothing(db: Database):
    spec = {"conflict_keys": ["id"]}
    sync(db, ({"id": n, "v": "a"} for n in range(2000)), **spec)
    before = places(db)

    assert counts(sync(db, ({"id": n, "v": "a"} for n in range(2000)), **spec)) == {"unchanged": 2000}
    assert places(db) == before


def test_limits_are_approved_and_contents_published_again_from_python(db: Database):
    db.execute("CREATE TABLE counted (id int PRIMARY KEY, n int); INSERT INTO counted VALUES (1, 1), (2, 2)")
    mirror = {
        "name": "m",
        "target": "counted",
        "mode": "mirror",
        "conflict_keys": ["id"],
        "limits": {"max_deletes": 0},
    }
    sums = {"name": "s", "target": "counted", "conflict_keys": ["id"], "update_columns": {"n": "sum"}}

    report = syncengine.run(
        mirror, source=[{"id": 1, "n": 1}], connection=db.url, approve={"max_deletes": "50%"}
    )
    assert report.deleted == 1
    for again, n in ((False, 3), (False, 3), (True, 5)):
        syncengine.run(sums, source=[{"id": 1, "n": 2}], connection=db.url, again=again)
        assert db.one("SELECT n FROM counted") == n
    with pytest.raises(syncengine.OptionError, match="approves no limit"):
        syncengine.run(mirror, source=[], connection=db.url, approve={"most_deletes": 1})
