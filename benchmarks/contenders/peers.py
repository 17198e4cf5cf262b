"""Other tools, each with its best documented settings; what surprised us stands at the place."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import yaml

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Job, Kind
from benchmarks.contenders.libraries import inserts_csv, program_environment, run_program
from benchmarks.environments import DLT, DUCKDB, INGESTR, PGLOADER, SLING, TARGET_POSTGRES
from benchmarks.measure import Command
from benchmarks.shapes import NARROW, TARGET

DLT_TABLE = "bench_dlt.t"


def _plain_upserts(case: Case) -> str | None:
    if case.shape is not NARROW or case.guard or case.mode == "mirror":
        return "set up here for plain inserts and upserts"
    return None if case.form in ("csv", "parquet") else f"set up here for CSV, not {case.form}"


def _csv_upserts(case: Case) -> str | None:
    return _plain_upserts(case) or (None if case.form == "csv" else "set up here for CSV")


def _sling(job: Job) -> Command:
    # Columns in the YAML file: given on the command line they were mixed up.
    columns = {column.name: _SLING_TYPES.get(column.type, column.type) for column in job.case.shape.columns}
    stream: dict[str, object] = {"columns": columns}
    if job.upserts:
        stream["primary_key"] = [job.case.shape.names[0]]
    replication = {
        "source": "LOCAL",
        "target": "BENCH",
        "defaults": {
            "mode": "incremental" if job.upserts else "truncate",
            "object": TARGET,
            "source_options": {"header": True, "empty_as_null": True},
            "target_options": {
                "use_bulk": True,
                "adjust_column_type": False,
                "add_new_columns": False,
                "column_casing": "source",
            },
        },
        "streams": {f"file://{job.file}": stream},
        "env": {"SLING_LOADED_AT_COLUMN": False},
    }
    path = job.folder / "replication.yaml"
    path.write_text(yaml.safe_dump(replication, sort_keys=False))  # it goes by the order of columns
    program = SLING.program(job.cache, "lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64")
    return Command(
        arguments=(program, "run", "-r", str(path)),
        environment={
            "BENCH": job.url,
            "SLING_DISABLE_TELEMETRY": "TRUE",
            "SLING_HOME_DIR": str(job.folder / "sling"),
            "SLING_LOADED_AT_COLUMN": "false",
        },
    )


_SLING_TYPES = {
    "numeric(12,2)": "decimal(12,2)",
    "boolean": "bool",
    "timestamptz": "timestampz",
    "jsonb": "json",
}


def _ingestr(job: Job) -> Command:
    # Without the types and --no-inference it alters the table: the key to text, and more.
    types = {"numeric(12,2)": "decimal(12,2)", "timestamptz": "timestamp", "integer": "int", "jsonb": "json"}
    columns = ",".join(f"{c.name}:{types.get(c.type, c.type)}" for c in job.case.shape.columns)
    return Command(
        arguments=(
            INGESTR.program(job.cache, "bin/ingestr"), "ingest",
            "--source-uri", f"csv://{job.file}", "--source-table", "t",
            "--dest-uri", job.url, "--dest-table", TARGET,
            "--incremental-strategy", "merge" if job.upserts else "append", "--primary-key", job.case.shape.names[0],
            "--columns", columns, "--no-inference", "--no-load-timestamp", "--schema-contract", "evolve",
            "--yes", "--progress", "log",
        ),
        environment={"INGESTR_DISABLE_TELEMETRY": "true", "DISABLE_TELEMETRY": "true"},
    )  # fmt: skip


def _widen(job: Job) -> None:
    """Make quantity what ingestr would make it itself, so that this is not in its time."""
    with psycopg.connect(job.url, autocommit=True) as conn:
        conn.execute(f"ALTER TABLE {TARGET} ALTER quantity TYPE bigint".encode())
        conn.execute("VACUUM (FREEZE, ANALYZE)")


def _dlt_first_load(job: Job) -> None:
    """Let dlt make its own table of the rows that the others start with: it keeps its state beside them."""
    if not job.upserts:
        return
    command = run_program(DLT, replace(job, case=replace(job.case, mode="insert")), "dlt_load.py")
    environment = {**command.environment, "PATH": "/usr/bin:/bin"}
    subprocess.run(command.arguments, env=environment, check=True, capture_output=True)
    with psycopg.connect(job.url, autocommit=True) as conn:
        conn.execute("VACUUM (FREEZE, ANALYZE)")


def _dlt_state(job: Job) -> None:
    if job.upserts:
        shutil.copytree(job.state / "dlt", job.folder / "dlt")


def _duckdb(job: Job) -> Command:
    command = run_program(DUCKDB, job, "duckdb_load.py")
    libpq = {
        "PGHOST": job.host,
        "PGPORT": str(job.port),
        "PGUSER": job.user,
        "PGPASSWORD": job.password,
        "PGDATABASE": job.database,
        "PGSSLMODE": "disable",
    }
    return replace(command, environment={**program_environment(job), **libpq})


def _pgloader(job: Job) -> Command:
    fields = ", ".join(
        f"{name} [null if blanks]" if name == "note" else name for name in job.case.shape.names
    )
    url = urlsplit(job.url)._replace(query="").geturl()
    path = job.folder / "bench.load"
    path.write_text(
        f"LOAD CSV FROM '{job.file}' WITH ENCODING UTF8 ({fields})\n"
        f" INTO {url} TARGET TABLE {TARGET} ({', '.join(job.case.shape.names)})\n"
        " WITH skip header = 1, fields optionally enclosed by '\"', fields escaped by double-quote,\n"
        "      fields terminated by ',', batch rows = 50000, prefetch rows = 100000, workers = 2, concurrency = 1;\n"
    )
    return Command(arguments=("pgloader", "--quiet", "--root-dir", str(job.folder), str(path)))


def _singer(job: Job) -> Command:
    config = {
        "host": job.host,
        "port": job.port,
        "user": job.user,
        "password": job.password,
        "database": job.database,
        "default_target_schema": "bench",
        "add_record_metadata": False,
        "activate_version": False,
        "batch_size_rows": 100_000,
        "use_copy": True,
        "validate_records": False,
        "load_method": "upsert",
    }
    path = job.folder / "config.json"
    path.write_text(json.dumps(config))
    program = TARGET_POSTGRES.program(job.cache, "bin/target-postgres")
    return Command(arguments=(program, "--config", str(path)), stdin=job.folder / "stream.jsonl")


def _tap(job: Job) -> None:
    """Write what a tap would send: that is not in the target's time."""
    properties = {
        "id": {"type": "integer"},
        **{name: {"type": ["string", "null"]} for name in ("email", "name", "note")},
        "amount": {"type": ["number", "null"], "multipleOf": 0.01},
        "quantity": {"type": ["integer", "null"], "minimum": -(2**31), "maximum": 2**31 - 1},
        "active": {"type": ["boolean", "null"]},
        **{
            name: {"type": ["string", "null"], "format": "date-time"} for name in ("created_at", "updated_at")
        },
        "attrs": {"type": ["object", "null"], "additionalProperties": True},
    }
    schema = {"type": "object", "properties": properties}
    with (
        job.file.open(encoding="utf-8", newline="") as records,
        (job.folder / "stream.jsonl").open("w", encoding="utf-8") as stream,
    ):
        message = {"type": "SCHEMA", "stream": "t", "schema": schema, "key_properties": ["id"]}
        stream.write(json.dumps(message) + "\n")
        for row in csv.DictReader(records):
            record = {
                **row,
                "id": int(row["id"]),
                "amount": float(row["amount"]),
                "quantity": int(row["quantity"]),
                "active": row["active"] == "true",
                "note": row["note"] or None,
                "attrs": json.loads(row["attrs"]),
            }
            stream.write(json.dumps({"type": "RECORD", "stream": "t", "record": record}) + "\n")
        stream.write('{"type": "STATE", "value": {}}\n')


