"""The specs that the project keeps: run twice, counters and table are what is written beside each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg import sql

import syncengine
from syncengine import registry
from syncengine.model.report import COUNTERS
from tests.features import needs
from tests.servers import Database

pytestmark = pytest.mark.every_server

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[2] / "specs").glob("*/spec.yaml"))


def setup(folder: Path) -> str:
    return (folder / "setup.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "folder", [pytest.param(folder, id=folder.name, marks=needs(setup(folder))) for folder in FOLDERS]
)
def test_spec_leaves_what_is_written_beside_it(folder: Path, db: Database, tmp_path: Path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    expected = yaml.safe_load((folder / "expected.yaml").read_text(encoding="utf-8"))
    (job,) = syncengine.load([copy / "spec.yaml"])
    table = sql.Identifier(job.spec.target.schema, job.spec.target.table)
    db.execute(setup(folder))

    assert outcome(copy, db) == complete(expected["first"])
    assert rows_of(table, db) == (folder / "expected.csv").read_text(encoding="utf-8")
    assert returned(copy) == returned_as_expected(folder)
    versions = row_versions(table, db)

    assert outcome(copy, db) == complete(expected["again"])
    assert rows_of(table, db) == expected_again(folder)
    if not expected["again"].keys() & {"inserted", "updated"}:
        assert row_versions(table, db) == versions


def test_every_mode_has_a_spec_here():
    modes = {job.spec.mode for folder in FOLDERS for job in syncengine.load([folder / "spec.yaml"])}

    assert modes == set(registry.names("modes"))


def outcome(folder: Path, db: Database) -> dict[str, Any]:
    """Run the spec; return its counters, or the code of the error."""
    (report,) = syncengine.run_all(syncengine.load([folder / "spec.yaml"]), connection=db.url)
    if report.error is not None:
        return {"error": report.error.code}
    return {counter: getattr(report, counter) for counter in COUNTERS}


def complete(counters: dict[str, Any]) -> dict[str, Any]:
    """Fill in the counters that are not stated."""
    return counters if "error" in counters else dict.fromkeys(COUNTERS, 0) | counters


def rows_of(table: sql.Identifier, db: Database) -> str:
    query = "COPY (SELECT * FROM {} AS t ORDER BY t::text COLLATE {}) TO STDOUT (FORMAT csv, HEADER)"
    with db.connect() as connection, connection.cursor() as cursor:
        connection.execute("SET TimeZone = 'UTC'")
        with cursor.copy(sql.SQL(query).format(table, sql.Identifier("C"))) as copy:
            return b"".join(copy).decode()


def row_versions(table: sql.Identifier, db: Database) -> list[tuple[object, ...]]:
    return db.conn.execute(sql.SQL("SELECT ctid, xmin FROM {} ORDER BY ctid").format(table)).fetchall()


def expected_again(folder: Path) -> str:
    """Return the table after the second run; it has a file of its own where that adds to the first."""
    again = folder / "expected-again.csv"
    return (again if again.exists() else folder / "expected.csv").read_text(encoding="utf-8")


def returned(folder: Path) -> list[str]:
    """Return the lines of the file of returned rows, if there is one; their order is not promised."""
    return [
        line
        for file in folder.glob("out/*")
        for line in sorted(file.read_text(encoding="utf-8").splitlines())
    ]


def returned_as_expected(folder: Path) -> list[str]:
    return [
        line
        for file in folder.glob("returned.*")
        for line in sorted(file.read_text(encoding="utf-8").splitlines())
    ]
