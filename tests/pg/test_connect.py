"""Connecting, saying where to without secrets, and what the driver's errors become."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncengine.connect import connect, describe, wrap
from syncengine.errors import (
    BadRow,
    Conflict,
    ConnectionFailed,
    DatabaseError,
    MissingPrivilege,
    OptionError,
    SyncError,
)
from tests.servers import Database, Server

pytestmark = pytest.mark.direct

PASSWORD = "s3cr3t-p4ss"


@pytest.fixture(autouse=True)
def no_libpq_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment of whoever runs the tests out of them."""
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGCONNECT_TIMEOUT", "PGAPPNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def db(server: Server) -> Iterator[Database]:
    """One database for all tests of the module."""
    with server.database() as database:
        yield database


def changed(url: str, **params: str) -> str:
    """Return a conninfo for the same place with other parameters."""
    return make_conninfo(url, **params)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Connecting


def test_a_connection_is_in_autocommit_and_prepares_nothing(db: Database) -> None:
    with connect(db.url) as conn:
        assert conn.autocommit
        assert conn.prepare_threshold is None
        assert conn.execute("SHOW application_name").fetchone() == ("syncengine",)
        assert conn.execute("SHOW client_encoding").fetchone() == ("UTF8",)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"])
def test_urls_of_other_tools_are_taken(db: Database, scheme: str) -> None:
    url = scheme + db.url[db.url.index("://") :]

    with connect(url) as conn:
        assert conn.info.dbname == db.name


def test_a_libpq_string_is_taken(db: Database) -> None:
    with connect(make_conninfo(db.url)) as conn:
        assert conn.info.dbname == db.name


def test_a_service_is_taken(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{name}={value}" for name, value in conninfo_to_dict(db.url).items()]
    file = tmp_path / "services.conf"
    file.write_text("\n".join(["[mine]", *lines]) + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))

    with connect("service=mine") as conn:
        assert conn.info.dbname == db.name
    assert describe("service=mine") == "service mine"


def test_the_urls_own_settings_win(db: Database) -> None:
    with connect(changed(db.url, application_name="mine", keepalives_idle="7")) as conn:
        assert conn.execute("SHOW application_name").fetchone() == ("mine",)
        assert conn.info.get_parameters()["keepalives_idle"] == "7"
        assert conn.info.get_parameters()["connect_timeout"] == "10"


