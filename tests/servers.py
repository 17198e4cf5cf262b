"""Throw-away PostgreSQL servers: one per version and test session, shared by the session's processes.

They live by the same rules as the embedded server: the last process to leave, even by kill -9, ends them.
What a killed session leaves on the disk is removed by the next one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.abc import Params

from syncengine.embedded import binaries, locks
from syncengine.embedded import server as embedded_server
from syncengine.embedded.binaries import Binaries
from syncengine.embedded.cluster import Cluster
from syncengine.embedded.place import runner_for
from syncengine.errors import EmbeddedError
from tests import pinned
from tests.pinned import NotFetched

# Newest first.
VERSIONS = ("18", "17", "16", "15", "14")
SYSTEM_SERVERS = Path("/usr/lib/postgresql")
FOLDER_VARIABLE = "SYNCENGINE_TEST_FOLDER"
REQUIRED_VARIABLE = "SYNCENGINE_REQUIRE_PG"

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",  # dead rows are counted by tests
    "max_connections": "200",
    "max_wal_size": "2GB",
}


class MissingServer(Exception):
    """The server's programs are not on this machine."""


class Database:
    """A fresh database.  `url` is for the product; `conn`, in autocommit, goes to the server with no pooler between."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.direct = server.url(name)
        self.url = server.pooled(self.direct)

    @cached_property
    def conn(self) -> psycopg.Connection:
        return self.connect()

    def connect(self) -> psycopg.Connection:
        """Open one more connection, in autocommit; it is closed with the database."""
        return psycopg.connect(self.direct, autocommit=True)

    def execute(self, query: str, params: Params | None = None) -> list[tuple[object, ...]]:
        """Run a statement; return its rows, none where it has none."""
        cursor = self.conn.execute(query.encode(), params)
        return cursor.fetchall() if cursor.description else []

    def one(self, query: str, params: Params | None = None) -> object:
        """Return the first value of the first row."""
        return self.execute(query, params)[0][0]


class Server:
    """A running server; `version` is the major one, `pooled` gives the URL by way of a pooler, if there is one."""

    def __init__(self, version: str, url: str) -> None:
        self.version = version
        self.pooled: Callable[[str], str] = lambda url: url
        self._url = url
        self._admin = psycopg.connect(url, autocommit=True)
        # Copying files is all that PostgreSQL 14 does; later it must be asked for, and is quicker without fsync.
        self._strategy = sql.SQL("" if version == "14" else " STRATEGY file_copy")

    def url(self, database: str = "postgres") -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Make a database, and drop it at the end whoever is connected."""
        name = f"t_{secrets.token_hex(6)}"
        quoted = sql.Identifier(name)
        self._admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0{}").format(quoted, self._strategy))
        database = Database(self, name)
        try:
            yield database
        finally:
            if "conn" in vars(database):
                database.conn.close()
            self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))

    def close(self) -> None:
        self._admin.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The servers of one test session, by version, started when first asked for."""

    folder: Path

    @contextmanager
    def servers(self) -> Iterator[Callable[[str], Server]]:
        """Return what gives the server of a version, or raises MissingServer."""
        started: dict[str, Server] = {}
        with ExitStack() as held:

            def get(version: str) -> Server:
                if version not in started:
                    find(version)
                    running = held.enter_context(embedded_server.hold(_cluster(self.folder / version)))
                    started[version] = Server(version, running.url)
                    held.callback(started[version].close)
                return started[version]

            yield get

    @contextmanager
    def project(self) -> Iterator[Path]:
        """Make an empty folder that the account running servers for root can reach."""
        folder = Path(tempfile.mkdtemp(prefix="project-", dir=self.folder))
        folder.chmod(0o755)
        yield folder
        _remove(folder)


@contextmanager
def session() -> Iterator[Session]:
    """Open a test session in its main process; its workers find it by `joined`."""
    root = Path(tempfile.gettempdir()) / f"syncengine-tests-{os.getuid()}"
    root.mkdir(exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to somebody else")
    with ExitStack() as held:
        with locks.exclusive(root / "lock"):
            for remains in root.glob("session-*"):
                if locks.is_free(remains / "lock"):
                    _remove(remains)
            folder = Path(tempfile.mkdtemp(prefix="session-", dir=root))
            for opened in (root, folder):
                opened.chmod(0o755)
            held.enter_context(locks.exclusive(folder / "lock"))
        os.environ[FOLDER_VARIABLE] = str(folder)
        try:
            yield Session(folder=folder)
        finally:
            _remove(folder)


def joined() -> Session:
    """Return the session that the parent process opened."""
    return Session(folder=Path(os.environ[FOLDER_VARIABLE]))


def missing(versions: Sequence[str]) -> dict[str, str]:
    """Return why which of the versions can't be tested here."""
    reasons = {}
    for version in versions:
        try:
            find(version)
        except MissingServer as error:
            reasons[version] = str(error)
    return reasons


def find(version: str) -> Binaries:
    """Return the programs of a major version: the embedded ones if they are it, the pinned, else the system's."""
    found = _found(version)
    if isinstance(found, str):
        raise MissingServer(found)
    return found


@cache
def _found(version: str) -> Binaries | str:
    """Return the programs, or why there are none: a registry that does not answer is asked once."""
    with suppress(EmbeddedError):
        embedded = binaries.packaged()
        if embedded.major == version:
            return embedded
    try:
        return _pinned(version)
    except (EmbeddedError, NotFetched) as error:
        reason = str(error)
    folder = SYSTEM_SERVERS / version / "bin"
    if folder.exists():
        return binaries.inspect(folder)
    return f"no PostgreSQL {version} here: {reason}; {folder} does not exist"


def _pinned(version: str) -> Binaries:
    pin = pinned.pins().get(version)
    if pin is None:
        raise NotFetched(f"{pinned.LOCK_FILE.name} does not name it")
    return binaries.inspect(pinned.programs(pin))


def _cluster(home: Path) -> Cluster:
    return Cluster(
        home=home,
        account=runner_for(home),
        find_binaries=lambda: find(home.name),
        settings=SETTINGS,
        locale=("--locale=C.UTF-8",),
    )


def _remove(folder: Path) -> None:
    """Remove a folder and what is in it, after the servers that may still run there."""
    for lock in folder.rglob("keeper"):
        embedded_server.stop(_cluster(lock.parent))
    shutil.rmtree(folder, ignore_errors=True)
