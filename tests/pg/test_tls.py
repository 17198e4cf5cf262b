"""TLS against a real server with a certificate: checked in full unless something weaker is written out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import syncengine
from syncengine.connect import connect
from syncengine.errors import ConnectionFailed
from tests import certificates
from tests.builders import a_spec
from tests.certificates import NAME, TlsServer
from tests.conftest import SESSION, RunCli
from tests.servers import REQUIRED_VARIABLE, Database

TABLE = "CREATE TABLE public.t (id int PRIMARY KEY, name text)"


@pytest.fixture(scope="module")
def elsewhere(pytestconfig: pytest.Config) -> Iterator[TlsServer]:
    """Start the distribution's server with a certificate of a CA made for these tests."""
    if (lacking := certificates.lacking()) is not None:
        assert not os.environ.get(REQUIRED_VARIABLE), lacking
        pytest.skip(lacking)
    folder = Path(tempfile.mkdtemp(prefix="tls-", dir=pytestconfig.stash[SESSION].folder))
    folder.chmod(0o755)
    try:
        with certificates.server(folder) as running:
            with psycopg.connect(running.url, autocommit=True) as conn:
                conn.execute(TABLE)
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_libpq_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment of whoever runs the tests out of them."""
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("id,name\n1,uno\n")
    return a_spec(tmp_path, conflict_keys=["id"])


def warnings_of(spec: Path, conninfo: str) -> tuple[str, ...]:
    return syncengine.plan(spec, connection=conninfo).warnings


def test_right_ca_and_right_name_connect(elsewhere: TlsServer, spec: Path) -> None:
    assert warnings_of(spec, elsewhere.conninfo(sslrootcert=elsewhere.certificates.authority)) == ()


def test_connection_is_encrypted(elsewhere: TlsServer) -> None:
    with connect(elsewhere.conninfo(sslrootcert=elsewhere.certificates.authority)) as conn:
        assert conn.pgconn.ssl_in_use
        assert conn.info.get_parameters()["sslmode"] == "verify-full"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "PGSSLROOTCERT"])
def test_cas_of_the_system_and_of_the_environment_are_taken(
    variable: str, elsewhere: TlsServer, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(elsewhere.certificates.authority))

    assert warnings_of(spec, elsewhere.conninfo()) == ()


REFUSED = {
    "unknown-ca": (NAME, {}, "sslrootcert=FILE"),
    "wrong-ca": (NAME, {"sslrootcert": "stranger"}, "sslrootcert=FILE"),
    "wrong-name": (
        "other.example.test",
        {"sslrootcert": "authority"},
        "write the name that is in the server's",
    ),
    "an-address": ("192.0.2.7", {"sslrootcert": "authority"}, "write the name that is in the server's"),
    "no-name": ("", {"sslrootcert": "authority", "sslmode": "verify-full"}, "write the name that is in"),
    "no-such-file": (NAME, {"sslrootcert": "nowhere"}, "with a file that is there"),
}


@pytest.mark.parametrize(("host", "params", "hint"), REFUSED.values(), ids=REFUSED)
def test_server_that_does_not_prove_who_it_is_is_refused(
    host: str, params: dict[str, str], hint: str, elsewhere: TlsServer, spec: Path
) -> None:
    folder = elsewhere.certificates.authority.parent
    files = {
        name: folder / f"{value}.crt" if name == "sslrootcert" else value for name, value in params.items()
    }

    with pytest.raises(ConnectionFailed) as raised:
        syncengine.plan(spec, connection=elsewhere.conninfo(host, **files))

    assert hint in (raised.value.hint or "")


def test_server_elsewhere_without_tls_is_refused(newdb: Database, spec: Path) -> None:
    with pytest.raises(ConnectionFailed, match=r"cannot connect to .*@db\.example\.test") as raised:
        syncengine.plan(spec, connection=certificates.called(newdb.url, NAME))

    assert "server does not support SSL" in (raised.value.detail or "")
    assert "sslmode=disable" in (raised.value.hint or "")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
@pytest.mark.parametrize("how", ["url", "environment"])
def test_weaker_protection_that_is_written_out_connects_with_a_warning(
    mode: str, how: str, elsewhere: TlsServer, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"sslrootcert": str(elsewhere.certificates.authority)}
    if how == "url":
        params["sslmode"] = mode
    else:
        monkeypatch.setenv("PGSSLMODE", mode)

    (warning,) = warnings_of(spec, elsewhere.conninfo(**params))

    assert warning.startswith(f"the connection to {NAME} has sslmode={mode}: ")


def test_local_host_needs_no_certificate(elsewhere: TlsServer, spec: Path) -> None:
    assert warnings_of(spec, elsewhere.conninfo("localhost")) == ()


def test_command_line_refuses_and_warns_likewise(elsewhere: TlsServer, spec: Path, cli: RunCli) -> None:
    refused = cli("plan", spec, env={"SYNCENGINE_URL": elsewhere.conninfo()})
    warned = cli("plan", spec, "--diff", env={"SYNCENGINE_URL": elsewhere.conninfo(sslmode="disable")})

    assert (refused.returncode, warned.returncode) == (1, 0)
    assert "hint:   name the file with the certificate of the server's CA" in refused.stdout + refused.stderr
    assert "warning  the connection to db.example.test has sslmode=disable: nothing is encr" in warned.stdout
