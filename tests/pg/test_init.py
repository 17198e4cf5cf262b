"""What `init` writes runs as it stands, and its types are those that `create` would have inferred."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import pytest

import syncengine
from syncengine.propose import propose
from syncengine.spec.project import Project
from tests.builders import ODD_HEADERS, a_spec
from tests.conftest import RunCli
from tests.servers import Database

pytestmark = pytest.mark.direct

TYPES = "SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_name = %s ORDER BY 1"
KEYS = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'"


def test_example_project_runs_on_the_embedded_server(project: Path, cli: RunCli):
    shop = project / "shop"
    steps = re.findall(
        r"^  (?:syncengine )(.+?)(?:   .*)?$", cli("init", "shop", cwd=project).stdout, re.MULTILINE
    )
    assert [step.partition(" ")[0] for step in steps] == ["plan", "run", "db"]

    planned, ran = (cli(*step.split(), cwd=shop) for step in steps[:2])
    again = cli(*steps[1].split(), cwd=shop)
    shown = cli("db", "psql", "-Atc", "SELECT price FROM products ORDER BY sku LIMIT 1", cwd=shop)
    cli("db", "stop", cwd=shop)

    assert (planned.returncode, ran.returncode) == (0, 0)
    assert "5 rows read = 5 inserted, 0 updated, 0 unchanged" in ran.stdout
    assert "5 rows read = 0 inserted, 0 updated, 5 unchanged" in again.stdout
    assert shown.stdout == "4.50\n"


def test_proposed_spec_runs_at_once_and_again(newdb: Database, tmp_path: Path, cli: RunCli):
    with gzip.open(tmp_path / "Order Lines.tsv.gz", "wt") as file:
        file.write("Order\tLine\tqty\n1\t1\t5\n1\t2\t5\n2\t1\t5\n")

    written = cli("init", "--from", "Order Lines.tsv.gz", cwd=tmp_path)
    runs = [cli("run", "order_lines.yaml", "--connection", newdb.url, cwd=tmp_path) for _ in range(2)]

    assert "order and line together are unique" in written.stdout
    assert [run.returncode for run in runs] == [0, 0]
    assert "3 inserted" in runs[0].stdout
    assert "3 unchanged" in runs[1].stdout
    assert newdb.one(KEYS, ["order_lines"]) == 'PRIMARY KEY ("order", line)'


def synced(db: Database, folder: Path, content: str, name: str = "rows.csv") -> syncengine.Report:
    """Write a file, have a spec proposed for it, and run that; every row must come in."""
    (folder / name).write_text(content, encoding="utf-8", newline="")
    proposal = propose(
        folder / name,
        folder=folder,
        project=Project(folder=folder),
        environ={},
        schema=folder / "spec.json",
        target="public.proposed",
    )
    (folder / "proposed.yaml").write_text(proposal.text, encoding="utf-8")
    db.execute("DROP TABLE IF EXISTS proposed")
    return syncengine.run(folder / "proposed.yaml", connection=db.url)


VALUES = {
    "integers": ["1", "-0", "999999999999999999"],
    "long-integers": ["1", "1000000000000000000"],
    "leading-zeros": ["01", "2"],
    "decimals": ["1.5", "-2", "1e300", "1E-5"],
    "plus": ["+1"],
    "booleans": ["true", "FALSE"],
    "mixed-case": ["tRue"],
    "dates": ["2024-02-29", "0001-01-01", "9999-12-31"],
    "no-date": ["2023-02-29"],
    "year-zero": ["0000-01-01"],
    "timestamps": ["2024-02-29 23:59", "2024-02-29T23:59:59.123456", "2024-02-29 00:00:00.1"],
    "date-and-timestamp": ["2024-02-29", "2024-02-29 10:00"],
    "zones": ["2024-02-29T10:00Z", "2024-02-29 10:00:00+02", "2024-02-29 10:00 -0330", "2024-02-29T10:00z"],
    "far-zones": ["2024-02-29 10:00+15:59"],
    "too-far-zones": ["2024-02-29 10:00+16:00"],
    "uuids": ["6F9619FF-8B86-D011-B42D-00C04FC964FF"],
    "text": ["a", "1"],
    "spaces": [" 1"],
    "line-end": ['"1\n"'],
    "gaps": ["1", "", "2"],
    "quoted-gap": ["1", '""'],
    "nothing": ["", ""],
}


def test_types_are_those_that_create_infers(newdb: Database, tmp_path: Path):
    height = max(map(len, VALUES.values()))
    columns = [[*values, *[values[-1]] * (height - len(values))] for values in VALUES.values()]
    header = ",".join(name.replace("-", "_") for name in VALUES)
    lines = [",".join(row) for row in zip(range_of(height), *columns, strict=True)]
    content = "\n".join([f"row,{header}", *lines, ""])

    report = synced(newdb, tmp_path, content)
    syncengine.run(
        a_spec(tmp_path, target={"table": "public.inferred", "create": True}), connection=newdb.url
    )

    assert report.inserted == height
    assert newdb.execute(TYPES, ["proposed"]) == newdb.execute(TYPES, ["inferred"])


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_proposal_for_an_odd_header_runs_at_once(header: str, newdb: Database, tmp_path: Path):
    width = len(next(csv.reader([header]))) if "\n" not in header else 2

    report = synced(newdb, tmp_path, f"{header}\n{','.join('1' * width)}\n{','.join('2' * width)}\n")

    assert (report.mode, report.inserted) == ("upsert", 2)
    assert newdb.one("SELECT count(*) FROM proposed") == 2


def test_proposal_for_json_lines_runs_at_once(newdb: Database, tmp_path: Path):
    lines = [
        '{"id": 1, "tags": ["a"], "price": 1.50, "at": "2026-01-01T00:00:00Z", "big": 123456789012345678901}',
        '{"id": 2, "tags": null, "price": 2, "at": null, "big": 1, "Late One": true}',
    ]

    synced(newdb, tmp_path, "\n".join(lines), "rows.jsonl")

    assert newdb.execute("SELECT id, tags, price::text, big::text, late_one FROM proposed ORDER BY id") == [
        (1, ["a"], "1.50", "123456789012345678901", None),
        (2, None, "2", "1", True),
    ]
    assert dict(newdb.execute(TYPES, ["proposed"]))["at"] == "timestamp with time zone"


def test_proposal_without_a_key_inserts(newdb: Database, tmp_path: Path):
    report = synced(newdb, tmp_path, "a,b\n1,1\n1,1\n")

    assert (report.mode, report.inserted) == ("insert", 2)


def test_proposal_for_an_empty_file_makes_the_table(newdb: Database, tmp_path: Path):
    report = synced(newdb, tmp_path, "a,b\n")

    assert report.rows_read == 0
    assert newdb.execute(TYPES, ["proposed"]) == [("a", "text"), ("b", "text")]


def range_of(count: int) -> list[str]:
    return [f"r{number}" for number in range(count)]