CONTENDERS = (
    Contender(
        name="sling",
        title="sling 1.4.11",
        kind=Kind.PEER,
        command=_sling,
        refuses=_csv_upserts,  # for Parquet it wants a program that it downloads
        missing=SLING.missing,
    ),
    Contender(
        name="ingestr",
        title="ingestr 1.0.78",
        kind=Kind.PEER,
        command=_ingestr,
        refuses=_csv_upserts,  # from Parquet it writes `attrs` as a JSON text, and exits 0
        missing=INGESTR.missing,
        settle=_widen,
    ),
    Contender(
        name="duckdb",
        title="DuckDB 1.5.5, postgres extension",
        kind=Kind.PEER,
        command=_duckdb,
        refuses=_plain_upserts,
        missing=DUCKDB.missing,
    ),
    Contender(
        name="dlt",
        title="dlt 1.31, Arrow",  # its table has no primary key
        kind=Kind.PEER,
        command=lambda job: run_program(DLT, job, "dlt_load.py"),
        refuses=_plain_upserts,
        missing=DLT.missing,
        settle=_dlt_first_load,
        prepare=_dlt_state,
        table=DLT_TABLE,
    ),
    Contender(
        name="pgloader",
        title="pgloader 3.6",
        kind=Kind.PEER,
        command=_pgloader,
        refuses=inserts_csv,  # it has no upsert
        missing=PGLOADER.missing,
    ),
    Contender(
        name="target-postgres",
        title="target-postgres 0.8 (Singer)",
        kind=Kind.PEER,
        command=_singer,
        refuses=inserts_csv,
        missing=TARGET_POSTGRES.missing,
        prepare=_tap,
    ),
)
