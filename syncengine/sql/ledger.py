"""Statements of the ledger, the engine's memory in its own schema: its tables, and the entry of a run."""

from __future__ import annotations

import re

from psycopg.sql import SQL, Composed, Literal

from syncengine.model.report import COUNTERS as REPORTED
from syncengine.sql.names import ident, in_parameters

VERSION = 2
RUNS, LEASES, CHUNKS, PUBLISHED = "runs", "leases", "chunks", "published"
WATERMARKS, QUARANTINE = "watermarks", "quarantine"
TABLES = (RUNS, LEASES, CHUNKS, PUBLISHED, WATERMARKS, QUARANTINE)
# How the table `runs` says which version of the ledger it belongs to.
MARK = "syncengine ledger, version "
# Set for each transaction that publishes a chunk, so that its statements are the same for all.
PART_SETTING = "syncengine.part"
# The counters of a run and of a chunk, as the reports name them.
COUNTERS = (*REPORTED, "bytes_read")
# Those of rows that are taken out before staging is cut into parts.
PARTED = ("duplicates", "quarantined")
# What a chunk's row tells beside them: where in the source it starts and ends, and whether it is the last one.
PLACE = ("number", "starts", "ends", "complete")
_COUNTED = ", ".join(f"{name} bigint NOT NULL DEFAULT 0" for name in COUNTERS)

_RUNS = """CREATE TABLE {runs} (
    run text PRIMARY KEY, spec text NOT NULL, target text NOT NULL, file text NOT NULL DEFAULT '',
    mode text NOT NULL, strategy text NOT NULL, source text NOT NULL, digest text NOT NULL, stamp text,
    relation oid NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'running',
    holder text NOT NULL, pid integer, renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(), finished_at timestamptz,
    resumed integer NOT NULL DEFAULT 0, told boolean NOT NULL DEFAULT false, approved jsonb, error jsonb, {counted},
    CHECK (state IN ('running', 'done', 'failed', 'interrupted', 'abandoned')))"""
# Apart from `runs`, for what publishes holds a run's row from its snapshot to its commit.
_LEASES = """CREATE TABLE {leases} (run text PRIMARY KEY, renewed_at timestamptz NOT NULL, pid integer)"""
_CHUNKS = """CREATE TABLE {chunks} (
    run text NOT NULL, phase text NOT NULL, number integer NOT NULL, starts jsonb, ends jsonb,
    complete boolean NOT NULL DEFAULT false, committed_at timestamptz NOT NULL DEFAULT clock_timestamp(), {counted},
    PRIMARY KEY (run, phase, number))"""
_PUBLISHED = """CREATE TABLE {published} (
    run text NOT NULL, spec text NOT NULL, target text NOT NULL, relation oid NOT NULL, ledger oid NOT NULL,
    fingerprint text NOT NULL, published_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    PRIMARY KEY (spec, target, fingerprint))"""
_WATERMARKS = """CREATE TABLE {watermarks} (
    spec text NOT NULL, target text NOT NULL, name text NOT NULL, value text NOT NULL, run text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT transaction_timestamp(), PRIMARY KEY (spec, target, name))"""
_QUARANTINE = """CREATE TABLE {quarantine} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run text NOT NULL, spec text NOT NULL, target text NOT NULL,
    place text NOT NULL, line bigint, number bigint NOT NULL, byte_from bigint, byte_to bigint, "column" text,
    sqlstate text, constraint_name text, message text NOT NULL, raw bytea, head bytea, "row" jsonb,
    at timestamptz NOT NULL DEFAULT transaction_timestamp(), retried text, sensitive boolean NOT NULL DEFAULT false)"""


