"""Which protection is asked for: in full for servers elsewhere, unless something else is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import pq

from syncengine import tls
from syncengine.errors import OptionError

SERVICES = """
[there]
host=db.example.test
[there-weakly]
host=db.example.test
sslmode=require
[there-with-its-ca]
host=db.example.test
sslrootcert=/ca.crt
[here]
host=127.0.0.1
"""
SYSTEM_CAS = "/system/cas.crt"
IN_FULL = {"sslmode": "verify-full", "sslrootcert": SYSTEM_CAS}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what is set on this machine out of the tests."""
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSSLMODE", "PGSSLROOTCERT", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "services.conf").write_text(SERVICES)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    monkeypatch.setattr(tls, "_OWN_CAS", tmp_path / "root.crt")
    monkeypatch.setattr(tls, "_system_file", lambda: SYSTEM_CAS)


def params(conninfo: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in conninfo.split())


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("", True),
        ("/run/postgresql", True),
        ("@abstract", True),
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("192.168.0.7", False),
        ("fe80::1", False),
        ("localhost.evil.test", False),
        ("127.0.0.1.evil.test", False),
        ("db", False),
    ],
)
def test_only_this_machine_is_local(host: str, local: bool) -> None:
    assert tls.is_local(host) == local


@pytest.mark.parametrize(
    ("conninfo", "environ", "added"),
    [
        pytest.param("host=db.example.test", {}, IN_FULL, id="elsewhere"),
        pytest.param("host=10.0.0.1", {}, IN_FULL, id="an-address-elsewhere"),
        pytest.param("hostaddr=10.0.0.1", {}, IN_FULL, id="an-address-alone"),
        pytest.param("host=db.example.test hostaddr=127.0.0.1", {}, IN_FULL, id="the-name-decides"),
        pytest.param("host=localhost,db.example.test", {}, IN_FULL, id="one-of-several"),
        pytest.param("host=,db.example.test", {}, IN_FULL, id="behind-a-socket"),
        pytest.param("dbname=x", {"PGHOST": "db.example.test"}, IN_FULL, id="host-of-the-environment"),
        pytest.param("service=there", {}, IN_FULL, id="a-service-elsewhere"),
        pytest.param("dbname=x", {"PGSERVICE": "there"}, IN_FULL, id="a-service-of-the-environment"),
        pytest.param("host=db.example.test sslrootcert=system", {}, IN_FULL, id="system-by-its-name"),
        pytest.param("host=localhost sslrootcert=system", {}, IN_FULL, id="system-for-a-local-host"),
        pytest.param("host=db.example.test sslmode=verify-full", {}, IN_FULL, id="asked-for"),
        pytest.param("host=localhost sslmode=verify-full", {}, IN_FULL, id="asked-for-locally"),
        pytest.param(
            "host=db.example.test sslrootcert=/ca.crt", {}, {"sslmode": "verify-full"}, id="a-ca-of-its-own"
        ),
        pytest.param("service=there-with-its-ca", {}, {"sslmode": "verify-full"}, id="a-services-ca"),
        pytest.param(
            "host=db.example.test",
            {"PGSSLROOTCERT": "/ca.crt"},
            {"sslmode": "verify-full"},
            id="PGSSLROOTCERT",
        ),
        pytest.param("host=localhost", {}, {}, id="local"),
        pytest.param("dbname=x", {}, {}, id="a-socket"),
        pytest.param("host=/run/postgresql", {}, {}, id="a-sockets-folder"),
        pytest.param("host=::1,127.0.0.1", {}, {}, id="all-local"),
        pytest.param("hostaddr=127.0.0.1", {}, {}, id="a-local-address-alone"),
        pytest.param("service=here", {}, {}, id="a-local-service"),
        pytest.param("service=nowhere", {}, {}, id="no-such-service"),
        pytest.param("host=db.example.test sslmode=disable", {}, {}, id="written-disable"),
        pytest.param("host=db.example.test sslmode=prefer", {}, {}, id="written-prefer"),
        pytest.param("host=db.example.test sslmode=require", {}, {}, id="written-require"),
        pytest.param("host=db.example.test sslmode=verify-ca", {}, {}, id="written-verify-ca"),
        pytest.param("host=db.example.test", {"PGSSLMODE": "prefer"}, {}, id="PGSSLMODE"),
        pytest.param("service=there-weakly", {}, {}, id="written-in-the-service"),
        pytest.param("service=there-weakly sslmode=verify-full", {}, IN_FULL, id="the-url-beats-the-service"),
    ],
)
def test_a_server_elsewhere_is_checked_in_full_unless_something_else_is_written(
    conninfo: str, environ: dict[str, str], added: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert tls.protection(params(conninfo)) == added


def test_libpqs_own_file_of_cas_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "root.crt").touch()

    assert tls.protection({"host": "db.example.test"}) == {"sslmode": "verify-full"}


def test_without_a_file_of_the_systems_libpq_looks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_system_file", lambda: None)
    monkeypatch.setattr(pq, "version", lambda: 160000)

    assert tls.protection({"host": "db.example.test"})["sslrootcert"] == "system"


def test_an_old_libpq_that_can_not_look_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_system_file", lambda: None)
    monkeypatch.setattr(pq, "version", lambda: 150004)

    with pytest.raises(OptionError, match="no certificates") as raised:
        tls.protection({"host": "db.example.test"})

    assert "sslrootcert=FILE" in (raised.value.hint or "")
