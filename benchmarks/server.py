"""The server that all compete on, in a temporary folder, and the databases they start from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from syncengine.embedded import binaries
from syncengine.embedded import server as embedded_server
from syncengine.embedded.cluster import Cluster
from syncengine.embedded.place import runner_for

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
TRIAL = "trial"
BLOCK_BYTES = 1 << 20


class Server:
    """A running server; a template database is kept for each state that contenders start from."""

    def __init__(self, url: str, version: str) -> None:
        self.version = version
        self._url = url
        self._admin = psycopg.connect(url, autocommit=True)
        self._templates: set[str] = set()

    def url(self, database: str = TRIAL) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    def connect(self, database: str = TRIAL) -> psycopg.Connection:
        """Open a connection in autocommit; used as a context, it is closed at the end."""
        return psycopg.connect(self.url(database), autocommit=True)

    @contextmanager
    def making(self, template: str, start: str = "template0") -> Iterator[str | None]:
        """Give the name of a copy of `start` to work on, which becomes the template; None if there is one."""
        if template in self._templates:
            yield None
            return
        self._create(template, start)
        yield template
        self._templates.add(template)

    def forget(self, *, but: str) -> None:
        """Drop the templates whose names begin otherwise: they take disk, and their cached pages memory."""
        for template in [name for name in self._templates if not name.startswith(but)]:
            self._drop(template)
            self._templates.discard(template)

    def reset(self, template: str) -> None:
        """Make the trial's database a fresh copy of a template."""
        self._drop(TRIAL)
        self._create(TRIAL, template)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Write what is dirty to the disk, so that it is not written in somebody's time."""
        self._admin.execute("CHECKPOINT")

    def wal(self) -> int:
        """Return how many bytes of WAL were ever written."""
        row = self._admin.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self._admin.close()

    def _create(self, name: str, template: str) -> None:
        statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
        self._admin.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))

    def _drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def started() -> Iterator[Server]:
    """Start a server in a temporary folder; it and the folder are gone at the end, however that comes."""
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the account that runs servers for root must pass
        cluster = _cluster(folder / "postgres")
        try:
            with embedded_server.hold(cluster) as running:
                server = Server(running.url, running.version)
                yield server
                server.close()
        finally:
            embedded_server.stop(cluster)  # waits for the end: the folder goes next


def _cluster(home: Path) -> Cluster:
    return Cluster(
        home=home,
        account=runner_for(home),
        find_binaries=binaries.packaged,
        settings=SETTINGS,
        locale=("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    )


def copy_in(conn: psycopg.Connection, table: str, file: Path) -> None:
    """Load a CSV file."""
    statement = f"COPY {table} FROM STDIN (FORMAT csv, HEADER)".encode()
    with file.open("rb") as source, conn.cursor() as cursor, cursor.copy(statement) as copy:
        while block := source.read(BLOCK_BYTES):
            copy.write(block)
