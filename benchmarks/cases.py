"""The cases: what is loaded into which table, who competes, and how often."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.rows import BASE, Delta
from benchmarks.shapes import NARROW, Shape

Mode = Literal["insert", "upsert", "mirror"]

NEWER = "target.updated_at < excluded.updated_at"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One job.  The table starts with the rows 1 to `rows`, or empty for `insert`; a source with `delta` comes in.

    `mode` is None where nothing is loaded.  `guard` is what a stored row must meet to be updated.
    Times are compared with those of `baseline`, which is among `contenders`.
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

    def scaled(self, rows: int) -> Case:
        """Return the case with another number of rows."""
        return replace(self, rows=rows)


SYNC_TOOLS: tuple[str, ...] = ()
LIBRARIES = (
    "orm", "insert-list", "executemany", "asyncpg-copy", "psycopg-write-row", "psycopg-copy"
)  # fmt: skip

CASES = (
    Case(
        name="insert",
        title="Insert into an empty table with a primary key",
        mode="insert",
        contenders=("psql", "syncengine", "syncengine-2-workers", *SYNC_TOOLS),
    ),
    Case(
        name="upsert-1",
        title="Upsert, 1 % changed",
        delta=Delta(changed=0.01),
        contenders=("psql", "psql-merge", "syncengine", *SYNC_TOOLS),
    ),
    Case(name="upsert-0", title="Upsert, nothing changed"),
    Case(name="upsert-50", title="Upsert, 50 % changed", delta=Delta(changed=0.5)),
    Case(name="upsert-100", title="Upsert, everything changed", delta=Delta(changed=1.0)),
    Case(
        name="mirror",
        title="Mirror, 1 % changed, 1 % gone",
        mode="mirror",
        delta=Delta(changed=0.01, gone=0.01),
    ),
    Case(
        name="guard",
        title="Upsert, everything changed, half of it older than what is stored",
        delta=Delta(changed=1.0, stale=0.5),
        guard=NEWER,
    ),
    Case(
        name="into-5m",
        title="Upsert of 10 000 rows, half of them changed, into 5 million",
        rows=5 * MILLION,
        delta=Delta(changed=0.5, every=500),
    ),
)


def find(name: str) -> Case | None:
    """Return the case of that name."""
    return next((case for case in CASES if case.name == name), None)
