"""Every mode by every strategy leaves the rows and the books that the reference model says."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import syncengine
from syncengine import registry
from syncengine.values import replace
from tests import servers
from tests.contracts.reference import (
    COLUMNS,
    Case,
    Guard,
    Outcome,
    Refused,
    Row,
    Scope,
    Updates,
    expected,
)

pytestmark = pytest.mark.every_server
EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FEWER = settings(EXAMPLES, max_examples=8)  # on the servers between the newest and the oldest
ENDS = (int(servers.VERSIONS[0]), int(servers.VERSIONS[-1]))

KEY_A = st.sampled_from(["1", "2", "3"])
KEY_B = st.sampled_from(["x", "y", None])
VALUE = st.sampled_from(["", "p", "q", 'p"q,\n', None])
VERSION = st.sampled_from(["1", "2", "3", None])
NUMBER = st.sampled_from(["1.0", "1.00", "-7", None])
ROW = st.tuples(KEY_A, KEY_B, VALUE, VERSION, NUMBER)


def _less(one: object, other: object) -> bool | None:
    return None if one is None or other is None else int(str(one)) < int(str(other))


GUARDS = [
    None,
    Guard(sql="target.ver < excluded.ver", holds=lambda old, new: _less(old["ver"], new["ver"])),
    Guard(sql="excluded.v IS NOT NULL", holds=lambda old, new: new["v"] is not None),
    Guard(
        sql="target.v = 'p' OR excluded.n > 0", holds=lambda old, new: old["v"] == "p" or _positive(new["n"])
    ),
]


def _positive(number: object) -> bool | None:
    return None if number is None else float(str(number)) > 0


UPDATES = [
    Updates(items=["*"], new=lambda old, new: {name: new[name] for name in ("v", "ver", "n")}),
    Updates(items=["v"], new=lambda old, new: {"v": new["v"]}),
    Updates(items=["*", {"ver": "keep"}], new=lambda old, new: {"v": new["v"], "n": new["n"]}),
    Updates(
        items=["*", {"v": "coalesce(excluded.v, target.v)"}],
        new=lambda old, new: {
            "v": new["v"] if new["v"] is not None else old["v"],
            "ver": new["ver"],
            "n": new["n"],
        },
    ),
    Updates(items=[], new=None),
]


UPDATING = ("upsert", "update", "mirror")
SCOPES = [
    None,
    Scope(sql="target.a > 1", holds=lambda old: int(str(old["a"])) > 1),
    Scope(sql="target.v = 'p'", holds=lambda old: None if old["v"] is None else old["v"] == "p"),
]


@st.composite
def cases(draw: st.DrawFn, mode: str) -> Case:
    null_keys = draw(st.sampled_from(["error", "insert", "match"]))
    stored = draw(st.lists(ROW, max_size=5, unique_by=lambda row: (row[0], row[1])))
    if null_keys != "match":
        stored += draw(st.lists(ROW.filter(lambda row: row[1] is None), max_size=2))
    updates = draw(st.sampled_from(UPDATES)) if mode in UPDATING else UPDATES[0]
    guards = GUARDS if mode in UPDATING and updates.new is not None else [None]
    return Case(
        mode=mode,
        stored=stored,
        source=draw(st.lists(ROW, max_size=8)),
        updates=updates,
        guard=draw(st.sampled_from(guards)),
        duplicates=draw(st.sampled_from(["error", "first", "last"])),
        null_keys=null_keys,
        touch=draw(st.booleans()) if mode in UPDATING and updates.new else False,
        scope=draw(st.sampled_from(SCOPES)) if mode == "mirror" else None,
    )


def spec_of(case: Case, source: object, strategy: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": "case",
        "source": source,
        "target": "t",
        "mode": case.mode,
        "conflict_keys": ["a", "b"],
        "duplicates": case.duplicates,
        "null_keys": case.null_keys,
        "execution": {"method": strategy},
    }
    if case.mode in ("mirror", "replace"):
        spec |= {"limits": {"min_rows": 0, "max_deletes": "100%"}}
    if case.scope is not None:
        spec |= {"delete": {"scope": case.scope.sql}}
    if case.mode in UPDATING:
        spec |= {"update_columns": case.updates.items, "touch_unchanged": case.touch}
        spec |= {"where": case.guard.sql} if case.guard else {}
    if not case.keyed:
        kept = ("name", "source", "target", "mode", "execution", "limits")
        spec = {name: spec[name] for name in kept if name in spec}
    return {key: value for key, value in spec.items() if value is not None}


class Bench:
    """A table to try cases on, with and without an index that takes NULLs for equal."""

    def __init__(self, db: servers.Database) -> None:
        self.url = db.url
        self.conn = psycopg.connect(db.direct, autocommit=True)
        self.examples = EXAMPLES if self.conn.info.server_version // 10000 in ENDS else FEWER
        self.nulls_may_match = self.conn.info.server_version >= 150000

    def fill(self, case: Case) -> list[tuple[Any, ...]]:
        nulls = "NULLS NOT DISTINCT" if case.null_keys == "match" else ""
        # A table of its own is one that nothing was published to, which counts for updates that accumulate.
        self.conn.execute(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (a int, b text, v text, ver int, n numeric)"
        )
        self.conn.execute(f"CREATE UNIQUE INDEX t_key ON t (a, b) {nulls}")
        with self.conn.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s, %s, %s, %s)", case.stored)
        # The server knows then whether the rows lie in the order of their keys, by which changes are found otherwise.
        self.conn.execute("ANALYZE t")
        return self.places()

    def places(self) -> list[tuple[Any, ...]]:
        """Return the rows with their place: a row that was written again has another one."""
        return self.conn.execute("SELECT ctid::text, a::text, b, v, ver::text, n::text FROM t").fetchall()

    def rows(self) -> Counter[Row]:
        return Counter(tuple(row[1:]) for row in self.places())


@pytest.fixture
def bench(db: Any) -> Bench:
    return Bench(db)


def judge(bench: Bench, case: Case, source: object, strategy: str, rows: object = None) -> None:
    """Run a case and hold table, books and untouched rows against the model."""
    if not bench.nulls_may_match and case.null_keys == "match":
        case = replace(case, null_keys="error")
    before = bench.fill(case)
    spec = spec_of(case, source, strategy)
    try:
        outcome: Outcome | None = expected(case)
        code = ""
    except Refused as refused:
        outcome, code = None, str(refused)
    preview_agrees(bench, spec, rows, outcome, code, before)
    if outcome is None:
        with pytest.raises(syncengine.SyncError) as failure:
            syncengine.run(spec, source=rows, connection=bench.url)
        assert failure.value.code == code
        assert bench.places() == before
        return
    report = syncengine.run(spec, source=rows, connection=bench.url)
    assert {name: getattr(report, name) for name in outcome.counts} == outcome.counts
    assert bench.rows() == Counter(outcome.rows)
    written = report.inserted + report.updated
    assert len(set(bench.places()) - set(before)) == written


def preview_agrees(
    bench: Bench,
    spec: dict[str, Any],
    rows: object,
    outcome: Outcome | None,
    code: str,
    before: list[Any],
) -> None:
    """Hold the numbers of `plan --diff` against the model; it fails as the run does, and changes nothing."""
    if outcome is not None:
        preview = syncengine.plan(spec, source=rows, connection=bench.url, diff=True).preview
        assert preview is not None
        assert {name: getattr(preview.counts, name) for name in outcome.counts} == outcome.counts
    elif code != "database-error":  # the database's word is heard by writing alone
        with pytest.raises(syncengine.SyncError) as failure:
            syncengine.plan(spec, source=rows, connection=bench.url, diff=True)
        assert failure.value.code == code
    assert bench.places() == before


def fits(mode: str, strategy: str) -> bool:
    """Tell whether a strategy takes a mode with conflict keys; copy takes inserts without, see the last test."""
    return strategy != "copy"


MODES = [mode for mode in registry.names("modes") if mode != "history"]
PAIRS = [
    pytest.param(mode, strategy, id=f"{mode}-by-{strategy}")
    for mode in MODES
    for strategy in registry.names("strategies")
    if fits(mode, strategy)
]


@pytest.mark.parametrize(("mode", "strategy"), PAIRS)
def test_every_strategy_leaves_the_rows_the_reference_says(mode: str, strategy: str, bench: Bench) -> None:
    @bench.examples
    @given(case=cases(mode))
    def judged(case: Case) -> None:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in case.source]
        judge(bench, case, None, strategy, rows=rows)

    judged()


@pytest.mark.parametrize("mode", MODES)
def test_csv_bytes_leave_the_same_rows(
    mode: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @bench.examples
    @given(case=cases(mode))
    def judged(case: Case) -> None:
        Path("rows.csv").write_text(as_csv(case.source), encoding="utf-8", newline="")
        judge(bench, case, "rows.csv", "staged")

    judged()


def as_csv(rows: list[Row]) -> str:
    """Return rows as CSV in which NULL is nothing and the empty text is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONE, quotechar=None, escapechar=None, lineterminator="\n")
    writer.writerow(COLUMNS)
    lines = [
        ",".join("" if value is None else '"' + str(value).replace('"', '""') + '"' for value in row)
        for row in rows
    ]
    return out.getvalue() + "".join(line + "\n" for line in lines)


@pytest.mark.parametrize("strategy", registry.names("strategies"))
def test_inserts_without_keys_leave_the_rows_the_reference_says(strategy: str, bench: Bench) -> None:
    @bench.examples
    @given(case=cases("insert"))
    def judged(case: Case) -> None:
        case = replace(case, keyed=False)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in case.source]
        judge(bench, case, None, strategy, rows=rows)

    judged()


@pytest.mark.parametrize("strategy", ["rows", "staged"])
def test_replace_without_keys_leaves_the_sources_rows(strategy: str, bench: Bench) -> None:
    @EXAMPLES
    @given(case=cases("replace"))
    def judged(case: Case) -> None:
        case = replace(case, keyed=False)
        if len({row[:2] for row in case.source if None not in row[:2]}) < len(case.source):
            return  # the index refuses them
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in case.source]
        judge(bench, case, None, strategy, rows=rows)

    judged()
