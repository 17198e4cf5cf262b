"""The cases: what is loaded into which table, who competes, and how often."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.rows import BASE, Delta
from benchmarks.shapes import INDEXED, NARROW, WIDE, Shape

Mode = Literal["insert", "upsert", "mirror"]

NEWER = "target.updated_at < excluded.updated_at"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One job.  The table starts with the rows 1 to `rows`, or empty for `insert`; a source with `delta` comes in.

    `mode` is None where nothing is loaded.  `guard` is what a stored row must meet to be updated.  Times are compared
    with those of `baseline`, which is among `contenders`.  `quick` ones are what `make bench` runs; those of
    `growth` are compared with one another.
    """

    name: str
    title: str
    rows: int = MILLION
    mode: Mode | None = "upsert"
    shape: Shape = NARROW
    delta: Delta = BASE
    form: str = "csv"
    guard: str | None = None
    baseline: str = "psql"
    contenders: tuple[str, ...] = ("psql", "syncengine")
    repeat: int = 3
    quick: bool = False
    growth: bool = False


ONE_PERCENT = Delta(changed=0.01)
HALF = Delta(changed=0.5)
SYNC_TOOLS = ("ingestr", "duckdb", "dlt", "sling")
LIBRARIES = ("orm", "insert-list", "executemany", "asyncpg-copy", "psycopg-write-row", "psycopg-copy")
SLOW_PEERS = ("pgloader", "target-postgres")
START = ("python-connect", "psql", "syncengine")

_MAIN = (
    Case(
        name="insert",
        title="Insert into an empty table with a primary key",
        mode="insert",
        contenders=("psql", "syncengine", "syncengine-chunks", *SYNC_TOOLS),
        quick=True,
    ),
    Case(
        name="upsert-1",
        title="Upsert, 1 % changed",
        delta=ONE_PERCENT,
        contenders=("psql", "psql-merge", "syncengine", *SYNC_TOOLS),
        quick=True,
        growth=True,
    ),
    Case(name="upsert-0", title="Upsert, nothing changed", quick=True),
    Case(name="upsert-50", title="Upsert, 50 % changed", delta=HALF, repeat=2),
    Case(name="upsert-100", title="Upsert, everything changed", delta=Delta(changed=1.0), quick=True),
    Case(
        name="mirror",
        title="Mirror, 1 % changed, 1 % gone",
        mode="mirror",
        delta=Delta(changed=0.01, gone=0.01),
        quick=True,
    ),
    Case(
        name="guard",
        title="Upsert with a guard: everything changed, half of it older than what is stored",
        delta=Delta(changed=1.0, stale=0.5),
        guard=NEWER,
        repeat=2,
    ),
)

_FORMATS = (
    Case(name="gzip", title="Upsert from gzip CSV, 1 % changed", delta=ONE_PERCENT, form="csv.gz", repeat=2),
    Case(
        name="jsonl", title="Upsert from JSON lines, 1 % changed", delta=ONE_PERCENT, form="jsonl", repeat=2
    ),
    Case(
        name="parquet",
        title="Upsert from Parquet, 1 % changed",
        delta=ONE_PERCENT,
        form="parquet",
        baseline="syncengine-csv",
        contenders=("psql-csv", "syncengine-csv", "syncengine", "duckdb"),
    ),
)

_TABLES = (
    Case(
        name="into-5m",
        title="Upsert of 10,000 rows, half of them changed, into 5 million",
        rows=5 * MILLION,
        delta=replace(HALF, every=500),
    ),
    Case(
        name="wide",
        title="Upsert into 200 columns, 1 % changed",
        rows=50_000,
        shape=WIDE,
        delta=ONE_PERCENT,
    ),
    Case(
        name="indexed",
        title="Upsert into a table with 6 more indexes and 2 foreign keys, 50 % changed",
        rows=300_000,
        shape=INDEXED,
        delta=HALF,
    ),
)

_GROWTH = (
    Case(
        name="growth-100k",
        title="Upsert of 100,000 rows, 1 % changed",
        rows=100_000,
        delta=ONE_PERCENT,
        growth=True,
    ),
    Case(
        name="growth-10m",
        title="Upsert of 10 million rows, 1 % changed",
        rows=10 * MILLION,
        delta=ONE_PERCENT,
        repeat=1,
        growth=True,
    ),
)

_START = Case(
    name="start-100",
    title="Upsert of 100 rows, half of them changed",
    rows=100,
    delta=HALF,
    baseline="python-connect",
    contenders=START,
    repeat=11,
    quick=True,
)
_SMALL = (
    _START,
    replace(
        _START, name="start-1000", title="Upsert of 1,000 rows, half of them changed", rows=1000, quick=False
    ),
    Case(
        name="help",
        title="Help text",
        rows=100,
        mode=None,
        baseline="python-click",
        contenders=("python-click", "syncengine-help"),
        repeat=11,
        quick=True,
    ),
)

_LIBRARIES = (
    Case(
        name="libraries",
        title="Insert into an empty table: what Python programs and other tools take",
        rows=100_000,
        mode="insert",
        contenders=("psql", "syncengine", *LIBRARIES, *SYNC_TOOLS, *SLOW_PEERS),
        repeat=2,
    ),
)

# Cases that start from the same table stand together: it is made once.
CASES = (*_MAIN, *_FORMATS, *_TABLES, *_GROWTH, *_SMALL, *_LIBRARIES)


def find(name: str) -> Case | None:
    """Return the case of that name."""
    return next((case for case in CASES if case.name == name), None)
