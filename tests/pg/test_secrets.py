"""Secrets of a connection and of a spec: in no output, plan or repr, and not seen by other sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import yaml

import syncengine
from syncengine.job import Job
from syncengine.loading import load
from tests.conftest import ROOT, RunCli
from tests.servers import Database

PASSWORD = "s3cr3t\"'\\ p@ss/w:rd"
TOP = "t0ps3cret\"'\\ é"
PARTS = ("s3cr3t", "p@ss", "w:rd", "t0ps3cret")
# Where a user may put what a variable holds.
SPEC = {
    "source": "rows.csv",
    "target": {"table": "public.t", "connection": "main"},
    "name": "t",
    "description": "${secret:TOP}",
    "conflict_keys": ["id"],
    "columns": {"name": {"expression": "source.name || $t$${secret:TOP}$t$"}},
    "where": "excluded.name <> $t$${secret:TOP}$t$",
    "update_columns": ["*", {"note": "$t$${secret:TOP}$t$"}],
    "before": ["SELECT $t$${secret:TOP}$t$"],
    "checks": [
        {"name": "${secret:TOP}", "sql": "SELECT $t$${secret:TOP}$t$ <> 'x'", "message": "${secret:TOP}"}
    ],
}


@pytest.fixture
def role(newdb: Database) -> Iterator[str]:
    """Make a role that has the secret as password."""
    name = f"keeper_{newdb.name}"
    literal = PASSWORD.replace("'", "''")
    newdb.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{literal}'")
    newdb.execute("CREATE TABLE public.t (id int PRIMARY KEY, name text, note text)")
    yield name
    newdb.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP ROLE {name}")


@pytest.fixture
def project(role: str, newdb: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with a password in a reference, and a spec with secrets all over."""
    at = urlsplit(newdb.url)
    url = f"postgresql://{role}:${{secret:PASSWORD}}@{at.hostname}:{at.port}/{newdb.name}"
    (tmp_path / "syncengine.yaml").write_text(yaml.safe_dump({"connections": {"main": url}}))
    (tmp_path / "rows.csv").write_text("id,name\n1,uno\n2,two\n")
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    for name, value in settings().items():
        monkeypatch.setenv(name, value)
    return tmp_path


def settings() -> dict[str, str]:
    return {"PASSWORD": quote(PASSWORD, safe=""), "TOP": TOP}


def without_secrets(*texts: str) -> None:
    for text in texts:
        assert [part for part in PARTS if part in text] == []


def test_no_output_of_a_call_that_works_holds_a_secret(project: Path, cli: RunCli) -> None:
    debug = ("--log-level", "debug")
    calls = [
        ("validate", project / "s.yaml", *debug),
        ("plan", project / "s.yaml", "--sql", *debug),
        ("plan", project / "s.yaml", "--sql", "--diff", "--format", "json", "--log-format", "json", *debug),
        ("run", project / "s.yaml", "--dry-run", *debug),
        ("run", project / "s.yaml", "--format", "json", "--log-format", "json", *debug),
        ("run", project / "s.yaml", *debug),
    ]
    for call in calls:
        done = cli(*call, env=settings())

        assert done.returncode == 0, done.stderr
        without_secrets(done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("key", "value", "exit_code"),
    [
        pytest.param("where", "excluded.nope = $t$${secret:TOP}$t$", 3, id="refused-by-the-server"),
        pytest.param("where", "nope($t$${secret:TOP}$t$)", 3, id="refused-offline"),
        pytest.param("before", ["SELECT CAST($t$${secret:TOP}$t$ AS int)"], 1, id="failing-hook"),
        pytest.param(
            "checks",
            [{"sql": "SELECT $t$${secret:TOP}$t$ = 'x'", "message": "${secret:TOP}"}],
            5,
            id="failing-check",
        ),
        pytest.param(
            "columns",
            {"id": {"expression": "CAST($t$${secret:TOP}$t$ AS int)"}},
            3,
            id="constant-that-is-no-number",
        ),
        pytest.param("source", "${secret:TOP}.csv", 1, id="no-such-file"),
        pytest.param("mode", "${secret:TOP}", 3, id="no-such-mode"),
        pytest.param("session", {"TimeZone": "${secret:TOP}"}, 3, id="setting"),
    ],
)
def test_no_error_holds_a_secret(
    key: str, value: object, exit_code: int, project: Path, cli: RunCli, newdb: Database
) -> None:
    (project / "s.yaml").write_text(yaml.safe_dump({**SPEC, key: value}, sort_keys=False))
    env = {**settings(), "SYNCENGINE_URL": newdb.url}

    text = cli("run", project / "s.yaml", "--log-level", "debug", env=env)
    lines = cli("run", project / "s.yaml", "--format", "json", "--log-format", "json", env=env)

    assert (text.returncode, lines.returncode) == (exit_code, exit_code), text.stdout + text.stderr
    without_secrets(text.stdout, text.stderr, lines.stdout, lines.stderr)


def test_objects_of_the_python_api_show_no_secret(project: Path) -> None:
    (job,) = load([project / "s.yaml"])
    assert isinstance(job, Job)
    plan = syncengine.plan(project / "s.yaml", diff=True)
    report = syncengine.run(project / "s.yaml")

    shown = [job, job.spec, job.project, job.spec.where, job.spec.checks, job.spec.columns, plan, report]
    without_secrets(*map(repr, shown), *map(str, shown), plan.explain(sql=True), plan.to_json())


def test_other_sessions_see_no_password(project: Path, newdb: Database) -> None:
    seen: list[str] = []

    def look(event: object) -> None:
        seen.append(str(newdb.execute("SELECT query, application_name, usename::text FROM pg_stat_activity")))

    syncengine.run(project / "s.yaml", emit=look)

    assert any("syncengine" in text for text in seen)
    for text in seen:
        assert "s3cr3t" not in text
        assert "p@ss" not in text


CRASHING = """
import os
from syncengine.cli import main
from syncengine.execute.apply import Run
def boom(*arguments):
    raise RuntimeError("boom " + os.environ["WORDS"])
Run.follow = boom
main()
"""


def test_crash_in_a_thread_of_its_own_shows_no_secret(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", CRASHING, "run", project / "s.yaml"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **settings(), "WORDS": f"{PASSWORD} {TOP}", "PYTHONPATH": str(ROOT)},
        timeout=60,
    )

    assert done.returncode == 1
    assert "unexpected RuntimeError: boom *** ***" in done.stderr
    without_secrets(done.stdout, done.stderr)


def test_password_of_the_environment_connects(project: Path, newdb: Database, role: str, cli: RunCli) -> None:
    at = urlsplit(newdb.url)
    (project / "s.yaml").write_text(yaml.safe_dump({**SPEC, "target": "public.t"}))
    place = f"{at.hostname}:{at.port}/{newdb.name}"
    ways = {
        "option": (["--connection", f"postgresql://{role}:{quote(PASSWORD, safe='')}@{place}"], {}),
        "variable": ([], {"SYNCENGINE_URL": f"postgresql://{role}:{quote(PASSWORD, safe='')}@{place}"}),
        "libpq": ([], {"SYNCENGINE_URL": f"postgresql://{role}@{place}", "PGPASSWORD": PASSWORD}),
    }
    for options, more in ways.values():
        done = cli("run", project / "s.yaml", "--format", "json", *options, env={**settings(), **more})

        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ok"]
        without_secrets(done.stdout, done.stderr)
