"""Connections that fail, and failures at the command line: the exit code, the words, and no secret in any of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import yaml

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec, contents, untouched
from tests.conftest import ROOT, RunCli
from tests.pg.test_bad_input import FILES, TABLE
from tests.servers import Database

pytestmark = pytest.mark.direct

ROWS = "id,name\n1,uno\n2,two\n3,three\n"
PARTS = ("s3cr3t", "p4ss", "w0rd")
PASSWORD = "s3cr3t/p4ss@w0rd"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def role(newdb: Database) -> Iterator[str]:
    """Make a role that has the secret as password."""
    name = f"loader_{newdb.name}"
    newdb.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    yield name
    newdb.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP ROLE {name}")


def url_for(db: Database, user: str, password: str = PASSWORD, **parts: object) -> str:
    """Return the database's URL for a user."""
    found = urlsplit(db.url)
    port, name = parts.get("port", found.port), parts.get("name", db.name)
    netloc = f"{user}:{quote(password, safe='')}@{parts.get('host', found.hostname)}:{port}"
    return urlunsplit(("postgresql", netloc, f"/{name}", "", ""))


def without_secrets(*texts: str) -> None:
    for text in texts:
        for part in PARTS:
            assert part not in text


def place(db: Database, role: str, kind: str) -> str:
    match kind:
        case "wrong-password":
            return url_for(db, role, "p4ss/w0rd@x")
        case "no-such-role":
            return url_for(db, f"{role}x")
        case "no-such-database":
            return url_for(db, role, name="gone")
        case "no-server":
            return url_for(db, role, port=free_port())
        case "no-such-host":
            return url_for(db, role, host="no-such-host.invalid")
        case _:
            raise ValueError(kind)


FAILING = {
    "wrong-password": "check the user and the password",
    "no-such-role": "check the user and the password",
    "no-such-database": "create the database",
    "no-server": "start the server",
    "no-such-host": "check the host's name",
}


@pytest.mark.parametrize("kind", FAILING)
def test_connection_that_fails_says_why_without_the_password(
    kind: str, newdb: Database, role: str, cli: RunCli, tmp_path: Path
):
    newdb.execute(TABLE)
    (tmp_path / "rows.csv").write_text(ROWS)
    spec = a_spec(tmp_path, conflict_keys=["id"])
    settings = {"DATABASE_URL": place(newdb, role, kind)}

    with untouched(newdb):
        text = cli("run", spec, "--log-level", "debug", env=settings)
        document = cli("run", spec, "--format", "json", "--log-format", "json", env=settings)

    assert (text.returncode, document.returncode) == (1, 1)
    error = json.loads(document.stdout)["specs"][0]["error"]
    assert error["code"] == "connection-failed"
    assert FAILING[kind] in error["hint"]
    assert error["location"]["file"] == "$DATABASE_URL"
    assert FAILING[kind] in text.stdout
    assert "cannot connect to" in text.stdout
    without_secrets(text.stdout, text.stderr, document.stdout, document.stderr)


BAD_URLS = {
    "slash-in-the-password": "postgresql://u:s3cr3t/p4ss@127.0.0.1:{port}/db",
    "at-sign-in-the-password": "postgresql://u:s3cr3t@p4ss@127.0.0.1:{port}/db",
    "hash-in-the-password": "postgresql://u:s3cr3t#p4ss@127.0.0.1:{port}/db",
    "question-mark-in-the-password": "postgresql://u:s3cr3t?p4ss@127.0.0.1:{port}/db",
    "percent-in-the-password": "postgresql://u:s3cr3t%p4ss@127.0.0.1:{port}/db",
    "space-in-the-password": "postgresql://u:s3cr3t p4ss@127.0.0.1:{port}/db",
    "colon-in-the-password": "postgresql://u:s3cr3t:p4ss@127.0.0.1:{port}/db",
    "bracket-in-the-password": "postgresql://u:s3cr3t[p4ss@127.0.0.1:{port}/db",
    "quote-in-the-password": "postgresql://u:s3cr3t'p4ss\"w0rd@127.0.0.1:{port}/db",
    "no-scheme": "u:s3cr3t@127.0.0.1/db",
    "misspelt-scheme": "postgress://u:s3cr3t@127.0.0.1/db",
    "one-slash": "postgresql:/u:s3cr3t@127.0.0.1/db",
    "another-database": "mysql://u:s3cr3t@127.0.0.1/db",
    "port-that-is-no-number": "postgresql://u:s3cr3t@127.0.0.1:54x32/db",
    "port-out-of-range": "postgresql://u:s3cr3t@127.0.0.1:543210/db",
    "unknown-parameter": "postgresql://u@127.0.0.1/db?passwort=s3cr3t",
    "bad-parameter": "postgresql://u@127.0.0.1/db?password=s3cr3t&sslmode=perhaps",
    "conninfo": "host=127.0.0.1 port={port} password='s3cr3t p4ss' user=u",
    "conninfo-without-the-closing-quote": "host=127.0.0.1 port={port} password='s3cr3t p4ss user=u",
    "conninfo-with-an-unknown-word": "host=127.0.0.1 passwort=s3cr3t",
    "only-a-secret": "s3cr3t",
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS)
def test_bad_url_is_refused_without_showing_it(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "rows.csv").write_text(ROWS)
    spec = a_spec(tmp_path, conflict_keys=["id"])

    with pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=url.format(port=free_port()))

    assert caught.value.code in ("invalid-option", "connection-failed")
    assert caught.value.hint
    assert str(caught.value.location) == "--connection"
    without_secrets(str(caught.value), repr(caught.value), repr(caught.value.__dict__), *capfd.readouterr())


