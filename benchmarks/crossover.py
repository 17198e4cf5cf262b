"""Where one way of doing the same overtakes another: the figures that the planner's choices rest on.

Measured in this process, with everything imported: what differs is small beside the start of a program.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml
from psycopg import Connection

import syncengine
from benchmarks.cache import Cache
from benchmarks.cases import Case
from benchmarks.files import data_file
from benchmarks.results import Crossing
from benchmarks.rows import Delta
from benchmarks.server import Server, copy_in
from benchmarks.shapes import NARROW, TARGET
from benchmarks.start import template_of
from benchmarks.trial import scratch
from syncengine.planner import DEFAULT_SESSION
from syncengine.sql.publish import ALONG_INDEXES, Settings

REPEAT = 3
STORED = 100_000
LARGE = 1_000_000
UPSERTED = (10, 100, 1_000, 10_000, 100_000)
INSERTED = (1_000, 10_000, 100_000, 500_000)
JOINED = (1_000, 10_000, 50_000, 100_000, 250_000)
MIXED = (0, 100_000, 200_000, 500_000, LARGE)
JOIN = f"SELECT count(*) FROM stage AS s JOIN {TARGET} AS t USING (id) WHERE t.updated_at IS DISTINCT FROM s.updated_at"
JOIN_METHODS = {
    "the server's choice": (),
    "index look-ups": ("enable_hashjoin", "enable_mergejoin"),
    "hash join": ("enable_nestloop", "enable_mergejoin"),
}
# What classifying does with rows most of which are as they were.
KEEP = (
    "CREATE TEMPORARY TABLE changes ON COMMIT DROP AS"
    f" SELECT s.*, t.ctid AS tid FROM stage AS s LEFT JOIN {TARGET} AS t USING (id)"
    " WHERE ROW(s.*) IS DISTINCT FROM ROW(t.*)"
)
ORDERS: Mapping[str, tuple[str, Settings]] = {
    "in any order": ("", ()),
    "in key order": (" ORDER BY id", ALONG_INDEXES),
}

Ways = Mapping[str, Callable[[], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossovers:
    """Measures one question after the other."""

    server: Server
    cache: Cache
    session: str

    def all(self) -> Iterator[Crossing]:
        yield from self.rows_or_staged()
        yield from self.copy_or_staged()
        yield from self.join_methods()
        yield from self.join_orders()

    def rows_or_staged(self) -> Iterator[Crossing]:
        """Upserts of more and more rows, half of them changed, which a program has in a list."""
        for size in UPSERTED:
            case = _upsert(STORED, size)
            with self._file(case).open(encoding="utf-8", newline="") as file:
                rows = [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]
            ways = {method: self._run(case, method, rows) for method in ("rows", "staged")}
            yield self._crossing(f"upsert into {STORED:,} rows", size, ways)

    def copy_or_staged(self) -> Iterator[Crossing]:
        """Inserts of larger and larger files into an empty table."""
        for size in INSERTED:
            case = Case(name="crossover", title="", rows=size, mode="insert")
            ways = {method: self._run(case, method) for method in ("copy", "staged")}
            yield self._crossing("insert into an empty table", size, ways)

    def join_methods(self) -> Iterator[Crossing]:
        """Joins of a larger and larger staging table with a large one, as classifying does; its keys are analyzed."""
        for size in JOINED:
            case = _upsert(LARGE, size)
            self.server.reset(template_of(case, self.server, self.cache))
            with self.server.connect() as conn:
                conn.execute(f"CREATE UNLOGGED TABLE stage (LIKE {TARGET})".encode())
                copy_in(conn, "stage", self._file(case))
                conn.execute("ANALYZE stage (id)")
                ways = {name: _join(conn, off) for name, off in JOIN_METHODS.items()}
                yield self._crossing(f"join with {LARGE:,} rows", size, ways)

    def join_orders(self) -> Iterator[Crossing]:
        """Joins of a table's new contents with it, while more and more rows of either lie anywhere."""
        case = Case(name="crossover", title="", rows=LARGE, delta=Delta(changed=0.01))
        for mixed, what in ((TARGET, "stored rows"), ("stage", "staged rows")):
            for size in MIXED:
                self.server.reset(template_of(case, self.server, self.cache))
                with self.server.connect() as conn:
                    conn.execute(f"CREATE UNLOGGED TABLE stage (LIKE {TARGET})".encode())
                    copy_in(conn, "stage", self._file(case))
                    _mix(conn, mixed, size)
                    conn.execute("CREATE UNIQUE INDEX ON stage (id)")
                    conn.execute(f"VACUUM (FREEZE, ANALYZE) {TARGET}".encode())
                    conn.execute("ANALYZE stage (id)")
                    ways = {name: _keep(conn, *how) for name, how in ORDERS.items()}
                    yield self._crossing(
                        f"join of {LARGE:,} rows with as many; {what} that lie anywhere", size, ways
                    )

    def _file(self, case: Case) -> Path:
        return data_file(self.cache.data, case.shape, case.rows, case.delta)

    def _run(self, case: Case, method: str, rows: Sequence[object] | None = None) -> Callable[[], float]:
        spec: dict[str, object] = {"name": "crossover", "target": TARGET, "execution": {"method": method}}
        if case.mode == "insert":
            spec["mode"] = "insert"
        else:
            spec["conflict_keys"] = [NARROW.names[0]]

        def run() -> float:
            self.server.reset(template_of(case, self.server, self.cache))
            if rows is not None:
                return _timed(lambda: syncengine.run(spec, source=rows, connection=self.server.url()))
            with chdir(self.cache.folder), scratch(self.cache.folder) as folder:
                path = folder / "spec.yaml"
                source = f"../{self._file(case).relative_to(self.cache.folder)}"
                path.write_text(yaml.safe_dump({**spec, "source": source}))
                return _timed(lambda: syncengine.run(str(path), connection=self.server.url()))

        return run

    def _crossing(self, question: str, size: int, ways: Ways) -> Crossing:
        """Measure all ways in alternation, once before to warm up."""
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(REPEAT + 1):
            for name in list(ways)[:: -1 if turn % 2 else 1]:
                seconds[name].append(ways[name]())
        medians = {name: round(median(all_[1:]), 4) for name, all_ in seconds.items()}
        return Crossing(session=self.session, question=question, size=size, seconds=medians)


