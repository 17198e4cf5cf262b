"""The state that a case starts from: a database with the table, empty and new, or packed, vacuumed and analyzed."""

from __future__ import annotations

import subprocess
import sys

from psycopg import Connection

from benchmarks.cache import Cache
from benchmarks.cases import Case
from benchmarks.files import data_file
from benchmarks.rows import BASE
from benchmarks.server import Server, copy_in
from benchmarks.shapes import TARGET

WARM_UP = "source: {type: rows, rows: [{id: 1}]}\ntarget: bench.ledger\nconflict_keys: [id]\n"


def template_of(case: Case, server: Server, cache: Cache) -> str:
    """Return the name of the state's database, made if it is not the last one that was asked for."""
    empty = case.mode in ("insert", None)
    name = f"start_{case.shape.name}_{0 if empty else case.rows}"
    server.forget(but=name)
    with server.making(name) as database:
        if database is not None:
            with server.connect(database) as conn:
                _fill(conn, case, cache, empty=empty)
            _with_ledger(server.url(database), cache)
    return name


def _fill(conn: Connection, case: Case, cache: Cache, *, empty: bool) -> None:
    conn.execute("CREATE SCHEMA bench")
    for statement in (*case.shape.needs, case.shape.create):
        conn.execute(statement.encode())
    if not empty:
        copy_in(conn, TARGET, data_file(cache.data, case.shape, case.rows, BASE))
    for statement in case.shape.extras:
        conn.execute(statement.encode())
    conn.execute("CREATE TABLE bench.ledger (id bigint PRIMARY KEY)")
    if not empty:
        # An empty table is not: vacuumed, it counts as small for certain, and statements that fill it are planned so.
        conn.execute("VACUUM (FREEZE, ANALYZE)")


def _with_ledger(url: str, cache: Cache) -> None:
    """Have syncengine's ledger there, as it is from anybody's second run on."""
    command = (sys.executable, "-m", "syncengine", "run", "-", "--quiet", "--connection", url)
    subprocess.run(command, input=WARM_UP, text=True, check=True, stdout=subprocess.DEVNULL, cwd=cache.folder)
