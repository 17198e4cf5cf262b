"""Every example is loaded, planned and run as a stranger would do it, on a database of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import syncengine
from syncengine.model.report import Report
from tests.conftest import RunCli
from tests.servers import Database

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted({path.parent.name for path in EXAMPLES.glob("*/*.yaml")})


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Copy the examples, so that no run leaves anything in the project."""
    kept_out = shutil.ignore_patterns(".syncengine", "out")
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=kept_out))


@pytest.mark.parametrize("name", FOLDERS)
def test_example_is_planned_and_run_and_then_has_nothing_to_do(name: str, examples: Path, newdb: Database):
    folder = examples / name
    for schema in folder.glob("schema.sql"):
        newdb.execute(schema.read_text(encoding="utf-8"))

    plans = syncengine.plan_all(syncengine.load([folder]), connection=newdb.url)
    assert all(isinstance(plan, syncengine.Plan) for plan in plans)
    assert any(report.inserted + report.updated for report in run(folder, newdb))
    assert all(report.inserted + report.updated == 0 for report in run(folder, newdb))


def test_quickstart_on_tuesday_writes_what_changed_since_monday(
    examples: Path, newdb: Database, monkeypatch: pytest.MonkeyPatch
):
    first = run(examples / "quickstart", newdb)
    monkeypatch.setenv("DAY", "tuesday")
    second = run(examples / "quickstart", newdb)

    assert [books(report) for report in first] == [(8, 8, 0, 0, 0), (5, 5, 0, 0, 0)]
    assert [books(report) for report in second] == [(9, 1, 2, 5, 1), (6, 1, 2, 2, 1)]
    assert newdb.execute("SELECT name, city FROM customers WHERE email LIKE 'chiara%'") == [
        ("Chiara Russo", "Torino")
    ]


def test_keys_are_met_whatever_their_case(examples: Path, newdb: Database):
    newdb.execute((examples / "case-insensitive-keys" / "schema.sql").read_text(encoding="utf-8"))

    (report,) = run(examples / "case-insensitive-keys", newdb)

    assert books(report) == (3, 1, 1, 0, 0)
    assert newdb.execute("SELECT email, topics FROM subscribers ORDER BY id") == [
        ("Ada@Example.com", ["news", "events"]),
        ("bruno@example.com", []),
    ]


def test_written_prices_come_out_as_a_file(examples: Path, newdb: Database):
    newdb.execute((examples / "price-update" / "schema.sql").read_text(encoding="utf-8"))

    (report,) = run(examples / "price-update", newdb)

    assert books(report) == (4, 0, 2, 1, 1)
    assert sorted(
        (examples / "price-update" / "out" / "written.csv").read_text(encoding="utf-8").splitlines()
    ) == [
        "TEA-BLACK,6.80,update",
        "TEA-GREEN,8.20,update",
        "article_no,price,_op",
    ]


def test_shop_runs_in_the_order_of_its_foreign_keys(examples: Path, newdb: Database, cli: RunCli):
    shop = examples / "shop"
    newdb.execute((shop / "schema.sql").read_text(encoding="utf-8"))
    urls = {"SYNCENGINE_URL": newdb.url}

    planned = cli("plan", "--format", "json", "--quiet", cwd=shop, env=urls)
    done = cli("run", "--env", "test", "--format", "json", cwd=shop, env=urls)

    after = {
        spec["name"]: [wait["name"] for wait in spec["after"]] for spec in json.loads(planned.stdout)["specs"]
    }
    assert after == {
        "customers": [],
        "products": [],
        "orders": ["customers"],
        "order_items": ["products", "orders"],
    }
    inserted = {spec["name"]: spec["inserted"] for spec in json.loads(done.stdout)["specs"]}
    assert list(inserted.items()) == [("customers", 3), ("products", 3), ("orders", 3), ("order_items", 4)]


@pytest.mark.parametrize(
    ("arguments", "specs"),
    [
        pytest.param(["--select", "+orders"], ["customers", "orders"], id="with-what-it-depends-on"),
        pytest.param(["--select", "tag:sales", "--jobs", "1"], ["orders", "order_items"], id="tag"),
        pytest.param(["specs/products.yaml", "--jobs", "3"], ["products"], id="path"),
    ],
)
def test_parts_of_the_shop_in_its_environment(
    examples: Path, newdb: Database, cli: RunCli, arguments: list[str], specs: list[str]
):
    shop = examples / "shop"
    newdb.execute((shop / "schema.sql").read_text(encoding="utf-8"))
    assert run(shop, newdb)

    done = cli("run", "--env", "prod", *arguments, "--format=json", cwd=shop, env={"SHOP_URL": newdb.url})

    found = json.loads(done.stdout)["specs"]
    assert (done.returncode, [spec["name"] for spec in found]) == (0, specs)
    assert {spec["connection"] for spec in found} == {"shop"}


def test_shop_in_its_environment_asks_for_a_server(examples: Path, cli: RunCli):
    done = cli("run", "--env", "prod", cwd=examples / "shop")

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("the environment variable SHOP_URL is not set") == 1


def test_program_syncs_what_it_generates(examples: Path, newdb: Database):
    done = subprocess.run(
        [sys.executable, "python_api.py", "2500"],
        cwd=examples,
        env={"SYNCENGINE_URL": newdb.url, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "2,500 inserted, 0 unchanged" in done.stdout
    assert "0 inserted, 2,500 unchanged" in done.stdout
    assert "[null-keys]" in done.stdout
    assert newdb.one("SELECT count(*) FROM measurements") == 2500


def run(folder: Path, db: Database) -> tuple[Report, ...]:
    reports = syncengine.run_all(syncengine.load([folder]), connection=db.url)
    assert [report.error for report in reports] == [None] * len(reports)
    return reports


def books(report: Report) -> tuple[int, ...]:
    return report.rows_read, report.inserted, report.updated, report.unchanged, report.skipped
