"""Compare `syncengine run` with the same job written by hand for psql, as whole processes in alternation.

    python -m benchmarks.versus_psql [--rows 1000000] [--repeat 3] [--case mirror]

Starts an embedded PostgreSQL of its own in a temporary folder.  After each process the table is compared with the
one that psql makes of the same file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import data
from syncengine import embedded

SPEC = "source: {file}\ntarget: bench.t\nconflict_keys: [id]\n"
# What people write by hand: COPY into staging, then one INSERT … ON CONFLICT.
BY_HAND = """\\set ON_ERROR_STOP on
BEGIN;
CREATE UNLOGGED TABLE bench.stage (LIKE bench.t);
\\copy bench.stage FROM '{file}' WITH (FORMAT csv, HEADER true)
INSERT INTO bench.t AS t SELECT * FROM bench.stage ON CONFLICT (id) DO UPDATE SET {assignments};
{delete}DROP TABLE bench.stage;
COMMIT;
"""
DELETE_BY_HAND = """\
DELETE FROM bench.t AS t WHERE NOT EXISTS (SELECT FROM bench.stage AS s WHERE s.id = t.id);
"""
CHECKSUM = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM bench.t AS t"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file to load into a table that holds another one already, or nothing; `mirror`: what it lacks is deleted."""

    name: str
    before: Path | None
    file: Path
    mirror: bool = False


@dataclass(frozen=True, kw_only=True)
class Measure:
    seconds: float
    wal: int
    dead: int
    checksum: object


class Bench:
    """One server, one folder of data, and how to run a process against it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.conn = psycopg.connect(url, autocommit=True)
        self.conn.execute("CREATE SCHEMA bench")

    def reset(self, case: Case) -> None:
        """Make the table hold what the case starts from, vacuumed."""
        self.conn.execute("DROP TABLE IF EXISTS bench.t")
        self.conn.execute(data.TABLE)
        if case.before is not None:
            statement = "COPY bench.t FROM STDIN (FORMAT csv, HEADER)"
            with case.before.open("rb") as file, self.conn.cursor() as cursor, cursor.copy(statement) as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
            self.conn.execute("VACUUM (FREEZE, ANALYZE) bench.t")
        self.conn.execute("CHECKPOINT")

    def measure(self, case: Case, command: Callable[[Case], list[str]]) -> Measure:
        self.reset(case)
        arguments = command(case)
        wal = self._one("SELECT pg_current_wal_lsn() - '0/0'")
        started = time.perf_counter()
        subprocess.run(
            arguments,
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "DATABASE_URL": self.url},
        )
        seconds = time.perf_counter() - started
        wal = int(self._one("SELECT pg_current_wal_lsn() - '0/0'")) - int(wal)
        time.sleep(1.2)  # statistics arrive within a second
        dead = int(self._one("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'bench.t'::regclass"))
        row = self.conn.execute(CHECKSUM).fetchone()
        return Measure(seconds=seconds, wal=wal, dead=dead, checksum=row)

    def _one(self, query: str) -> int:
        row = self.conn.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def ours(self, case: Case) -> list[str]:
        mode = "mode: mirror\n" if case.mirror else ""
        (self.folder / "spec.yaml").write_text(SPEC.format(file=case.file.name) + mode)
        return [sys.executable, "-m", "syncengine", "run", "spec.yaml", "--quiet"]

    def by_hand(self, case: Case) -> list[str]:
        script = self.folder / "by_hand.sql"
        assignments = ", ".join(f"{name} = excluded.{name}" for name in data.COLUMNS[1:])
        delete = DELETE_BY_HAND if case.mirror else ""
        script.write_text(BY_HAND.format(file=case.file, assignments=assignments, delete=delete))
        return [str(embedded.psql()), "-X", "-q", "-f", str(script), self.url]


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with embedded.acquire(folder) as server:
            yield Bench(server.url, folder)
            embedded.stop(folder)  # and wait: the folder goes next


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--case", default="", help="only cases with this in their name")
    options = parser.parse_args()
    with bench() as one:
        for share in (0, 1, 100):
            data.write(one.folder / f"changed{share}.csv", options.rows, share / 100)
        base, gone = one.folder / "changed0.csv", one.folder / "gone1.csv"
        leave_out(one.folder / "changed1.csv", gone)
        cases = [
            Case(name="first insert", before=None, file=base),
            *(
                Case(name=f"upsert, {share} % changed", before=base, file=one.folder / f"changed{share}.csv")
                for share in (0, 1, 100)
            ),
            Case(name="mirror, 1 % changed, 1 % gone", before=base, file=gone, mirror=True),
        ]
        print(
            f"{options.rows:,} rows, medians of {options.repeat}, psql = COPY to staging + INSERT … ON CONFLICT"
        )
        print(
            "| case | psql s | syncengine s | ratio | WAL MB | dead tuples |\n| --- | --- | --- | --- | --- | --- |"
        )
        for case in (case for case in cases if options.case in case.name):
            print(compare(one, case, options.repeat), flush=True)


def leave_out(file: Path, into: Path) -> None:
    """Write a file without every hundredth of its records; a record with an odd number of quotes goes on."""
    with file.open("rb") as lines, into.open("wb") as kept:
        record, number = b"", 0
        for line in lines:
            record += line
            if record.count(b'"') % 2 == 0:
                kept.write(record if number % 100 != 50 else b"")
                record, number = b"", number + 1


def compare(one: Bench, case: Case, repeat: int) -> str:
    """Return a line of the table; the ratio is the median of the pairs' ratios."""
    pairs = [(one.measure(case, one.by_hand), one.measure(case, one.ours)) for _ in range(repeat)]
    for hand, ours in pairs:
        if hand.checksum != ours.checksum:
            raise SystemExit(f"{case.name}: the tables differ: {hand.checksum} and {ours.checksum}")
    ratio = statistics.median(ours.seconds / hand.seconds for hand, ours in pairs)
    hand_seconds = statistics.median(hand.seconds for hand, _ in pairs)
    our_seconds = statistics.median(ours.seconds for _, ours in pairs)
    hand, ours = pairs[-1]
    wal = f"{hand.wal / 1e6:.0f} → {ours.wal / 1e6:.0f}"
    dead = f"{hand.dead:,} → {ours.dead:,}"
    return f"| {case.name} | {hand_seconds:.2f} | {our_seconds:.2f} | {ratio:.2f} | {wal} | {dead} |"


if __name__ == "__main__":
    main()