BY_HAND = ["slash-in-the-password", "percent-in-the-password", "misspelt-scheme", "conninfo"]


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("how", ["option", "variable", "project"])
def test_bad_url_is_not_shown_at_the_command_line(name: str, how: str, cli: RunCli, tmp_path: Path):
    url = BAD_URLS[name].format(port=free_port())
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "syncengine.yaml").write_text("connections: {main: '${MAIN_URL}'}\n")
    spec = a_spec(tmp_path, conflict_keys=["id"])
    options, settings = {
        "option": (["--connection", url], {"MAIN_URL": "postgresql://localhost/"}),
        "variable": ([], {"DATABASE_URL": url, "MAIN_URL": "postgresql://localhost/"}),
        "project": (["--connection", "main"], {"MAIN_URL": url}),
    }[how]

    done = cli("run", spec, "--log-level", "debug", "--log-format", "json", *options, env=settings)

    assert done.returncode in (1, 3)
    assert "hint" in done.stdout + done.stderr
    without_secrets(done.stdout, done.stderr)


SCRIPT = """
import sys, syncengine
syncengine.run(sys.argv[1], connection=sys.argv[2])
"""


@pytest.mark.parametrize("kind", ["wrong-password", "no-server", "slash", "bad-row"])
def test_traceback_of_an_error_shows_no_password(kind: str, newdb: Database, role: str, tmp_path: Path):
    newdb.execute(TABLE)
    (tmp_path / "rows.csv").write_text(ROWS if kind != "bad-row" else "id,name\nx,y\n")
    spec = a_spec(tmp_path, conflict_keys=["id"])
    urls = {"slash": BAD_URLS["slash-in-the-password"].format(port=1), "bad-row": url_for(newdb, role)}
    url = urls[kind] if kind in urls else place(newdb, role, kind)

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, spec, url],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "syncengine.errors." in done.stderr
    without_secrets(done.stdout, done.stderr)


def test_line_end_after_the_url_is_no_part_of_it(newdb: Database, tmp_path: Path):
    newdb.execute(TABLE)
    (tmp_path / "rows.csv").write_text(ROWS)

    assert syncengine.run(a_spec(tmp_path, conflict_keys=["id"]), connection=f"{newdb.url}\n").inserted == 1


def test_password_is_not_shown_when_all_goes_well(newdb: Database, role: str, cli: RunCli, tmp_path: Path):
    newdb.execute(TABLE)
    (tmp_path / "rows.csv").write_text(ROWS)
    spec = a_spec(tmp_path, conflict_keys=["id"])
    settings = {"DATABASE_URL": url_for(newdb, role)}

    plan = cli("plan", spec, "--sql", "--log-level", "debug", env=settings)
    run = cli("run", spec, "--format", "json", "--log-level", "debug", "--log-format", "json", env=settings)

    assert (plan.returncode, run.returncode) == (0, 0)
    without_secrets(plan.stdout, plan.stderr, run.stdout, run.stderr)


# A folder of specs at the command line: each bad one has its error, and keeps no other back.


