"""Carry a case out: each contender in turn, each from a fresh copy of the same state, each table checked."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import contenders
from benchmarks.cache import Cache
from benchmarks.cases import Case
from benchmarks.contenders import Contender, Job
from benchmarks.content import Content, content, expected
from benchmarks.files import data_file, lacking
from benchmarks.measure import Measure, run
from benchmarks.results import Result, Skipped
from benchmarks.rows import BASE
from benchmarks.server import TRIAL, Server
from benchmarks.start import template_of
from syncengine import embedded

SECONDS_LIMIT = 900.0
LOG_CHARACTERS = 600
# PostgreSQL's counts of rows arrive when a session ends, a moment after its client has gone.
STATISTICS_SECONDS = 0.3

Tell = Callable[[Result | Skipped], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where cases are carried out; `tell` is called with each result as it is there.

    `states` is a folder for what contenders keep from one run to the next.
    """

    server: Server
    cache: Cache
    states: Path
    session: str
    tell: Tell

    def carry_out(self, case: Case, only: Sequence[str] = ()) -> None:
        """Run all contenders as often as the case says, in an order that is turned round each time."""
        taking_part = [one for one in self._entrants(case) if not only or one.name in only]
        start = template_of(case, self.server, self.cache)
        wanted = self._expected(case, start)
        failed: set[str] = set()
        for turn in range(case.repeat):
            for contender in taking_part[:: -1 if turn % 2 else 1]:
                if contender.name not in failed:
                    result = self._one(case, contender, start, turn, wanted)
                    self.tell(result)
                    if result.error:
                        failed.add(contender.name)

    def _entrants(self, case: Case) -> Iterator[Contender]:
        for name in case.contenders:
            contender = contenders.ALL[name]
            form = contender.form or case.form
            reason = contender.refuses(case) or contender.missing(self.cache) or lacking(form)
            if reason is None:
                yield contender
            else:
                self.tell(Skipped(session=self.session, case=case.name, contender=name, reason=reason))

    def _expected(self, case: Case, start: str) -> Content | None:
        if case.mode is None:
            return None
        source = data_file(self.cache.data, case.shape, case.rows, case.delta)
        self.server.reset(start)
        with self.server.connect() as conn:
            return expected(conn, case, source)

    def _settled(self, case: Case, contender: Contender, start: str) -> str:
        """Return the template of the contender's own, where it does not start from what the others do."""
        if contender.settle is None:
            return start
        name = f"{start}_{contender.name}"
        with self.server.making(name, start) as database:
            if database is not None:
                base = data_file(self.cache.data, case.shape, case.rows, BASE)
                state = self._state(contender)
                contender.settle(self._job(case, base, database, state, state))
        return name

    def _one(self, case: Case, contender: Contender, start: str, turn: int, wanted: Content | None) -> Result:
        form = contender.form or case.form
        file = data_file(self.cache.data, case.shape, case.rows, case.delta, form)
        self.server.reset(self._settled(case, contender, start))
        with scratch(self.cache.folder) as folder:
            job = self._job(case, file, TRIAL, folder, self._state(contender))
            contender.prepare(job)
            command = contender.command(job)
            log = folder / "log"
            self.server.checkpoint()
            wal = self.server.wal()
            measure = run(command, self.cache.folder, log, SECONDS_LIMIT)
            wal = self.server.wal() - wal
            said = log.read_text(errors="replace")[-LOG_CHARACTERS:]
        return self._judged(case, contender, turn, measure, wal, wanted, said)

    def _job(self, case: Case, file: Path, database: str, folder: Path, state: Path) -> Job:
        url = self.server.url(database)
        return Job(
            case=case, file=file, url=url, folder=folder, cache=self.cache, psql=embedded.psql(), state=state
        )

    def _state(self, contender: Contender) -> Path:
        folder = self.states / contender.name
        folder.mkdir(exist_ok=True)
        return folder

    def _judged(
        self,
        case: Case,
        contender: Contender,
        turn: int,
        measure: Measure,
        wal: int,
        wanted: Content | None,
        said: str,
    ) -> Result:
        """Look at what the process has left."""
        error = None if measure.code == 0 else f"exit code {measure.code}: {said.strip()}"
        counts = [0, 0, 0, 0]
        wrong = None
        if error is None and contender.loads and wanted is not None:
            with self.server.connect() as conn:
                counts = _counts(conn, contender.table)
                wrong = _difference(conn, case, contender.table, wanted)
        dead, inserted, updated, deleted = counts
        return Result(
            session=self.session,
            case=case.name,
            rows=case.rows,
            source_rows=case.rows // case.delta.every,
            contender=contender.name,
            turn=turn,
            seconds=round(measure.seconds, 4),
            cpu=round(measure.cpu, 3),
            memory=measure.memory,
            wal=wal,
            dead=dead,
            inserted=inserted,
            updated=updated,
            deleted=deleted,
            wrong=wrong,
            error=error,
        )


@contextmanager
def scratch(within: Path) -> Iterator[Path]:
    """Make a folder, which is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=within))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _counts(conn: psycopg.Connection, table: str) -> list[int]:
    """Return how many dead rows there are, and how many were inserted, updated and deleted."""
    time.sleep(STATISTICS_SECONDS)
    query = "SELECT n_dead_tup, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relid = to_regclass(%s)"
    row = conn.execute(query, (table,)).fetchone()
    return list(row or (0, 0, 0, 0))


def _difference(conn: psycopg.Connection, case: Case, table: str, wanted: Content) -> str | None:
    try:
        found = content(conn, case.shape, table)
    except psycopg.Error as error:
        return f"the table can't be compared: {error}".strip()
    if found["rows"] != wanted["rows"]:
        return f"{found['rows']:,} rows, {wanted['rows']:,} expected"
    different = [name for name in wanted if found[name] != wanted[name]]
    return f"other values in {', '.join(different)}" if different else None
