"""Throw-away certificate authorities, and a server of the distribution's with TLS: the embedded one has none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from psycopg.conninfo import make_conninfo

from syncengine.embedded import binaries
from syncengine.embedded import server as embedded_server
from syncengine.embedded.cluster import Cluster
from syncengine.embedded.place import runner_for
from tests.servers import SETTINGS, SYSTEM_SERVERS

# The name in the server's certificate; nothing of that name is in the DNS.
NAME = "db.example.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The files of a server's certificate and of its CA, and the CA of somebody else."""

    authority: Path
    stranger: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsServer:
    """A server with TLS that listens on 127.0.0.1; by which name it is called, a test decides."""

    url: str
    certificates: Certificates

    def conninfo(self, host: str = NAME, **params: object) -> str:
        """Return how to reach it under a name."""
        return called(self.url, host, **params)


def called(url: str, host: str, **params: object) -> str:
    """Return how to reach a local server under another name, without a look into the DNS."""
    parts = urlsplit(url)
    here = {"user": parts.username, "password": parts.password, "port": parts.port, "dbname": parts.path[1:]}
    return make_conninfo(**here, host=host, hostaddr="127.0.0.1", **params)


def lacking() -> str | None:
    """Return why there can be no server with TLS here, None if there can."""
    if shutil.which("openssl") is None:
        return "there is no openssl to make certificates with"
    return None if _programs() else f"no PostgreSQL with TLS in {SYSTEM_SERVERS}"


def _programs() -> Path | None:
    found = sorted(SYSTEM_SERVERS.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def server(folder: Path) -> Iterator[TlsServer]:
    """Start a server with TLS in a folder that the account running servers can reach."""
    programs = _programs()
    assert programs is not None
    made = make(folder)
    cluster = Cluster(
        home=folder / "tls",
        account=runner_for(folder / "tls"),
        find_binaries=lambda: binaries.inspect(programs),
        settings=SETTINGS | _settings(made),
        locale=("--locale=C.UTF-8",),
    )
    if cluster.account is not None:
        os.chown(made.key, cluster.account.uid, cluster.account.gid)
    with embedded_server.hold(cluster) as running:
        yield TlsServer(url=running.url, certificates=made)


def _settings(made: Certificates) -> Mapping[str, str]:
    return {"ssl": "on", "ssl_cert_file": str(made.certificate), "ssl_key_file": str(made.key)}


def make(folder: Path) -> Certificates:
    """Make two CAs, and a certificate for NAME that the first has signed."""
    for ca in ("authority", "stranger"):
        _openssl(
            folder, "req", "-x509", *_new_key(ca), "-subj", f"/CN={ca}", "-days", "2", "-out", f"{ca}.crt"
        )
    _openssl(folder, "req", *_new_key("server"), "-subj", f"/CN={NAME}", "-out", "server.csr")
    (folder / "server.ext").write_text(f"subjectAltName=DNS:{NAME}\n")
    signer = ("-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial")
    request = ("-in", "server.csr", "-extfile", "server.ext")
    _openssl(folder, "x509", "-req", *request, *signer, "-days", "2", "-out", "server.crt")
    (folder / "server.key").chmod(0o600)
    return Certificates(
        authority=folder / "authority.crt",
        stranger=folder / "stranger.crt",
        certificate=folder / "server.crt",
        key=folder / "server.key",
    )


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
