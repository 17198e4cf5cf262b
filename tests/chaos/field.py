"""Where a round takes place: a database on a server of its own, a proxy before it, the spec's files, and the client."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.chaos.cases import Row, World, source_bytes
from tests.faults.ownserver import OwnServer, eventually
from tests.faults.processes import Client, Ended
from tests.faults.proxy import Proxy

OURS = "FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() AND application_name <> 'tests'"


@dataclass(slots=True, kw_only=True)
class Field:
    """What a fault can lay its hands on.

    `client` is the run that is under way, `others` how runs beside it ended, and `other` a world in which the source
    was changed under way.
    """

    server: OwnServer
    proxy: Proxy
    world: World
    database: str
    folder: Path
    command: Callable[[Field, str], list[str]]
    client: Client | None = None
    others: list[Ended] = field(default_factory=list)
    other: World | None = None
    _starts: int = 0

    @property
    def spec(self) -> Path:
        return self.folder / "chaos.yaml"

    @property
    def source(self) -> Path:
        return self.folder / f"source.{self.world.case.form}"

    @property
    def url(self) -> str:
        return self.server.url(self.database)

    @property
    def url_by_proxy(self) -> str:
        return self.proxy.url(self.url)

    def connect(self) -> psycopg.Connection:
        return self.server.connect(self.database)

    def start(self, url: str, command: list[str] | None = None) -> Client:
        """Start a run, by default that of the round."""
        self._starts += 1
        return Client(command or self.command(self, url), self.folder / f"run{self._starts}")

    def running(self) -> Client:
        """Return the run that is under way, as soon as it can be told which that is."""
        eventually(lambda: self.client is not None)
        assert self.client is not None
        return self.client

    def rows(self) -> tuple[Row, ...]:
        with self.connect() as connection:
            if connection.execute("SELECT to_regclass('t')").fetchone() == (None,):
                return ()
            found = connection.execute("SELECT id, hits, payload FROM t ORDER BY 1, 2, 3").fetchall()
        return tuple((int(key), int(hits), str(payload)) for key, hits, payload in found)

    def done_runs(self) -> int:
        """Return how many runs are done, as the engine's ledger has it."""
        with self.connect() as connection:
            row = connection.execute("SELECT count(*) FROM syncengine.runs WHERE state = 'done'").fetchone()
        return int(row[0]) if row else 0

    def write_source(self) -> None:
        self.source.write_bytes(source_bytes(self.world.incoming, self.world.case.form, self.world.case.bad))

    def settle(self) -> None:
        """Wait until no session of ours is left; the server notices a client's death on its own time."""
        with self.connect() as connection:
            query = f"SELECT 1 {OURS}".encode()
            eventually(lambda: not connection.execute(query, [self.database]).fetchone())


@contextmanager
def a_field(
    server: OwnServer,
    proxy: Proxy,
    world: World,
    folder: Path,
    command: Callable[[Field, str], list[str]],
) -> Iterator[Field]:
    """Make a fresh database with the stored rows, and the spec with its source; drop it at the end."""
    name = f"chaos_{secrets.token_hex(4)}"
    place = folder / name
    place.mkdir()
    found = Field(
        server=server,
        proxy=proxy,
        world=world,
        database=name,
        folder=place,
        command=command,
    )
    with server.connect() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    try:
        with found.connect() as connection:
            if not world.case.creates:
                connection.execute(world.case.ddl.encode())
                with connection.cursor().copy("COPY t FROM STDIN") as copy:
                    for row in world.stored:
                        copy.write_row(row)
                if world.case.analyzed:
                    connection.execute("ANALYZE t")
        found.write_source()
        spec = {**world.case.spec, "source": os.path.relpath(found.source, place)}
        found.spec.write_text(json.dumps(spec))
        yield found
    finally:
        proxy.reset()
        with server.connect() as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
