"""A PostgreSQL server that a test may crash, and start again on the same data and port."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from syncengine.embedded import locks
from syncengine.embedded import server as embedded_server
from syncengine.embedded.cluster import Cluster, Embedded
from syncengine.embedded.place import runner_for
from syncengine.errors import EmbeddedError
from tests import servers

# fsync and full_page_writes stay on: a crash must lose nothing that was committed.
SETTINGS = {
    "autovacuum": "off",
    "max_connections": "60",
    "deadlock_timeout": "200ms",
    "shared_buffers": "32MB",
}
SECONDS = 30.0


class OwnServer:
    """A running server; it ends with the process that holds it, however that ends."""

    def __init__(self, cluster: Cluster, held: ExitStack) -> None:
        self.version = cluster.home.name
        self._cluster = cluster
        self._held = held
        self._running = self._start()

    @property
    def folder(self) -> Path:
        return self._cluster.home

    @property
    def account(self) -> tuple[int, int] | None:
        """Return user and group that the server runs as, None for our own."""
        account = self._cluster.account
        return (account.uid, account.gid) if account else None

    def url(self, database: str = "postgres") -> str:
        return urlunsplit(urlsplit(self._running.url)._replace(path=f"/{database}"))

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open a connection that no proxy stands in the way of, in autocommit."""
        return psycopg.connect(self.url(database), autocommit=True, application_name="tests")

    def crash(self) -> None:
        """Stop as `pg_ctl stop -m immediate` does: nothing is written, and all sessions end."""
        os.kill(self._running.pid, signal.SIGQUIT)
        eventually(lambda: locks.is_free(self._cluster.keeper))

    def restart(self) -> None:
        """Start again after a crash, on the same data and port.

        PostgreSQL does not come up by itself if it crashed while the disk knew of an unlogged table, or of an index on
        one, but not yet that it was rolled back: it finds the emptied file in its way, which is then taken away.
        """
        while True:
            try:
                self._running = self._start()
                return
            except EmbeddedError as error:
                found = re.search(r'could not create file "(base/\d+/\d+)": File exists', error.detail or "")
                file = self._cluster.data / found[1] if found else None
                if file is None or file.stat().st_size:
                    raise
                file.unlink()

    def _start(self) -> Embedded:
        return self._held.enter_context(embedded_server.hold(self._cluster))


@contextmanager
def own_server(folder: Path, version: str) -> Iterator[OwnServer]:
    """Run a server of a version below `folder`.  Raises servers.MissingServer."""
    servers.find(version)
    home = folder / version
    cluster = Cluster(
        home=home,
        account=runner_for(home),
        find_binaries=lambda: servers.find(version),
        settings=SETTINGS,
        locale=("--locale=C.UTF-8",),
    )
    try:
        with ExitStack() as held:
            yield OwnServer(cluster, held)
    finally:
        if home.exists():
            embedded_server.stop(cluster)


def eventually(true: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until it becomes true; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.01)