def migrations(schema: str, found: int) -> tuple[tuple[str, Composed], ...]:
    """Return titled statements that bring a ledger of version `found`, 0 for none, to this one."""
    names = {name: ident(schema, name) for name in TABLES}
    of_runs = SQL(_RUNS).format(runs=names[RUNS], counted=SQL(_COUNTED))
    steps = [
        (f"create {schema}.runs", of_runs),
        (f"create {schema}.leases", SQL(_LEASES).format(leases=names[LEASES])),
        (f"create {schema}.chunks", SQL(_CHUNKS).format(chunks=names[CHUNKS], counted=SQL(_COUNTED))),
        (f"create {schema}.published", SQL(_PUBLISHED).format(published=names[PUBLISHED])),
        (f"create {schema}.watermarks", SQL(_WATERMARKS).format(watermarks=names[WATERMARKS])),
        (f"create {schema}.quarantine", SQL(_QUARANTINE).format(quarantine=names[QUARANTINE])),
    ]
    if found == 1:
        # The first version had one table, of what was published, and called it runs.
        rename = SQL("ALTER TABLE {} RENAME TO {}").format(names[RUNS], ident(PUBLISHED))
        index = SQL("ALTER INDEX {} RENAME TO {}").format(
            ident(schema, "runs_pkey"), ident(f"{PUBLISHED}_pkey")
        )
        steps = [(f"rename {schema}.runs", rename), ("rename its index", index), *steps[:3], *steps[4:]]
    newest = SQL("CREATE INDEX {} ON {} (spec, target, started_at DESC)")
    unique = SQL("CREATE UNIQUE INDEX {} ON {} (spec, target) WHERE state = 'running'")
    mark = SQL("COMMENT ON TABLE {} IS {}").format(names[RUNS], Literal(f"{MARK}{VERSION}"))
    return (
        *steps,
        ("index the newest runs", newest.format(ident("runs_newest"), names[RUNS])),
        ("one run at a time for a spec and a target", unique.format(ident("runs_one_writer"), names[RUNS])),
        (f"note the version, {VERSION}", mark),
    )


def is_there(schema: str) -> Composed:
    """Return a query that fails where the ledger is not of this version."""
    return SQL("SELECT FROM {}").format(ident(schema, QUARANTINE)) + SQL(" LIMIT 0")


def version_of(comment: str | None) -> int:
    """Return the version of the ledger that a comment on its table `runs` tells.

    >>> version_of("syncengine ledger, version 2"), version_of(None)
    (2, 1)
    """
    number = (comment or "").removeprefix(MARK)
    return int(number) if number.isdigit() else 1


def lock_of(run: str) -> Composed:
    """Return the number of the advisory lock that every transaction of a run holds."""
    return SQL("hashtextextended({}, 0)").format(Literal(f"syncengine run {run}"))


def try_lock(run: str) -> Composed:
    """Return the query that takes a run's lock until the transaction's end, if no transaction of the run is open."""
    return SQL("SELECT pg_try_advisory_xact_lock({})").format(lock_of(run))


def hold(schema: str, run: str, holder: str) -> Composed:
    """Return the query that gives the run's state if `holder` still has it, and keeps others off until the commit.

    It waits for an earlier transaction of the same run, whose end was not heard of.
    """
    text = SQL(
        "WITH alone AS MATERIALIZED (SELECT pg_advisory_xact_lock({}))"
        " SELECT state FROM {} WHERE run = {} AND holder = {} AND (SELECT count(*) FROM alone) = 1 FOR SHARE"
    )
    return text.format(lock_of(run), ident(schema, RUNS), Literal(run), Literal(holder))


def hold_chunk(schema: str, run: str, holder: str) -> Composed:
    """Return what `hold` does for one of several chunks: it waits for an earlier transaction of the same chunk only."""
    text = SQL(
        "WITH alone AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({}), pg_advisory_xact_lock("
        "hashtextextended({} || current_setting({}), 0)))"
        " SELECT state FROM {} WHERE run = {} AND holder = {} AND (SELECT count(*) FROM alone) = 1 FOR SHARE"
    )
    of_chunk, number = Literal(f"syncengine run {run} chunk "), Literal(PART_SETTING)
    return text.format(lock_of(run), of_chunk, number, ident(schema, RUNS), Literal(run), Literal(holder))


def record(schema: str, run: str, holder: str) -> Composed:
    """Return the UPDATE by which a run is done; its parameters are the counters.

    It changes no row if the run is done already.
    """
    counters = ", ".join(f"{name} = ${number}" for number, name in enumerate(COUNTERS, start=1))
    text = SQL(
        "UPDATE {} SET state = 'done', finished_at = clock_timestamp(), renewed_at = clock_timestamp(), {}"
        " WHERE run = {} AND holder = {} AND state = 'running'"
    )
    return text.format(ident(schema, RUNS), SQL(counters), Literal(run), Literal(holder))


