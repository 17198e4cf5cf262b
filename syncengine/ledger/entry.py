"""The entry of one run: who may write, which unfinished run goes on, and how it ended.

A run holds its spec and target by a lease: `runs.renewed_at` is kept fresh by a thread (heartbeat.py), and every
transaction of the run holds an advisory lock besides.  `holder` is the fencing token: a process that lost the lease
finds another one there, and can't write.  docs/guarantees.md tells what that comes to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
from msgspec import Struct
from msgspec.structs import asdict
from psycopg.sql import SQL, Literal

from syncengine.connect import wrap
from syncengine.errors import Locked, SyncError, UnfinishedRun
from syncengine.ledger import orphans
from syncengine.ledger.timing import GRACE, lease_seconds
from syncengine.sql import ledger as sql
from syncengine.values import replace

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from syncengine.errors import Location

Connection = psycopg.Connection["TupleRow"]


class Opening(Struct, frozen=True, kw_only=True):
    """What a run says of itself when it is entered.

    `digest` stands for the spec's meaning, `stamp` for the source as it is, None where that can't be told without
    reading it; an unfinished run goes on only where both are the same.  `layout` stands for the form of staging: rows
    that were staged in another one are of no use.  `repeats`: to start over would write rows
    twice that are committed; `again`: that is meant, where they are.  `same_parts`: the source alone
    decides what is published in which chunk.  `approved` are limits that the call lifted.
    """

    schema: str
    run: str
    spec: str
    target: str
    relation: str
    file: str
    mode: str
    strategy: str
    source: str
    digest: str
    layout: str
    stamp: str | None
    repeats: bool = False
    again: bool = False
    same_parts: bool = True
    approved: str | None = None
    location: Location | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A run that holds its spec and target.  `run` may be an earlier one's, which is then `resumed`.

    `holder` is the process's own token.  `published`: the rows of an `insert` were written by the run that this one
    had to wait for.  `sifted`: what is staged of a resumed run has numbers, for it met a bad row.
    """

    schema: str
    run: str
    holder: str
    relation: str
    resumed: bool = False
    published: bool = False
    sifted: bool = False


@contextmanager
def transaction(connection: Connection, doing: str) -> Iterator[None]:
    """Make the block one READ COMMITTED transaction under the pinned search_path.  Raises SyncError."""
    try:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        with connection.transaction():
            # A process that stands still in here must not keep others from the ledger for longer than its lease.
            idle = Literal(f"{round(lease_seconds() * 1000)}ms")
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            connection.execute(SQL("SET LOCAL idle_in_transaction_session_timeout = {}").format(idle))
            yield
    except psycopg.Error as error:
        raise wrap(error, doing=doing) from error


def ask(connection: Connection, schema: str, statement: str, **values: object) -> list[TupleRow]:
    """Run one of the ledger's statements and return its rows, none where it has none."""
    cursor = connection.execute(sql.of_schema(schema, statement), values)
    return cursor.fetchall() if cursor.description else []


def enter(
    connection: Connection, opening: Opening, *, restart: bool = False, waited_for: str | None = None
) -> Entry:
    """Enter a run, or take up the unfinished one of the same spec and source; drop what dead runs left.

    `waited_for`: the run that was under way when this one was started; what it did is not done once more.
    Raises Locked while another process has the spec and target, UnfinishedRun where an earlier run can neither go on
    nor be started over without writing rows twice.
    """
    with transaction(connection, "entering the run in the ledger"):
        name = f"syncengine spec {opening.spec} into {opening.target}"
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        last = _last(connection, opening)
        if last is not None and last.run == waited_for and last.told and last.has_done(opening):
            return replace(_insert(connection, opening), published=True)
        if last is not None and (last.state == "running" or last.is_untold(opening)):
            _end_dead(connection, opening, last)
            last = _last(connection, opening)  # it may have committed something to the end
        if last is not None and not restart and _goes_on(connection, opening, last):
            return _take_over(connection, opening, last)
        if last is not None and last.unfinished:
            _give_up(connection, opening, last, restart=restart)
        entry = _insert(connection, opening)
    with suppress(SyncError):  # what can't be dropped now, the next run will
        orphans.collect(connection, opening.schema)
    return entry


