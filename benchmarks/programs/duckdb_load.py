"""DuckDB and its postgres extension.  From the environment: FILE, MODE, COLUMNS, and libpq's PG variables."""

from __future__ import annotations

import os

import duckdb

FILE = os.environ["FILE"]
COLUMNS = [tuple(item.split(":", 1)) for item in os.environ["COLUMNS"].split(";")]
TYPES = {
    "numeric(12,2)": "DECIMAL(12,2)",
    "text": "VARCHAR",
    "jsonb": "VARCHAR",
    "double precision": "DOUBLE",
}


def source() -> str:
    """Return what reads the file."""
    if FILE.endswith(".parquet"):
        return f"read_parquet('{FILE}')"
    types = ", ".join(f"'{name}': '{TYPES.get(kind, kind.upper())}'" for name, kind in COLUMNS)
    return f"""read_csv('{FILE}', header = true, quote = '"', escape = '"', columns = {{{types}}})"""


def on_server(conn: duckdb.DuckDBPyConnection, statement: str) -> None:
    conn.execute(f"CALL postgres_execute('pg', '{statement}')")


def main() -> None:
    conn = duckdb.connect()
    try:
        conn.execute("LOAD postgres")
    except duckdb.Error:
        from duckdb_extensions import import_extension

        import_extension("postgres_scanner")
        conn.execute("LOAD postgres")
    conn.execute("SET TimeZone = 'UTC'")
    conn.execute("ATTACH '' AS pg (TYPE postgres)")
    if os.environ["MODE"] == "insert":
        conn.execute(f"INSERT INTO pg.bench.t SELECT * FROM {source()}")
        return
    key, *others = (name for name, _ in COLUMNS)
    assigned = ", ".join(f"{name} = excluded.{name}" for name in others)
    on_server(conn, "CREATE UNLOGGED TABLE bench.stage (LIKE bench.t)")
    conn.execute("CALL pg_clear_cache()")
    conn.execute(f"INSERT INTO pg.bench.stage SELECT * FROM {source()}")
    upsert = f"INSERT INTO bench.t SELECT * FROM bench.stage ON CONFLICT ({key}) DO UPDATE SET {assigned}"
    on_server(conn, upsert)
    on_server(conn, "DROP TABLE bench.stage")


main()
