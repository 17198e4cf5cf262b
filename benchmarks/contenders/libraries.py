"""What a Python program would do instead; the ways are those of programs/library.py."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Job, Kind
from benchmarks.environments import LIBRARIES, Environment
from benchmarks.measure import Command

CONNECT = "import os, psycopg; psycopg.connect(os.environ['DATABASE_URL'])"
PROGRAMS = Path(__file__).parent.parent / "programs"


def program_environment(job: Job) -> dict[str, str]:
    """Return what the programs read from their environment."""
    columns = ";".join(f"{column.name}:{column.type}" for column in job.case.shape.columns)
    return {
        "DATABASE_URL": job.url,
        "FILE": str(job.file),
        "COLUMNS": columns,
        "MODE": job.case.mode or "",
        "SCRATCH": str(job.folder),
        "PYTHONPATH": "",
    }


def run_program(environment: Environment, job: Job, name: str, *arguments: str) -> Command:
    """Run one of programs/ in an environment of its own."""
    python = environment.program(job.cache)
    return Command(arguments=(python, str(PROGRAMS / name), *arguments), environment=program_environment(job))


def inserts_csv(case: Case) -> str | None:
    """Refuse all but plain inserts of CSV."""
    if case.mode != "insert" or case.form != "csv":
        return "set up here for inserts of CSV"
    return None


def _library(name: str, title: str) -> Contender:
    return Contender(
        name=name,
        title=title,
        kind=Kind.LIBRARY,
        command=lambda job: run_program(LIBRARIES, job, "library.py", name),
        refuses=inserts_csv,
        missing=LIBRARIES.missing,
    )


def _python(name: str, title: str, code: str) -> Contender:
    """Return a yardstick: what a Python program takes that does only that."""

    def command(job: Job) -> Command:
        return Command(arguments=(sys.executable, "-c", code), environment={"DATABASE_URL": job.url})

    return Contender(name=name, title=title, kind=Kind.LIBRARY, command=command, loads=False)


CONTENDERS = (
    _library("orm", "SQLAlchemy ORM, session.add in a loop"),
    _library("insert-list", "SQLAlchemy execute(insert, list)"),
    _library("executemany", "psycopg executemany"),
    _library("asyncpg-copy", "asyncpg copy_records_to_table"),
    _library("psycopg-write-row", "psycopg copy.write_row"),
    _library("psycopg-copy", "psycopg copy.write of file blocks"),
    _python(
        "python-connect",
        "Python: connect with psycopg",
        "import os, psycopg; psycopg.connect(os.environ['DATABASE_URL'])",
    ),
    _python("python-click", "Python: import click", "import click"),
)