def record_parts(schema: str, run: str, parts: tuple[str, str], column: str) -> Composed:
    """Return the INSERT that registers the parts that staging was cut into; its parameters are PARTED."""
    text = SQL(
        "INSERT INTO {} (run, phase, number, ends, duplicates, quarantined) SELECT {}, 'arrange', 1,"
        " jsonb_build_object('parts', coalesce(max({}), 0), 'rows', count(*),"
        " 'apart', CAST($1 AS bigint) + CAST($2 AS bigint)), CAST($1 AS bigint), CAST($2 AS bigint) FROM {}"
    )
    return text.format(ident(schema, CHUNKS), Literal(run), ident(column), ident(*parts))


def record_chunk(schema: str, run: str, phase: str) -> Composed:
    """Return the INSERT of a chunk that commits with it; its parameters are the counters and its place."""
    values = SQL(", ".join(f"${number}" for number in range(1, len(COUNTERS) + len(PLACE) + 1)))
    text = SQL("INSERT INTO {} (run, phase, {}) VALUES ({}, {}, {})")
    names = SQL(", ".join((*COUNTERS, *PLACE)))
    return text.format(ident(schema, CHUNKS), names, Literal(run), Literal(phase), values)


# What follows is run by ledger/, with parameters; the names of the tables are filled in by `of_schema`.


# What `RENEWED` and `PID` stand for: what a lease says is newer than what its run does.
_OF_LEASE = {
    "RENEWED": "greatest(renewed_at, (SELECT l.renewed_at FROM {leases} AS l WHERE l.run = runs.run))",
    "PID": "coalesce((SELECT l.pid FROM {leases} AS l WHERE l.run = runs.run), runs.pid)",
}


def of_schema(schema: str, statement: str) -> Composed:
    """Return a statement with `{runs}`, `{chunks}` … filled in; it has named parameters, so that a `%` is doubled."""
    for word, meaning in _OF_LEASE.items():
        statement = re.sub(rf"\b{word}\b", meaning, statement)
    names = {name: in_parameters(ident(schema, name)) for name in TABLES}
    return SQL(statement).format(**names)


LAST_RUN = """
SELECT run, state, told, holder, digest, stamp, relation, strategy,
       extract(epoch FROM clock_timestamp() - RENEWED)::float8 AS silent,
       extract(epoch FROM clock_timestamp() - started_at)::float8 AS age,
       PID IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = PID) AS gone,
       (SELECT count(*) FROM {chunks} AS c WHERE c.run = runs.run AND phase = 'stage')::int AS staged,
       (SELECT count(*) FROM {chunks} AS c WHERE c.run = runs.run AND phase = 'publish')::int AS published,
       EXISTS (SELECT FROM {chunks} AS c WHERE c.run = runs.run AND phase = 'arrange') AS arranged
FROM {runs} AS runs WHERE spec = %(spec)s AND target = %(target)s ORDER BY started_at DESC, run DESC LIMIT 1"""

ENTER = """
INSERT INTO {runs} (run, spec, target, file, mode, strategy, source, digest, stamp, relation, holder, pid, approved)
VALUES (%(run)s, %(spec)s, %(target)s, %(file)s, %(mode)s, %(strategy)s, %(source)s, %(digest)s, %(stamp)s,
        coalesce(to_regclass(%(relation)s)::oid, 0), %(holder)s, %(pid)s, %(approved)s)"""

TAKE_OVER = """
WITH earlier AS (DELETE FROM {leases} WHERE run = %(run)s)
UPDATE {runs} SET state = CASE state WHEN 'done' THEN state ELSE 'running' END,
       holder = %(holder)s, pid = %(pid)s, renewed_at = clock_timestamp(),
       finished_at = CASE state WHEN 'done' THEN finished_at END, error = NULL, resumed = resumed + 1
WHERE run = %(run)s"""

RENEW = """
INSERT INTO {leases} AS known (run, renewed_at, pid) SELECT run, clock_timestamp(), coalesce(%(pid)s, pid) FROM {runs}
WHERE run = %(run)s AND holder = %(holder)s AND state = 'running'
ON CONFLICT (run) DO UPDATE SET renewed_at = excluded.renewed_at, pid = coalesce(%(pid)s, known.pid)"""

FINISH = """
UPDATE {runs} SET state = %(state)s, finished_at = clock_timestamp(), error = %(error)s,
       relation = coalesce(to_regclass(%(relation)s)::oid, relation)
WHERE run = %(run)s AND holder = %(holder)s AND state = 'running'"""