class _Last(Struct, frozen=True, kw_only=True):
    """The newest run of a spec into a target, as the ledger has it."""

    run: str
    state: str
    told: bool
    holder: str
    digest: str
    stamp: str | None
    relation: int
    strategy: str
    silent: float
    age: float
    gone: bool
    staged: int
    published: int
    arranged: bool

    @property
    def unfinished(self) -> bool:
        return self.state in ("running", "failed", "interrupted")

    def is_of(self, opening: Opening) -> bool:
        """Tell whether the run is one of the same spec and source, carried out in the same way."""
        digest, _, layout = self.digest.partition(":")
        same = digest == opening.digest and opening.stamp is not None and self.stamp == opening.stamp
        # A table that the run has made itself may be filled in another way once it is there.
        alike = self.strategy == opening.strategy
        # Once the parts are cut, nothing else of staging is needed.
        fits = not self.staged or self.arranged or layout == opening.layout
        return same and (self.state == "done" or (alike and fits))

    def is_untold(self, opening: Opening) -> bool:
        """Tell whether the run is done, but nobody knows, so that to do it once more may not be meant."""
        return not self.told and opening.repeats and self._is_done(opening)

    def has_done(self, opening: Opening) -> bool:
        """Tell whether the run has written the rows of an `insert`; a source that adds up is claimed otherwise."""
        return opening.mode == "insert" and self._is_done(opening)

    def _is_done(self, opening: Opening) -> bool:
        return self.state == "done" and not opening.again and self.is_of(opening)

    @property
    def begun(self) -> bool:
        return self.staged + self.published > 0


def _last(connection: Connection, opening: Opening) -> _Last | None:
    names = list(_Last.__struct_fields__)
    rows = ask(connection, opening.schema, sql.LAST_RUN, spec=opening.spec, target=opening.target)
    return _Last(**dict(zip(names, rows[0], strict=True))) if rows else None


def _goes_on(connection: Connection, opening: Opening, last: _Last) -> bool:
    """Tell whether the last run is to be taken up where it stopped.

    One that is done, but whose process was killed before it could say so, has nothing left to do: rows that would be
    written once more by another run are not.
    """
    if not last.is_of(opening):
        return False
    if last.state == "done":
        return last.is_untold(opening)
    if not (last.unfinished and last.begun):
        return False
    if not orphans.intact(connection, opening.schema, last.run):
        # A crash of the server emptied staging.  The same source makes the same parts once more, unless they hang on
        # other tables or on the time.
        if last.published and not opening.same_parts:
            return False
        orphans.drop(connection, opening.schema, last.run)
        ask(connection, opening.schema, sql.FORGET_CHUNKS, run=last.run, phases=["stage", "arrange"])
        return last.published > 0
    return True


def _end_dead(connection: Connection, opening: Opening, last: _Last) -> None:
    """See that a running run is dead, and end the transactions that it may have left open.  Raises Locked."""
    if not (last.silent > lease_seconds() or (last.gone and last.silent > GRACE)):
        raise _locked(opening, last)
    for (pid,) in connection.execute(sql.backends_of(last.run)).fetchall():
        try:
            with connection.transaction():
                connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        except psycopg.errors.InsufficientPrivilege as error:
            raise _locked(opening, last, detail=f"its transaction is still open, in process {pid}") from error
    if connection.execute(sql.backends_of(last.run)).fetchone() is not None:
        raise _locked(opening, last)
    # Each of its transactions holds its row: one that wakes up now waits, and then finds that it was taken over.
    try:
        with connection.transaction():
            ask(connection, opening.schema, sql.LOCK_RUN, run=last.run)
    except psycopg.errors.LockNotAvailable as error:
        raise _locked(opening, last) from error


def _locked(opening: Opening, last: _Last, detail: str = "") -> Locked:
    since = f"it started {_ago(last.age)} and was last heard of {_ago(last.silent)}"
    error = Locked(
        f"another run of `{opening.spec}` into {opening.target} is under way: {last.run}",
        detail=f"{since}; {detail}" if detail else since,
        hint="wait until it is done, or let this one wait: --wait",
        location=opening.location,
    )
    error.run = last.run
    return error


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


