"""What people write by hand for psql: a copy of the file into the table, or into staging and statements over it."""

from __future__ import annotations

import shlex

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Job, Kind
from benchmarks.measure import Command
from benchmarks.shapes import TARGET, Shape

STAGE = "bench.stage"


def _script(job: Job, *statements: str) -> Command:
    path = job.folder / "by_hand.sql"
    lines = (r"\set ON_ERROR_STOP on", "BEGIN;", *statements, "COMMIT;")
    path.write_text("\n".join(lines) + "\n")
    return Command(arguments=(str(job.psql), "-X", "-q", "-f", str(path), job.url))


def _copy_and_upsert(job: Job) -> Command:
    """Straight into the table where it is empty, else into staging, then ON CONFLICT."""
    case = job.case
    if case.mode == "insert":
        return _script(job, _load(job, TARGET))
    assigned = ", ".join(f"{name} = excluded.{name}" for name in case.shape.others)
    guard = f" WHERE {case.guard}" if case.guard else ""
    upsert = (
        f"INSERT INTO {TARGET} AS target SELECT * FROM {STAGE}"
        f" ON CONFLICT ({case.shape.names[0]}) DO UPDATE SET {assigned}{guard};"
    )
    return _script(job, *_staged(job), upsert, *_delete(case), f"DROP TABLE {STAGE};")


def _merge(job: Job) -> Command:
    """Write MERGE that leaves equal rows alone, with memory for its join: about the best one statement can do."""
    shape, key = job.case.shape, job.case.shape.names[0]
    differs = f"{_row('target', shape)} IS DISTINCT FROM {_row('s', shape)}"
    assigned = ", ".join(f"{name} = s.{name}" for name in shape.others)
    values = ", ".join(f"s.{name}" for name in shape.names)
    merge = (
        f"MERGE INTO {TARGET} AS target USING {STAGE} AS s ON s.{key} = target.{key}"
        f" WHEN MATCHED AND {differs} THEN UPDATE SET {assigned}"
        f" WHEN NOT MATCHED THEN INSERT ({', '.join(shape.names)}) VALUES ({values});"
    )
    memory = "SET LOCAL work_mem = '1GB';"
    return _script(job, memory, *_staged(job), f"ANALYZE {STAGE};", merge, f"DROP TABLE {STAGE};")


def _row(relation: str, shape: Shape) -> str:
    return f"({', '.join(f'{relation}.{name}' for name in shape.others)})"


def _delete(case: Case) -> tuple[str, ...]:
    if case.mode != "mirror":
        return ()
    key = case.shape.names[0]
    lacks = f"NOT EXISTS (SELECT FROM {STAGE} AS s WHERE s.{key} = target.{key})"
    return (f"DELETE FROM {TARGET} AS target WHERE {lacks};",)


def _staged(job: Job) -> tuple[str, ...]:
    create = f"CREATE UNLOGGED TABLE {STAGE} (LIKE {TARGET});"
    if job.file.suffix != ".jsonl":
        return (create, _load(job, STAGE))
    lines = f"CREATE UNLOGGED TABLE {STAGE}_lines (line jsonb);"
    # Bytes that no line holds stand for the delimiter and the quote: each line is one field.
    load = rf"\copy {STAGE}_lines FROM '{job.file}' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')"
    split = f"INSERT INTO {STAGE} SELECT r.* FROM {STAGE}_lines, jsonb_populate_record(NULL::{TARGET}, line) AS r;"
    return (create, lines, load, split, f"DROP TABLE {STAGE}_lines;")


def _load(job: Job, table: str) -> str:
    origin = f"'{job.file}'"
    if job.file.suffix == ".gz":
        origin = f"PROGRAM 'gzip -dc {shlex.quote(str(job.file))}'"
    return rf"\copy {table} FROM {origin} WITH (FORMAT csv, HEADER true)"


CONTENDERS = (
    Contender(name="psql", title=r"psql", kind=Kind.BY_HAND, command=_copy_and_upsert),
    Contender(
        name="psql-csv",
        title="psql, the same as CSV",
        kind=Kind.BY_HAND,
        command=_copy_and_upsert,
        form="csv",
    ),
    Contender(name="psql-merge", title="psql, MERGE of what differs", kind=Kind.BY_HAND, command=_merge),
)