def _upsert(stored: int, size: int) -> Case:
    return Case(name="crossover", title="", rows=stored, delta=Delta(changed=0.5, every=stored // size))


def _join(conn: Connection, off: Sequence[str]) -> Callable[[], float]:
    def join() -> float:
        with conn.transaction():
            conn.execute("SET LOCAL work_mem = '256MB'")
            for name in off:
                conn.execute(f"SET LOCAL {name} = off".encode())
            # Unprepared: a prepared statement would keep the plan of the settings before.
            return _timed(lambda: conn.execute(JOIN.encode(), prepare=False))

    return join


def _mix(conn: Connection, table: str, size: int) -> None:
    """Put so many rows anywhere, among others that are in the order of their keys."""
    place = f"CASE WHEN abs(hashint8(id)) % {LARGE} < {size} THEN abs(hashint8(-id)) % {LARGE} ELSE id END"
    conn.execute(f"CREATE TABLE mixed AS SELECT * FROM {table} ORDER BY {place}".encode())
    conn.execute(f"TRUNCATE {table}".encode())
    conn.execute(f"INSERT INTO {table} SELECT * FROM mixed".encode())


def _keep(conn: Connection, order: str, settings: Settings) -> Callable[[], float]:
    def keep() -> float:
        with conn.transaction():
            for name, value in (*DEFAULT_SESSION, *settings):
                conn.execute("SELECT set_config(%s, %s, true)", [name, value])
            return _timed(lambda: conn.execute(f"{KEEP}{order}".encode(), prepare=False))

    return keep


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
