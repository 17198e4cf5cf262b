"""A real PgBouncer in transaction mode before a server: each transaction may meet another session.

It hands sessions out in turn and keeps several open, so that what a run leaves in a session is missed at once.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from syncengine.embedded.binaries import as_account
from syncengine.embedded.keeper import die_with_parent
from syncengine.embedded.place import unprivileged_account
from tests.faults.ownserver import eventually

HOST = "127.0.0.1"
PLACES = ("/usr/sbin", "/usr/bin", "/usr/local/bin")
SETTINGS = """\
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
auth_user = {user}
auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1
pool_mode = transaction
server_round_robin = 1
default_pool_size = 20
min_pool_size = 3
max_client_conn = 400
autodb_idle_timeout = 10
server_login_retry = 0.1
"""


class NoPooler(Exception):
    """PgBouncer is not on this machine."""


class Pooler:
    """A running PgBouncer."""

    def __init__(self, port: int) -> None:
        self._port = port

    def url(self, url: str) -> str:
        """Return the URL of the same database by way of the pooler."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{HOST}:{self._port}"))


@contextmanager
def pooler(url: str, folder: Path) -> Iterator[Pooler]:
    """Run a PgBouncer before the server of a superuser's URL; it ends with us.  Raises NoPooler."""
    program = shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))
    if program is None:
        raise NoPooler("pgbouncer is not installed: apt-get install pgbouncer")
    place = Path(tempfile.mkdtemp(prefix="pooler-", dir=folder))
    account = unprivileged_account() if os.geteuid() == 0 else None
    port = _free_port()
    settings = _write_settings(place, url, port)
    if account is not None:
        for path in (place, *place.iterdir()):
            os.chown(path, account.uid, account.gid)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--quiet", str(settings)],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(os.getpid()) if sys.platform == "linux" else None,
            **as_account(account),
        )
    try:
        eventually(lambda: process.poll() is not None or _answers(port))
        if process.returncode is not None:
            raise NoPooler(f"pgbouncer did not start: {(place / 'log').read_text()}")
        yield Pooler(port)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


def _write_settings(place: Path, url: str, port: int) -> Path:
    server = urlsplit(url)
    users, settings = place / "users.txt", place / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{unquote(server.password or "")}"\n')
    values = {"host": server.hostname, "port": server.port, "user": server.username}
    settings.write_text(SETTINGS.format(own_port=port, users=users, **values))
    for path in (users, settings):
        path.chmod(0o600)
    return settings


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