TELL = "UPDATE {runs} SET told = true WHERE run = %(run)s AND state = 'done'"

LOCK_RUN = "SELECT FROM {runs} WHERE run = %(run)s FOR UPDATE NOWAIT"
STATE = "SELECT state FROM {runs} WHERE run = %(run)s AND holder = %(holder)s"

ABANDON = """
UPDATE {runs} SET state = 'abandoned', finished_at = coalesce(finished_at, clock_timestamp()) WHERE run = %(run)s"""

FORGET_BAD = "DELETE FROM {quarantine} WHERE run = %(run)s"
FORGET_CLAIMS = "DELETE FROM {published} WHERE run = %(run)s"
FORGET_CHUNKS = "DELETE FROM {chunks} WHERE run = %(run)s AND phase = ANY (%(phases)s)"

LAST_CHUNK = """
SELECT number, ends, complete, sum(rows_read) OVER ()::bigint
FROM {chunks} WHERE run = %(run)s AND phase = %(phase)s ORDER BY number DESC LIMIT 1"""

SUMS = """
SELECT {counters} FROM {chunks} WHERE run = %(run)s AND phase = ANY (%(phases)s)""".replace(
    "{counters}", ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in COUNTERS)
)
DONE_CHUNKS = "SELECT number FROM {chunks} WHERE run = %(run)s AND phase = %(phase)s"
COUNTS_OF_RUN = "SELECT {counters} FROM {runs} WHERE run = %(run)s AND state = 'done'".replace(
    "{counters}", ", ".join(COUNTERS)
)

RECORDS = """
SELECT run, spec, target, file, mode, strategy, source, state, started_at, finished_at, RENEWED,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8,
       state = 'running' AND extract(epoch FROM clock_timestamp() - RENEWED) > %(lease)s,
       resumed, approved, error, {counters}
FROM {runs} WHERE spec = coalesce(%(spec)s, spec) AND starts_with(run, coalesce(%(run)s, ''))
ORDER BY started_at DESC, run DESC""".replace("{counters}", ", ".join(COUNTERS))
CHUNKS_OF_RUN = """
SELECT phase, number, starts, ends, complete, committed_at, {counters}
FROM {chunks} WHERE run = %(run)s ORDER BY committed_at, phase, number""".replace(
    "{counters}", ", ".join(COUNTERS)
)

# Transactions of a run hold its advisory lock; a bigint's two halves stand in pg_locks.
BACKENDS = """
SELECT pid FROM pg_locks, (SELECT {key} AS key) AS k
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND classid = ((key >> 32) & 4294967295)::oid AND objid = (key & 4294967295)::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def backends_of(run: str) -> Composed:
    """Return the query for the backends in which a transaction of the run is open."""
    return SQL(BACKENDS).format(key=lock_of(run))


IN_THE_WAY = """
SELECT EXISTS (SELECT FROM pg_locks AS l WHERE NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid)))"""


STAGING = """
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind = 'r' AND c.relname LIKE %(prefix)s"""

REGISTERED = """
SELECT phase, sum(CASE phase WHEN 'stage' THEN rows_read ELSE (ends ->> 'rows')::bigint END)::bigint
FROM {chunks} WHERE run = %(run)s AND phase IN ('stage', 'arrange') GROUP BY phase"""

# A run needs its staging while it runs, or while it is unfinished and the next one may go on with it.
NEEDS_STAGING = """
SELECT state = 'running' AND silent <= %(lease)s AND NOT (gone AND silent > %(grace)s)
       OR state IN ('running', 'failed', 'interrupted') AND newest AND (published OR staged AND silent <= %(kept)s)
FROM (SELECT state, extract(epoch FROM clock_timestamp() - RENEWED) AS silent,
             PID IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = PID) AS gone,
             NOT EXISTS (SELECT FROM {runs} AS later WHERE (later.spec, later.target) = (runs.spec, runs.target)
                         AND later.started_at > runs.started_at) AS newest,
             stamp IS NOT NULL AND EXISTS (SELECT FROM {chunks} AS c WHERE c.run = runs.run) AS staged,
             EXISTS (SELECT FROM {chunks} AS c WHERE c.run = runs.run AND phase = 'publish') AS published
      FROM {runs} AS runs WHERE run = %(run)s) AS known"""


def count_rows(relation: tuple[str, str]) -> Composed:
    return SQL("SELECT count(*) FROM {}").format(ident(*relation))
