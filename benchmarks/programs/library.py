"""The ways that a Python program has to load rows: `python library.py METHOD`.

From the environment: FILE (CSV), DATABASE_URL, COLUMNS (name:type, …).  All load into bench.t, in one transaction.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

URL = os.environ["DATABASE_URL"]
FILE = os.environ["FILE"]
COLUMNS = [tuple(item.split(":", 1)) for item in os.environ["COLUMNS"].split(";")]
NAMES = [name for name, _ in COLUMNS]
BLOCK_BYTES = 1 << 18

Read = Callable[[str], Any]
READ: dict[str, Read] = {
    "bigint": int,
    "integer": int,
    "numeric(12,2)": Decimal,
    "boolean": lambda text: text == "true",
    "timestamptz": datetime.fromisoformat,
}


def records() -> Iterator[list[str | None]]:
    """Yield the file's fields; an empty one is NULL."""
    with open(FILE, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        next(reader)
        for record in reader:
            yield [field or None for field in record]


def values(json_value: Read = str) -> Iterator[tuple[Any, ...]]:
    """Yield Python objects."""
    readers: list[Read] = [json_value if kind == "jsonb" else READ.get(kind, str) for _, kind in COLUMNS]
    for record in records():
        yield tuple(None if text is None else read(text) for read, text in zip(readers, record, strict=True))


def table() -> tuple[Any, Any]:
    """Return SQLAlchemy's engine and table."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql import JSONB

    types = {
        "bigint": sa.BigInteger(),
        "integer": sa.Integer(),
        "numeric(12,2)": sa.Numeric(12, 2),
        "boolean": sa.Boolean(),
        "timestamptz": sa.DateTime(timezone=True),
        "jsonb": JSONB(),
    }
    columns = [
        sa.Column(name, types.get(kind, sa.Text()), primary_key=name == "id") for name, kind in COLUMNS
    ]
    engine = sa.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))
    return engine, sa.Table("t", sa.MetaData(schema="bench"), *columns)


def orm() -> None:
    from sqlalchemy.orm import Session, registry

    engine, mapped = table()

    class Row:
        pass

    registry().map_imperatively(Row, mapped)
    with Session(engine) as session:
        for record in values(json.loads):
            row = Row()
            for name, value in zip(NAMES, record, strict=True):
                setattr(row, name, value)
            session.add(row)
        session.commit()


def insert_list() -> None:
    import sqlalchemy as sa

    engine, into = table()
    rows = [dict(zip(NAMES, record, strict=True)) for record in values(json.loads)]
    with engine.begin() as conn:
        conn.execute(sa.insert(into), rows)


def executemany() -> None:
    import psycopg

    places = ", ".join(["%s"] * len(NAMES))
    with psycopg.connect(URL) as conn, conn.cursor() as cursor:
        cursor.executemany(f"INSERT INTO bench.t VALUES ({places})", values())


def asyncpg_copy() -> None:
    import asyncpg

    async def load() -> None:
        conn = await asyncpg.connect(URL)
        async with conn.transaction():
            await conn.copy_records_to_table("t", schema_name="bench", records=values(), columns=NAMES)
        await conn.close()

    asyncio.run(load())


def psycopg_write_row() -> None:
    import psycopg

    with (
        psycopg.connect(URL) as conn,
        conn.cursor() as cursor,
        cursor.copy("COPY bench.t FROM STDIN") as copy,
    ):
        for record in records():
            copy.write_row(record)


def psycopg_copy() -> None:
    import psycopg

    statement = "COPY bench.t FROM STDIN (FORMAT csv, HEADER)"
    with (
        open(FILE, "rb", buffering=0) as file,
        psycopg.connect(URL) as conn,
        conn.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        while block := file.read(BLOCK_BYTES):
            copy.write(block)


METHODS = {
    "orm": orm,
    "insert-list": insert_list,
    "executemany": executemany,
    "asyncpg-copy": asyncpg_copy,
    "psycopg-write-row": psycopg_write_row,
    "psycopg-copy": psycopg_copy,
}

if __name__ == "__main__":
    METHODS[sys.argv[1]]()
