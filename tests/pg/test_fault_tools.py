"""The tools that inject faults do what they say; else rounds that pass would show nothing."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.ownserver import eventually, own_server
from tests.faults.processes import Client
from tests.faults.proxy import Deal, Proxy, Trap
from tests.faults.wire import Framing
from tests.servers import Database

pytestmark = pytest.mark.direct


@pytest.fixture
def proxy(newdb: Database) -> Iterator[Proxy]:
    newdb.execute("CREATE TABLE t (id int)")
    with Proxy(newdb.direct) as running:
        yield running


def by(proxy: Proxy, db: Database, *, autocommit: bool = True) -> psycopg.Connection:
    return psycopg.connect(proxy.url(db.direct), autocommit=autocommit)


def insert_and_commit(connection: psycopg.Connection, *, extended: bool) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (1)")
    if extended:
        connection.pgconn.exec_params(b"COMMIT", [])
        # What libpq calls a result tells of the loss by the connection's state.
        if connection.closed:
            raise psycopg.OperationalError("lost")
    else:
        connection.execute("COMMIT")


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize(("deal", "rows"), [(Deal.DROP, 0), (Deal.SWALLOW, 1)], ids=["before", "after"])
def test_a_commit_is_lost_before_or_after_the_server_has_it(
    proxy: Proxy, newdb: Database, deal: Deal, rows: int, extended: bool
):
    told: list[str] = []
    trap = Trap(at=1, commits=True, deal=deal, then=lambda: told.append("answered"))
    proxy.trap(trap)

    with pytest.raises(psycopg.OperationalError):
        insert_and_commit(by(proxy, newdb), extended=extended)

    assert trap.sprung
    assert told == ["answered"] * rows
    assert newdb.one("SELECT count(*) FROM t") == rows


def test_a_trap_springs_at_its_message_and_only_once(proxy: Proxy, newdb: Database):
    connection = by(proxy, newdb)
    proxy.reset()
    seen: list[int] = []
    proxy.trap(Trap(at=3, act=lambda: seen.append(proxy.messages)))

    for _ in range(5):
        connection.execute("SELECT 1")

    assert seen == [3]
    assert proxy.messages == 5


def test_a_cut_resets_connections_that_are_open(proxy: Proxy, newdb: Database):
    connection = by(proxy, newdb)
    proxy.cut()

    with pytest.raises(psycopg.OperationalError):
        eventually(lambda: connection.execute("SELECT pg_sleep(0.01)") is None)


def test_a_connection_is_cut_after_so_many_bytes(proxy: Proxy, newdb: Database):
    connection = by(proxy, newdb)
    proxy.reset()
    proxy.cut_after = 200_000

    with pytest.raises(psycopg.OperationalError):
        copy_without_end(connection)

    assert newdb.one("SELECT count(*) FROM t") == 0


def copy_without_end(connection: psycopg.Connection) -> None:
    with connection.cursor().copy("COPY t FROM STDIN") as copy:
        for _ in range(10_000):
            copy.write("1\n" * 1000)


def test_a_black_hole_holds_everything_back_for_a_while_and_loses_nothing(proxy: Proxy, newdb: Database):
    connection = by(proxy, newdb)
    proxy.blackhole(0.3)
    started = time.monotonic()

    connection.execute("INSERT INTO t VALUES (1)")

    assert time.monotonic() - started >= 0.3
    assert newdb.one("SELECT count(*) FROM t") == 1


def test_a_statement_can_be_cancelled_through_the_proxy(proxy: Proxy, newdb: Database):
    connection = by(proxy, newdb)
    active = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(60)'"
    )

    def cancel() -> None:
        eventually(lambda: newdb.execute(active))
        connection.cancel_safe()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(60)")
    # The proxy has to stand until the cancelling connection has been answered.
    canceller.join()


def test_messages_are_found_however_the_stream_is_cut():
    stream = b"Q\0\0\0\x0bCOMMIT\0" + b"Q\0\0\0\x0dSELECT 1\0" + b"P\0\0\0\x0f\0commit;\0\0\0"
    for size in range(1, len(stream)):
        framing = Framing(typed=True)
        blocks = (stream[start : start + size] for start in range(0, len(stream), size))
        found = [message for block in blocks for message in framing.feed(block)]
        assert [message.commits for message in found] == [True, False, True]
        assert b"".join(message.data for message in found) == stream


def test_a_crashed_server_comes_back_with_what_was_committed_and_empties_what_is_unlogged(project: Path):
    with own_server(project, "18") as server:
        with server.connect() as connection:
            connection.execute(
                "CREATE TABLE kept AS SELECT 1 AS n; CREATE UNLOGGED TABLE lost AS SELECT 1 AS n"
            )
            url = server.url()
            server.crash()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        server.restart()

        assert server.url() == url
        with server.connect() as connection:
            counted = connection.execute(
                "SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM lost)"
            ).fetchone()
        assert counted == (1, 0)


def test_a_process_is_stopped_woken_and_killed(tmp_path: Path):
    count = "import time\nwhile True: print('.', end='', flush=True); time.sleep(0.01)"
    client = Client([sys.executable, "-c", count], tmp_path / "said")
    said = tmp_path / "said.out"
    eventually(lambda: said.stat().st_size)

    client.send(signal.SIGSTOP)
    eventually(lambda: unchanged_for_a_moment(said))
    length = said.stat().st_size
    client.send(signal.SIGCONT)
    eventually(lambda: said.stat().st_size > length)
    client.send(signal.SIGKILL)

    assert client.wait().code == -signal.SIGKILL


def unchanged_for_a_moment(file: Path) -> bool:
    before = file.stat().st_size
    time.sleep(0.1)
    return file.stat().st_size == before