def test_a_timeout_from_the_environment_wins(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")

    with connect(db.url) as conn:
        assert conn.info.get_parameters().get("connect_timeout") in (None, "3")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "users.csv",
        "mysql://root:s3cr3t-p4ss@localhost/db",
        "sqlite:///x.db",
        "host",
        "nonsense=s3cr3t-p4ss",
        "host=x password='s3cr3t-p4ss",
        "postgresql://u:s3cr3t-p4ss@localhost:port/db",
        "postgresql://u:s3cr3t-p4ss@localhost/db?nonsense=1",
        "postgresql://u:pa@s3cr3t/p4ss@localhost/db",
        "postgresql://u:s3cr3t-p4ss%zz@localhost/db",
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    for use in (connect, describe):
        with pytest.raises(OptionError) as raised:
            use(url)

        assert "s3cr3t" not in str(raised.value)
        assert "p4ss" not in str(raised.value)


# Failing to connect


def failure(url: str) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as raised:
        connect(url)
    assert PASSWORD not in str(raised.value)
    assert PASSWORD not in repr(raised.value.__context__) or raised.value.__suppress_context__
    return raised.value


def test_a_wrong_password(db: Database) -> None:
    error = failure(changed(db.url, password=PASSWORD))

    assert error.detail is not None
    assert "password authentication failed" in error.detail
    assert error.hint == "check the user and the password"


def test_a_database_that_is_not_there(db: Database) -> None:
    error = failure(changed(db.url, dbname="nope"))

    assert error.message.endswith("/nope")
    assert error.detail is not None
    assert 'database "nope" does not exist' in error.detail
    assert error.hint == "create the database, or correct its name in the URL"


def test_a_server_that_is_not_there() -> None:
    port = free_port()

    error = failure(f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/shop")

    assert error.message == f"cannot connect to me@127.0.0.1:{port}/shop"
    assert error.detail is not None
    assert "Connection refused" in error.detail
    assert error.hint == "start the server, or correct host and port in the URL"
    assert error.retryable


def test_a_host_that_is_not_there() -> None:
    error = failure(f"postgresql://me:{PASSWORD}@nowhere.invalid/shop")

    assert error.message == "cannot connect to me@nowhere.invalid:5432/shop"
    assert error.hint == "check the host's name; a password's @ : / must be percent-encoded"


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    error = failure(f"host={tmp_path} user=me dbname=shop password={PASSWORD}")

    assert error.message == f"cannot connect to me@{tmp_path}:5432/shop"
    assert error.hint == "start the server, or correct host and port in the URL"


def test_a_server_without_ssl(db: Database) -> None:
    if urlsplit(db.url).hostname is None or db.one("SHOW ssl") == "on":
        pytest.skip("needs a TCP server without SSL")

    error = failure(changed(db.url, sslmode="require"))

    assert (error.hint or "").startswith("turn TLS on in the server")


def test_a_server_with_no_place_left(db: Database) -> None:
    role, limited = f"limited_{db.name}", f"busy_{db.name}"
    db.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    db.execute(f"CREATE DATABASE {limited} CONNECTION LIMIT 0")
    try:
        error = failure(changed(db.url, user=role, password=PASSWORD, dbname=limited))
    finally:
        db.execute(f"DROP DATABASE {limited}")
        db.execute(f"DROP ROLE {role}")

    assert error.hint == "end other sessions or use a pooler"


def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        error = failure(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/shop?connect_timeout=2")

    assert error.hint == "no answer: check host, port and firewall, or set connect_timeout in the URL"


# Where to, without secrets


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://me:{PASSWORD}@db.example:6432/shop", "me@db.example:6432/shop"),
        (f"postgres://me:{PASSWORD}@db.example/shop", "me@db.example:5432/shop"),
        (f"postgresql+psycopg://me:{PASSWORD}@db.example/shop?sslmode=require", "me@db.example:5432/shop"),
        (f"host=db.example user=me password={PASSWORD} dbname=shop", "me@db.example:5432/shop"),
        ("postgresql://me@[::1]:5433/shop", "me@[::1]:5433/shop"),
        ("postgresql://me@/shop?host=/run/postgresql", "me@/run/postgresql:5432/shop"),
        ("postgresql://me@%2Frun%2Fpostgresql/shop", "me@/run/postgresql:5432/shop"),
        ("postgresql://me@a:1,b:2/shop", "me@a:1,b:2/shop"),
        ("host=a,b port=7 user=me", "me@a:7,b:7/me"),
        ("postgresql://me@db.example", "me@db.example:5432/me"),
        ("user=me dbname=shop", "me@local socket:5432/shop"),
    ],
)
def test_a_connection_is_described(url: str, said: str) -> None:
    assert describe(url) == said


def test_defaults_from_the_environment_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGUSER", "me")

    assert describe("dbname=shop") == "me@db.example:5432/shop"


# What errors become


def raised_by(db: Database, *statements: str) -> psycopg.Error:
    try:
        with db.conn.transaction(force_rollback=True):
            for statement in statements:
                db.execute(statement)
    except psycopg.Error as error:
        return error
    raise AssertionError("no error")


TABLES = (
    "CREATE TEMP TABLE p (a int PRIMARY KEY) ON COMMIT DROP",
    "CREATE TEMP TABLE t (a int NOT NULL UNIQUE REFERENCES p CHECK (a < 9), b varchar(2)) ON COMMIT DROP",
    "INSERT INTO p VALUES (1), (9)",
    "INSERT INTO t VALUES (1)",
)


@pytest.mark.parametrize(
    ("statement", "kind", "state", "message"),
    [
        (
            "INSERT INTO t (b) VALUES ('x')",
            BadRow,
            "23502",
            'null value in column "a" of relation "t" violates not-null constraint',
        ),
        (
            "INSERT INTO t VALUES (7); SET CONSTRAINTS ALL IMMEDIATE",
            BadRow,
            "23503",
            'insert or update on table "t" violates foreign key constraint "t_a_fkey"',
        ),
        (
            "INSERT INTO t VALUES (9)",
            BadRow,
            "23514",
            'new row for relation "t" violates check constraint "t_a_check"',
        ),
        (
            "INSERT INTO t VALUES (1)",
            DatabaseError,
            "23505",
            'duplicate key value violates unique constraint "t_a_key"',
        ),
        ("INSERT INTO t VALUES ('x')", BadRow, "22P02", 'invalid input syntax for type integer: "x"'),
        ("UPDATE t SET b = 'abc'", BadRow, "22001", "value too long for type character varying(2)"),
        ("UPDATE t SET a = 99999999999", BadRow, "22003", "integer out of range"),
        ("SELECT nope FROM t", DatabaseError, "42703", 'column "nope" does not exist'),
        ("DO $$ BEGIN RAISE 'no'; END $$", DatabaseError, "P0001", "no"),
        (
            "SET TRANSACTION READ ONLY; CREATE TABLE x ()",
            DatabaseError,
            "25006",
            "cannot execute CREATE TABLE in a read-only transaction",
        ),
        (
            "SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(1)",
            DatabaseError,
            "57014",
            "canceling statement due to statement timeout",
        ),
    ],
)
def test_an_error_keeps_the_servers_words(
    db: Database, statement: str, kind: type[SyncError], state: str, message: str
) -> None:
    error = raised_by(db, *TABLES, statement)

    wrapped = wrap(error, doing="trying")

    assert type(wrapped) is kind
    assert wrapped.message == message
    assert wrapped.detail is not None
    assert wrapped.detail.endswith(f"while trying; SQLSTATE {state}")


def test_the_servers_detail_and_hint_are_kept(db: Database) -> None:
    error = raised_by(
        db, "DO $$ BEGIN RAISE 'no' USING DETAIL = 'because', HINT = 'do so', ERRCODE = '23505'; END $$"
    )

    wrapped = wrap(error, doing="trying")

    assert (wrapped.message, wrapped.detail, wrapped.hint) == (
        "no",
        "because; PL/pgSQL function inline_code_block line 1 at RAISE; while trying; SQLSTATE 23505",
        "do so",
    )


def test_common_errors_without_a_hint_get_one(db: Database) -> None:
    wrapped = wrap(raised_by(db, *TABLES, "INSERT INTO t VALUES (1)"), doing="")

    assert wrapped.detail == "Key (a)=(1) already exists; SQLSTATE 23505"
    assert (
        wrapped.hint
        == "mode upsert or ignore with these columns as conflict_keys takes rows that are there already"
    )


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("40001", Conflict),
        ("40P01", Conflict),
        ("55P03", Conflict),
        ("42501", MissingPrivilege),
        ("57P01", ConnectionFailed),
        ("57P03", ConnectionFailed),
        ("08006", ConnectionFailed),
        ("53300", ConnectionFailed),
        ("53100", DatabaseError),
        ("22P04", BadRow),
        ("44000", BadRow),
        ("21000", DatabaseError),
    ],
)
def test_the_sqlstate_decides_on_the_error(db: Database, state: str, kind: type[SyncError]) -> None:
    error = raised_by(db, f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{state}'; END $$")

    assert type(wrap(error, doing="trying")) is kind


def test_a_terminated_session_is_a_failed_connection(db: Database) -> None:
    other = db.connect()
    db.execute("SELECT pg_terminate_backend(%s)", (other.info.backend_pid,))
    with pytest.raises(psycopg.Error) as first:
        other.execute("SELECT 1")
    with pytest.raises(psycopg.Error) as second:
        other.execute("SELECT 1")

    assert type(wrap(first.value, doing="reading")) is ConnectionFailed
    assert type(wrap(second.value, doing="reading")) is ConnectionFailed


def test_a_value_the_driver_cannot_send_is_a_bad_row(db: Database) -> None:
    with pytest.raises(psycopg.Error) as raised:
        db.execute("SELECT %s", ("a\0b",))

    assert type(wrap(raised.value, doing="writing")) is BadRow


def test_a_mistake_of_the_caller_is_no_failed_connection(db: Database) -> None:
    with pytest.raises(psycopg.Error) as raised:
        db.execute("SELECT %s", ())

    assert type(wrap(raised.value, doing="writing")) is DatabaseError


def test_a_password_in_the_servers_words_is_masked(db: Database) -> None:
    error = raised_by(db, f"DO $$ BEGIN RAISE 'postgresql://me:{PASSWORD}@h/db password={PASSWORD}'; END $$")

    assert PASSWORD not in str(wrap(error, doing="trying"))