def _take_over(connection: Connection, opening: Opening, last: _Last) -> Entry:
    entry = Entry(
        schema=opening.schema,
        run=last.run,
        holder=opening.run,
        relation=opening.relation,
        resumed=True,
        sifted=orphans.is_sifted(connection, opening.schema, last.run),
    )
    pid = own_pid(connection)
    ask(connection, opening.schema, sql.TAKE_OVER, run=last.run, holder=opening.run, pid=pid)
    return entry


def _give_up(connection: Connection, opening: Opening, last: _Last, *, restart: bool) -> None:
    """Leave an unfinished run at what it did.  Raises UnfinishedRun where that would write rows twice."""
    if last.published and opening.repeats and not restart:
        raise UnfinishedRun(
            f"the last run of `{opening.spec}` into {opening.target} stopped after {last.published} committed chunks",
            detail=f"run {last.run}; its source or its spec was another one, so that it can't go on,"
            " and starting over would write those rows twice",
            hint="put source and spec back as they were and run it again, or start over all the same: --restart",
            location=opening.location,
        )
    if last.state == "running":
        ask(connection, opening.schema, sql.ABANDON, run=last.run)
    ask(connection, opening.schema, sql.FORGET_CLAIMS, run=last.run)
    if not last.published:
        # Its good rows are nowhere, so that the next run meets its bad ones once more.
        ask(connection, opening.schema, sql.FORGET_BAD, run=last.run)


def _insert(connection: Connection, opening: Opening) -> Entry:
    both = f"{opening.digest}:{opening.layout}"
    told = asdict(opening) | {"digest": both, "holder": opening.run, "pid": own_pid(connection)}
    connection.execute(sql.of_schema(opening.schema, sql.ENTER), told)
    return Entry(schema=opening.schema, run=opening.run, holder=opening.run, relation=opening.relation)


def own_pid(connection: Connection) -> int | None:
    """Return the backend's number, None behind a pooler, whose connection to the server outlives ours."""
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    found = int(row[0]) if row else None
    return found if found == connection.info.backend_pid else None


def renew(connection: Connection, entry: Entry, pid: int | None = None) -> bool:
    """Prolong the lease; False if another process has it."""
    with transaction(connection, "renewing the lease"):
        cursor = connection.execute(
            sql.of_schema(entry.schema, sql.RENEW), {"run": entry.run, "holder": entry.holder, "pid": pid}
        )
        return cursor.rowcount == 1


def finish(connection: Connection, entry: Entry, state: str, error: SyncError | None = None) -> None:
    """Note how a run ended that did not note it itself when it published."""
    from syncengine.redact import redact

    document = None if error is None else redact(json.dumps(error.document(), ensure_ascii=False))
    with transaction(connection, "noting the run's end"):
        ask(
            connection,
            entry.schema,
            sql.FINISH,
            run=entry.run,
            holder=entry.holder,
            state=state,
            error=document.replace("\\u0000", "") if document else None,
            relation=entry.relation,
        )


def conclude(connection: Connection, entry: Entry, counters: Mapping[str, int]) -> None:
    """Note that a run is done which had nothing to publish."""
    with transaction(connection, "noting the run's end"), psycopg.RawCursor(connection) as cursor:
        statement = sql.record(entry.schema, entry.run, entry.holder)
        cursor.execute(statement, [counters[name] for name in sql.COUNTERS])


def tell(connection: Connection, entry: Entry) -> None:
    """Note that the caller knows that the run is done: the same rows are then another run."""
    with transaction(connection, "noting the run's end"):
        ask(connection, entry.schema, sql.TELL, run=entry.run)


def state(connection: Connection, entry: Entry) -> str:
    """Return the run's state, `lost` if another process has it."""
    with transaction(connection, "reading the ledger"):
        rows = ask(connection, entry.schema, sql.STATE, run=entry.run, holder=entry.holder)
    return str(rows[0][0]) if rows else "lost"
