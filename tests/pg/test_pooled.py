"""Behind a PgBouncer in transaction mode: what goes wrong there only.  `make pooled` runs the other tests that way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import syncengine
from syncengine.model import events as ev
from syncengine.sql import staging
from tests.conftest import SESSION
from tests.faults.ownserver import eventually
from tests.faults.pooler import NoPooler, Pooler, pooler
from tests.servers import Database, Server

pytestmark = pytest.mark.direct
SPEC = {"name": "t", "target": "t", "conflict_keys": ["id"], "execution": {"method": "staged"}}
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'syncengine'"


@pytest.fixture(scope="module")
def pool(server: Server, pytestconfig: pytest.Config) -> Iterator[Pooler]:
    try:
        with pooler(server.url(), pytestconfig.stash[SESSION].folder) as running:
            yield running
    except NoPooler as reason:
        pytest.skip(str(reason))


@pytest.fixture
def url(db: Database, pool: Pooler) -> str:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    return pool.url(db.direct)


def rows(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"id": number, "v": f"value {number}"}


def test_each_transaction_may_meet_another_session(url: str):
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        pids = set()
        eventually(
            lambda: pids.add(connection.execute("SELECT pg_backend_pid()").fetchone()) or len(pids) > 1
        )


def test_runs_at_once_publish_both(db: Database, url: str):
    names = [f"t{number}" for number in range(6)]
    db.execute("; ".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)" for name in names))

    def run(name: str) -> int:
        return syncengine.run(
            {**SPEC, "name": name, "target": name}, source=rows(500), connection=url
        ).inserted

    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(run, names)) == [500] * len(names)
        assert list(threads.map(run, names)) == [0] * len(names)


@pytest.mark.parametrize("when", ["COPY", "COMMIT"])
def test_a_backend_that_ends_is_a_lost_connection_though_two_errors_tell_of_it(
    db: Database, url: str, when: str
):
    if when == "COMMIT":
        db.execute(
            "CREATE FUNCTION still() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_sleep(20); RETURN NEW; END$$;"
            "CREATE CONSTRAINT TRIGGER still AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION still()"
        )
    waiting = "query LIKE 'COPY%'" if when == "COPY" else "wait_event = 'PgSleep'"
    asked = threading.Event()

    def source() -> Iterator[dict[str, object]]:
        yield from rows(10_000)
        if when == "COPY":
            end()

    def end() -> None:
        eventually(lambda: db.execute(f"SELECT pg_terminate_backend(pid) {OURS} AND {waiting}"))
        asked.set()

    if when == "COMMIT":
        threading.Thread(target=end).start()
    spec = {**SPEC, "execution": {"method": "staged", "retries": 0}}
    with pytest.raises(syncengine.ConnectionFailed):
        syncengine.run(spec, source=source(), connection=url)

    assert asked.wait(10)
    assert db.one("SELECT count(*) FROM t") == 0


def test_a_session_that_waited_for_the_lock_on_a_schema_sees_it_made(db: Database):
    lock = staging.lock_name("schema s").as_string().encode()
    create = staging.create_engine_schema("s").as_string().encode()
    with db.connect() as first, db.connect() as second:
        # Sessions of a pool have made schemas before, and know for long that there is no s.
        second.execute("CREATE SCHEMA IF NOT EXISTS other; SELECT to_regnamespace('s')")
        with ThreadPoolExecutor(1) as threads:
            with first.transaction():
                first.execute(lock)
                made = threads.submit(make, second, lock, create)
                eventually(
                    lambda: db.execute(
                        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    )
                )
                first.execute(create)
            made.result(timeout=10)


def make(connection: psycopg.Connection, lock: bytes, create: bytes) -> None:
    with connection.transaction():
        connection.execute("SELECT to_regnamespace('s')")
        connection.execute(lock)
        connection.execute(create)


def test_nothing_of_a_run_stays_in_the_sessions(db: Database, pool: Pooler, url: str):
    def committed(event: ev.Event) -> None:
        if isinstance(event, ev.UnitCommitted):
            settings.append(settings_of_all(url))

    usual = settings_of_all(url)
    settings: list[set[object]] = []

    syncengine.run(
        {**SPEC, "session": {"TimeZone": "Asia/Tokyo"}}, source=rows(10), connection=url, emit=committed
    )

    assert settings
    assert [found for found in settings if not found <= usual] == []
    assert db.execute("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'") == []


def settings_of_all(url: str) -> set[object]:
    """Return what sessions of the pool have set, over as many of them as a few transactions meet."""
    query = (
        "SELECT name || '=' || setting FROM pg_settings"
        " WHERE name IN ('TimeZone', 'search_path', 'lock_timeout', 'statement_timeout', 'role', 'DateStyle')"
    )
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        return {row for _ in range(6) for row in connection.execute(query.encode()).fetchall()}
