"""A small file system of its own for a tablespace, so that a disk can be full without filling the machine's."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tests.faults.ownserver import OwnServer

MEGABYTES = 24


class NotPermitted(Exception):
    """No file system can be mounted here."""


@contextmanager
def small_tablespace(server: OwnServer, folder: Path) -> Iterator[str]:
    """Make a tablespace of MEGABYTES; what uses it must be gone at the end.  Raises NotPermitted."""
    name = f"small_{secrets.token_hex(4)}"
    # The server's account must reach it, which it need not be able to below a folder of pytest's.
    place = server.folder / name
    with _mounted(place, server.account), server.connect() as connection:
        location = Literal(str(place))
        connection.execute(SQL("CREATE TABLESPACE {} LOCATION {}").format(Identifier(name), location))
        try:
            yield name
        finally:
            # Before the file system goes: a server whose tablespace is missing does not start again.
            connection.execute("CHECKPOINT")
            connection.execute(SQL("DROP TABLESPACE {}").format(Identifier(name)))


def fill(connection: psycopg.Connection, tablespace: str) -> None:
    """Fill a tablespace to its last pages by a table `filler`."""
    connection.execute(SQL("CREATE TABLE filler (junk text) TABLESPACE {}").format(Identifier(tablespace)))
    connection.execute("ALTER TABLE filler ALTER junk SET STORAGE PLAIN")
    # What a failed INSERT has taken stays taken until VACUUM; smaller ones get at the rest.
    for rows in (1000, 10, 1):
        with suppress(psycopg.errors.DiskFull):
            while True:
                connection.execute(
                    "INSERT INTO filler SELECT repeat('x', 7000) FROM generate_series(1, %s)", [rows]
                )


@contextmanager
def _mounted(place: Path, account: tuple[int, int] | None) -> Iterator[None]:
    if os.geteuid() != 0 or account is None:
        raise NotPermitted("mounting a small file system takes root")
    place.mkdir()
    options = f"size={MEGABYTES}m,mode=0700,uid={account[0]},gid={account[1]}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode != 0:
        place.rmdir()
        raise NotPermitted(f"no file system can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()
