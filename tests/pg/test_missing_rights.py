"""Roles that lack a right, tables that are locked and servers that take no writes: the remedy is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

import syncengine
from syncengine.errors import SyncError
from tests.pg.test_bad_targets import METHODS, TABLE, a_sync, refused
from tests.servers import Database

PASSWORD = "s3cr3t/p@ss"


@pytest.fixture
def guest(newdb: Database) -> Iterator[str]:
    """Make a role that may do nothing here but log in."""
    name = f"guest_{newdb.name}"
    newdb.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    newdb.execute(
        f"REVOKE ALL ON DATABASE {newdb.name} FROM public; GRANT CONNECT ON DATABASE {newdb.name} TO {name}"
    )
    newdb.execute(f"GRANT TEMPORARY ON DATABASE {newdb.name} TO {name}")
    yield name
    newdb.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_guest(db: Database, guest: str) -> str:
    return make_conninfo(db.url, user=guest, password=PASSWORD)


ALL = "GRANT SELECT, INSERT, UPDATE ON t TO {guest}"
LACKING: dict[str, tuple[str, dict[str, object], str]] = {
    "nothing": ("SELECT", {}, "GRANT SELECT ON public.t TO {guest};"),
    "select": ("GRANT INSERT, UPDATE ON t TO {guest}", {}, "GRANT SELECT"),
    "insert": ("GRANT SELECT, UPDATE ON t TO {guest}", {}, "GRANT INSERT"),
    "update": ("GRANT SELECT, INSERT ON t TO {guest}", {}, "GRANT UPDATE (name) ON public.t"),
    "one-column": (
        "GRANT SELECT, INSERT, UPDATE (id) ON t TO {guest}",
        {},
        "GRANT UPDATE (name) ON public.t",
    ),
    "schema": (
        f"{ALL}; REVOKE ALL ON SCHEMA public FROM public",
        {},
        "GRANT USAGE ON SCHEMA public TO {guest};",
    ),
    "create": (
        "REVOKE CREATE ON SCHEMA public FROM public",  # everybody had it before PostgreSQL 15
        {"target": {"table": "public.new", "create": True}},
        "GRANT CREATE ON SCHEMA public TO {guest};",
    ),
    "select-for-returning": (
        "GRANT INSERT ON t TO {guest}",
        {"mode": "insert", "returning": {"columns": ["id"], "to": "out.csv"}},
        "GRANT SELECT (id) ON public.t",
    ),
}


@pytest.mark.parametrize(("grant", "keys", "says"), LACKING.values(), ids=LACKING)
def test_missing_right_is_named_with_its_grant(
    grant: str, keys: dict[str, object], says: str, newdb: Database, guest: str, tmp_path: Path
):
    newdb.execute(TABLE)
    newdb.execute(grant.format(guest=guest))

    error = refused(newdb, a_sync(tmp_path, **keys), as_guest(newdb, guest))

    assert {single.code for single in error.each()} == {"missing-privilege"}
    assert error.exit_code == 3
    assert says.format(guest=guest) in str(error)
    assert all(single.location for single in error.each())


def test_grants_that_the_errors_name_are_enough(newdb: Database, guest: str, tmp_path: Path):
    newdb.execute(TABLE)
    spec = a_sync(tmp_path)
    for single in refused(newdb, spec, as_guest(newdb, guest)).each():
        newdb.execute(str(single.hint))

    report = syncengine.run(spec, connection=as_guest(newdb, guest))

    assert (report.inserted, report.updated, report.unchanged) == (1, 1, 1)


def test_role_that_may_make_no_schema_syncs_small_files(newdb: Database, guest: str, tmp_path: Path):
    newdb.execute(TABLE)
    newdb.execute(ALL.format(guest=guest))

    spec = a_sync(tmp_path, execution={"method": "auto"})
    report = syncengine.run(spec, connection=as_guest(newdb, guest))

    assert report.strategy == "rows"
    assert (report.inserted, report.updated, report.unchanged) == (1, 1, 1)


def test_role_that_may_make_nothing_is_told_what_it_needs(newdb: Database, guest: str, tmp_path: Path):
    newdb.execute(TABLE)
    newdb.execute(ALL.format(guest=guest))
    newdb.execute(f"REVOKE TEMPORARY ON DATABASE {newdb.name} FROM {guest}")

    error = refused(newdb, a_sync(tmp_path), as_guest(newdb, guest))

    assert error.code == "no-strategy-fits"
    assert error.exit_code == 3
    assert "GRANT CREATE ON DATABASE" in str(error)
    assert "GRANT TEMPORARY ON DATABASE" in str(error)


def test_row_level_security_that_applies_is_refused(newdb: Database, guest: str, tmp_path: Path):
    newdb.execute(f"{TABLE}; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    newdb.execute(ALL.format(guest=guest))

    error = refused(newdb, a_sync(tmp_path), as_guest(newdb, guest))

    assert error.exit_code == 3
    assert "row-level security" in str(error)
    assert "BYPASSRLS" in str(error.hint)


# Servers.


@pytest.mark.parametrize("method", METHODS)
def test_locked_table_is_waited_for_and_then_refused(method: str, db: Database, tmp_path: Path):
    db.execute(TABLE)
    spec = a_sync(tmp_path, execution={"method": method, "lock_timeout": "200ms"})
    with db.connect() as other, other.transaction():
        other.execute("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")
        started = time.monotonic()
        error = refused(db, spec)

    assert time.monotonic() - started < 20
    assert (error.code, error.exit_code, error.sqlstate) == ("conflict", 1, "55P03")
    assert "lock_timeout" in str(error.hint)


def test_table_closed_to_readers_is_waited_for_and_then_refused(db: Database, tmp_path: Path):
    db.execute(TABLE)
    spec = a_sync(tmp_path, execution={"lock_timeout": "200ms"})
    with db.connect() as other:
        with other.transaction():
            other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(SyncError) as caught:
                syncengine.run(spec, connection=db.url)
        other.execute("SELECT 1")

    assert caught.value.exit_code == 1
    assert "lock_timeout" in str(caught.value.hint)


def test_read_only_server_is_refused(db: Database, tmp_path: Path):
    db.execute(TABLE)
    db.execute(f"ALTER DATABASE {db.name} SET default_transaction_read_only = on")

    error = refused(db, a_sync(tmp_path))

    assert error.code == "target-unfit"
    assert "only allows reading" in error.message
    assert "default_transaction_read_only" in str(error.hint)