def a_folder(folder: Path, names: list[str]) -> None:
    """Write one spec a file, and one that is fine."""
    for name in names:
        case = FILES[name]
        (folder / f"{name}.csv").write_bytes(case.data)
        spec = {
            "source": {"path": f"{name}.csv", **case.source},
            "target": "public.t",
            "conflict_keys": ["id"],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    (folder / "fine.csv").write_text("id,name\n77,fine\n")
    (folder / "fine.yaml").write_text("{source: fine.csv, target: public.t, conflict_keys: [id]}")


READ = [name for name, case in FILES.items() if case.code != "invalid-spec"]


def test_each_bad_file_of_a_folder_has_its_error_in_the_document(
    newdb: Database, cli: RunCli, tmp_path: Path
):
    newdb.execute(TABLE)
    a_folder(tmp_path, READ)
    before = contents(newdb)["public.t"]

    done = cli("run", tmp_path, "--format", "json", "--quiet", env={"DATABASE_URL": newdb.url})

    assert done.returncode == 1
    specs = {spec["name"]: spec for spec in json.loads(done.stdout)["specs"]}
    assert sorted(specs) == sorted([*READ, "fine"])
    assert specs["fine"]["error"] is None
    for name in READ:
        error = specs[name]["error"]
        assert (error["code"], error["location"]["line"]) == (FILES[name].code, FILES[name].line)
        assert all(specs[name][counter] == 0 for counter in ("inserted", "updated", "unchanged", "skipped"))
    assert contents(newdb)["public.t"][: len(before)] == before
    assert newdb.one("SELECT count(*) FROM t") == len(before) + 1


def test_each_bad_file_of_a_folder_has_its_error_in_the_text(newdb: Database, cli: RunCli, tmp_path: Path):
    newdb.execute(TABLE)
    a_folder(tmp_path, READ)

    done = cli("run", tmp_path, env={"DATABASE_URL": newdb.url})

    assert done.returncode == 1
    for name in READ:
        assert f"{name}: failed, public.t is as it was" in done.stdout
        assert all(text.replace("rows.csv", f"{name}.csv") in done.stdout for text in FILES[name].says)
    assert "Traceback" not in done.stdout + done.stderr


def test_spec_that_can_not_work_keeps_all_from_being_started(newdb: Database, cli: RunCli, tmp_path: Path):
    newdb.execute(TABLE)
    a_folder(tmp_path, ["unknown-field", "no-header", "text-in-a-number"])

    with untouched(newdb):
        text = cli("run", tmp_path, env={"DATABASE_URL": newdb.url})
        document = cli("run", tmp_path, "--format", "json", env={"DATABASE_URL": newdb.url})

    assert (text.returncode, document.returncode) == (3, 3)
    assert text.stdout == ""
    assert "did you mean 'note'?" in text.stderr
    codes = [spec["error"]["code"] for spec in json.loads(document.stdout)["specs"]]
    assert codes == ["invalid-spec", "invalid-spec"]


def test_standard_input_is_read(newdb: Database, cli: RunCli, tmp_path: Path):
    newdb.execute(TABLE)
    spec = a_spec(tmp_path, {"path": "-", "type": "csv"}, conflict_keys=["id"])

    done = cli("run", spec, "--format", "json", env={"DATABASE_URL": newdb.url}, input=ROWS)

    assert done.returncode == 0
    assert json.loads(done.stdout)["specs"][0]["inserted"] == 1


STDIN = {
    "empty": ("", "standard input is empty", 1),
    "text-in-a-number": ("id,name\n3,a\nx,b\n", "column id", 1),
    "late-text-in-a-number": ("id,name\n" + "3,a\n" * 50_000 + "x,b\n", "standard input:50002", 1),
    "open-quote": ('id,name\n3,"a\n', "never closed", 1),
    "no-header": ("3,a\n", "no field of the source matches", 3),
}


@pytest.mark.parametrize(("data", "says", "exit_code"), STDIN.values(), ids=STDIN)
def test_bad_standard_input_is_refused(
    data: str, says: str, exit_code: int, newdb: Database, cli: RunCli, tmp_path: Path
):
    newdb.execute(TABLE)
    spec = a_spec(tmp_path, {"path": "-", "type": "csv"}, conflict_keys=["id"])

    with untouched(newdb):
        done = cli("run", spec, env={"DATABASE_URL": newdb.url}, input=data)

    assert done.returncode == exit_code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
