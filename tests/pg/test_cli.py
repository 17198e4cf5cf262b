"""The command line as a user runs it: processes, files, standard streams, exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncengine.model.report import COUNTERS
from tests.builders import contents
from tests.conftest import ROOT, RunCli
from tests.features import needs
from tests.processes import ENOUGH, wait_until
from tests.servers import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL); INSERT INTO t VALUES (1, 'one'), (2, 'two')"
SPEC = "source: rows.csv\ntarget: public.t\nconflict_keys: [id]\n"
ROWS = "id,name\n1,one\n2,zwei\n3,drei\n"
# Of this database alone: other tests write the catalogs that all databases share.
WRITES = """
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_all_tables JOIN pg_class ON pg_class.oid = relid
WHERE NOT relisshared"""
COPYING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %stage%'"
STAGING = "SELECT relname FROM pg_class WHERE relname LIKE 'stage%'"


@pytest.fixture
def db(newdb: Database) -> Database:
    newdb.execute(TABLE)
    return newdb


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a spec and its source."""
    (tmp_path / "users.yaml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text(ROWS)
    return tmp_path


def rows(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT id, name FROM t ORDER BY id")


AFTER = [(1, "one"), (2, "zwei"), (3, "drei")]


# What each command says


def test_validate_needs_no_server(cli: RunCli, folder: Path):
    (folder / "bad.yaml").write_text(SPEC + "modus: upsert\nconflict_key: [id]\n")

    good = cli("validate", "users.yaml", cwd=folder)
    bad = cli("validate", ".", cwd=folder, env={"SYNCENGINE_URL": "postgresql://nobody@nowhere.invalid/x"})

    assert (good.returncode, good.stdout) == (0, "users.yaml: users is valid (upsert into public.t)\n")
    assert (bad.returncode, bad.stdout) == (3, "")
    assert re.findall(r"^bad.yaml:(\d+):", bad.stderr, re.MULTILINE) == ["4", "5"]


@needs("pg_stat_force_next_flush")
@pytest.mark.parametrize(
    "options", [["--sql"], ["--format", "json"], ["--log-level", "debug"]], ids=lambda options: options[-1]
)
def test_plan_writes_nothing_at_all(cli: RunCli, db: Database, folder: Path, options: list[str]):
    (folder / "new.yaml").write_text(
        "source: rows.csv\ntarget: {table: public.n, create: true}\nmode: insert\n"
    )
    db.execute("SELECT pg_stat_force_next_flush()")
    before = contents(db), db.one(WRITES)

    done = cli("plan", ".", *options, "--connection", db.url, cwd=folder)

    assert (done.returncode, "users" in done.stdout, "new" in done.stdout) == (0, True, True)
    assert (contents(db), db.one(WRITES)) == before
    assert db.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'syncengine'") == []


def test_plan_is_the_same_text_each_time_and_for_people_or_machines(cli: RunCli, db: Database, folder: Path):
    texts = [cli("plan", "users.yaml", "--connection", db.url, cwd=folder).stdout for _ in range(2)]
    document = json.loads(
        cli("plan", "users.yaml", "--format=json", "--connection", db.url, cwd=folder).stdout
    )

    assert texts[0] == texts[1]
    assert texts[0].startswith("users: upsert rows.csv into public.t by rows (cost 18 rows)\n")
    (spec,) = document["specs"]
    assert (spec["strategy"], spec["name"], document["ok"]) == ("rows", "users", True)
    assert {spec[counter] for counter in COUNTERS} == {None}


def test_run_says_what_it_did(cli: RunCli, db: Database, folder: Path):
    done = cli("run", "users.yaml", "--connection", db.url, cwd=folder)

    assert done.returncode == 0
    assert re.fullmatch(
        r"users: upsert into public\.t \(--connection\) by rows in \d+\.\d\d s\n"
        r"  3 rows read = 1 inserted, 1 updated, 1 unchanged, 0 skipped, 0 duplicates\n",
        done.stdout,
    )
    assert rows(db) == AFTER


def test_run_as_a_document(cli: RunCli, db: Database, folder: Path):
    done = cli("run", "users.yaml", "--format", "json", "--connection", db.url, cwd=folder)

    document = json.loads(done.stdout)
    assert (document["format"], document["ok"], len(document["run_id"])) == (1, True, 12)
    (spec,) = document["specs"]
    assert [spec[counter] for counter in COUNTERS] == [3, 1, 1, 1, 0, 0, 0, 0]
    assert (spec["bytes_read"], spec["error"], spec["resumed"]) == (len(ROWS), None, False)


# Several specs


def test_specs_after_a_failed_one_still_run_and_the_gravest_code_is_left(
    cli: RunCli, db: Database, folder: Path
):
    (folder / "a.yaml").write_text(SPEC.replace("rows.csv", "bad.csv"))
    (folder / "bad.csv").write_text("id,name\nx,y\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "last.yml").write_text(
        "source: {rows: [{id: 9, name: neun}]}\n" + SPEC.partition("\n")[2]
    )

    done = cli("run", ".", "--format", "json", "--connection", db.url, cwd=folder)

    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"]) == (1, False)
    outcomes = {spec["name"]: spec["error"] and spec["error"]["code"] for spec in document["specs"]}
    assert outcomes == {"a": "bad-row", "users": None, "last": None}
    assert rows(db) == [*AFTER, (9, "neun")]


def test_a_spec_that_can_not_run_keeps_all_from_starting(cli: RunCli, db: Database, folder: Path):
    (folder / "a.yaml").write_text(SPEC.replace("rows.csv", "gone.csv"))
    (folder / "z.yaml").write_text(SPEC.replace("[id]", "[name]"))

    done = cli("run", "a.yaml", "users.yaml", "z.yaml", "--connection", db.url, cwd=folder)

    assert done.returncode == 3
    assert "no unique index on public.t covers conflict_keys (name)" in done.stderr
    assert rows(db) == [(1, "one"), (2, "two")]


def test_a_missing_source_is_reported_for_its_spec_alone(cli: RunCli, db: Database, folder: Path):
    (folder / "a.yaml").write_text(SPEC.replace("rows.csv", "gone.csv"))

    planned = cli("plan", ".", "--connection", db.url, cwd=folder)
    done = cli("run", ".", "--connection", db.url, cwd=folder)

    assert (planned.returncode, done.returncode) == (1, 1)
    assert "gone.csv" in planned.stdout
    assert "a: failed, public.t is as it was" in done.stdout
    assert rows(db) == AFTER


# Standard input


def test_spec_on_standard_input(cli: RunCli, db: Database, folder: Path):
    done = cli("run", "-", "--connection", db.url, cwd=folder, input=SPEC)

    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "stdin")
    assert rows(db) == AFTER


def test_source_on_standard_input(cli: RunCli, db: Database, folder: Path):
    (folder / "users.yaml").write_text(SPEC.replace("rows.csv", "{type: csv, path: '-'}"))

    done = cli("run", "users.yaml", "--connection", db.url, cwd=folder, input=ROWS)

    assert (done.returncode, rows(db)) == (0, AFTER)


def test_spec_and_source_can_not_both_be_standard_input(cli: RunCli, db: Database, folder: Path):
    spec = SPEC.replace("rows.csv", "{type: csv, path: '-'}")

    done = cli("run", "-", "--connection", db.url, cwd=folder, input=spec)

    assert done.returncode == 3
    assert (
        "<stdin>:1:9: standard input can be read once, and the specs themselves come from there"
        in done.stderr
    )


def test_two_sources_can_not_both_be_standard_input(cli: RunCli, db: Database, folder: Path):
    spec = SPEC.replace("rows.csv", "{type: csv, path: '-'}")
    (folder / "two.yaml").write_text(f"name: a\n{spec}---\nname: b\n{spec}")

    done = cli("run", "two.yaml", "--connection", db.url, cwd=folder, input=ROWS)

    assert (done.returncode, rows(db)) == (3, [(1, "one"), (2, "two")])
    assert (
        "two.yaml:7:9: standard input can be read once, and the source of a comes from there" in done.stderr
    )


# Which database


@pytest.mark.parametrize(
    ("arguments", "environ", "project", "chosen_by"),
    [
        pytest.param(["--connection", "URL"], {"SYNCENGINE_URL": "BAD"}, "", "--connection", id="url"),
        pytest.param(
            ["--connection", "prod"], {}, "connections: {prod: 'URL'}", "prod", id="name-in-the-project"
        ),
        pytest.param(
            [], {"SYNCENGINE_URL": "URL", "DATABASE_URL": "BAD"}, "", "$SYNCENGINE_URL", id="own-variable"
        ),
        pytest.param([], {"DATABASE_URL": "URL"}, "", "$DATABASE_URL", id="common-variable"),
        pytest.param(
            [], {"SYNCENGINE_URL": "", "DATABASE_URL": "URL"}, "", "$DATABASE_URL", id="empty-is-not-set"
        ),
        pytest.param([], {"DATABASE_URL": "URL", "CI": "true"}, "", "$DATABASE_URL", id="in-ci"),
    ],
)
def test_database_is_chosen_and_named(
    cli: RunCli,
    db: Database,
    folder: Path,
    arguments: list[str],
    environ: dict[str, str],
    project: str,
    chosen_by: str,
):
    (folder / "syncengine.yaml").write_text(project.replace("URL", "${TEST_URL}"))
    values = {"URL": db.url, "BAD": "postgresql://nobody@nowhere.invalid/x"}
    environ = {name: values.get(value, value) for name, value in environ.items()} | {"TEST_URL": db.url}

    done = cli(
        "run",
        "users.yaml",
        "--log-format=json",
        *(values.get(a, a) for a in arguments),
        cwd=folder,
        env=environ,
    )

    assert (done.returncode, rows(db)) == (0, AFTER)
    (line,) = [line for line in json_lines(done.stderr) if line["event"] == "target database"]
    assert (line["chosen_by"], line["place"].endswith(f"/{db.name}")) == (chosen_by, True)


@pytest.mark.parametrize(
    ("environ", "project", "message"),
    [
        pytest.param({"CI": "true"}, "", "$CI is set", id="ci"),
        pytest.param(
            {}, "connections: {prod: 'service=x'}", "the project file names connections", id="connections"
        ),
    ],
)
def test_no_embedded_server_where_a_forgotten_variable_is_likelier(
    cli: RunCli, folder: Path, environ: dict[str, str], project: str, message: str
):
    (folder / "syncengine.yaml").write_text(project)

    done = cli("run", "users.yaml", cwd=folder, env=environ)

    assert done.returncode == 3
    assert message in done.stderr
    assert not (folder / ".syncengine").exists()


def test_embedded_server_in_ci_if_the_project_says_so(cli: RunCli, project: Path):
    (project / "syncengine.yaml").write_text("embedded: true\n")
    (project / "rows.csv").write_text(ROWS)
    (project / "users.yaml").write_text(SPEC.replace("public.t", "{table: public.t, create: true}"))

    done = cli("run", "users.yaml", cwd=project, env={"CI": "true"})

    assert done.returncode == 0, done.stderr
    assert "(embedded)" in done.stdout
    assert "target database" in done.stderr


# Logs


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_quiet_says_nothing_beside_the_result(cli: RunCli, db: Database, folder: Path):
    done = cli("run", "users.yaml", "--quiet", "--connection", db.url, cwd=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 2


def test_logs_for_people_name_the_database_and_the_outcome(cli: RunCli, db: Database, folder: Path):
    done = cli("run", "users.yaml", "--connection", db.url, cwd=folder)

    assert "target database" in done.stderr
    assert "spec finished" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("level", ["info", "debug"])
def test_every_log_line_is_json_with_its_run_spec_and_step(
    cli: RunCli, db: Database, folder: Path, level: str
):
    spec = SPEC + "execution: {method: staged}\n"
    (folder / "users.yaml").write_text(spec)

    done = cli(
        "run", "users.yaml", "--log-format=json", "--log-level", level, "--connection", db.url, cwd=folder
    )

    lines = json_lines(done.stderr)
    assert {len(line["run_id"]) for line in lines} == {12}
    assert len({line["run_id"] for line in lines}) == 1
    assert [line["event"] for line in lines if line["spec"] != "users"] == ["target database"]
    steps = [line for line in lines if line["event"] == "step"]
    assert {"COPY 2 fields into staging", "insert the new rows"} <= {step["step"] for step in steps}
    assert all({"rows", "seconds", "unit"} <= step.keys() for step in steps)
    assert ("debug" in {line["level"] for line in lines}) is (level == "debug")


@pytest.mark.parametrize(
    ("spec", "code", "event"),
    [
        pytest.param("modus: x\n" + SPEC, 3, "refused", id="spec"),
        pytest.param(SPEC.replace("[id]", "[name]"), 3, "refused", id="table"),
        pytest.param(SPEC.replace("rows.csv", "gone.csv"), 1, "spec failed", id="source"),
        pytest.param(SPEC + "columns: {id: name, name: id}\n", 1, "spec failed", id="row"),
    ],
)
def test_errors_are_json_lines_too(cli: RunCli, db: Database, folder: Path, spec: str, code: int, event: str):
    (folder / "users.yaml").write_text(spec)

    done = cli("run", "users.yaml", "--log-format=json", "--connection", db.url, cwd=folder)

    (error,) = [line for line in json_lines(done.stderr) if line["level"] == "error"]
    assert (done.returncode, error["event"]) == (code, event)
    assert {"code", "message", "location", "run_id"} <= error.keys()


def test_no_log_line_shows_what_a_secret_file_holds(cli: RunCli, db: Database, folder: Path):
    (folder / "token").write_text("hunter2hunter2\n")
    (folder / "users.yaml").write_text(
        SPEC + "columns: {name: {expression: \"'${file:token}'\"}}\nignore_fields: [name]\n"
    )

    planned = cli("plan", "users.yaml", "--sql", "--format", "json", "--connection", db.url, cwd=folder)
    done = cli("run", "users.yaml", "--log-level", "debug", "--connection", db.url, cwd=folder)

    assert (planned.returncode, done.returncode) == (0, 0), done.stderr
    assert "***" in planned.stdout
    assert "hunter2" not in planned.stdout + planned.stderr + done.stdout + done.stderr


# Interruptions


def test_interruption_of_a_big_copy_is_quick_logged_and_leaves_nothing(db: Database, folder: Path):
    (folder / "users.yaml").write_text(SPEC.replace("rows.csv", "{type: csv, path: '-'}"))
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "syncengine",
            "run",
            "users.yaml",
            "--log-format=json",
            "--connection",
            db.url,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write("id,name\n" + "".join(f"{number},{'x' * 80}\n" for number in range(10, 20_000)))
        process.stdin.flush()
        wait_until(lambda: bool(db.execute(COPYING)))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(10)
        seconds = time.monotonic() - began
        out, err = process.communicate()

    assert (code, out) == (143, "")
    assert seconds < ENOUGH
    last = json_lines(err)[-1]
    assert (last["event"], last["message"].partition(":")[0]) == ("stopped", "terminated")
    assert (rows(db), db.execute(STAGING)) == ([(1, "one"), (2, "two")], [])


# Terminals and readers that go away


def on_a_terminal(arguments: Sequence[str | Path], folder: Path, stdin: Iterator[str]) -> tuple[int, str]:
    """Run with standard output and error on a pseudo-terminal; return the exit code and what was shown."""
    master, slave = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "syncengine", *map(str, arguments)],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=slave,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    assert process.stdin is not None
    shown = b""
    with process.stdin:
        for piece in stdin:
            process.stdin.write(piece)
            process.stdin.flush()
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not block:
            break
        shown += block
    os.close(master)
    return process.wait(20), shown.decode()


def screen(text: str) -> list[str]:
    """Return the lines that stay on the screen: what was erased or written over is gone."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        match part[-1] if part.startswith("\x1b") else part:
            case "\r":
                column = 0
            case "\n":
                row, lines = row + 1, lines + [""] * (row + 2 - len(lines))
            case "A":
                row -= int(part[2:-1] or 1)
            case "K":
                lines[row] = "" if part[2:-1] == "2" else lines[row][:column]
            case _ if not part.startswith("\x1b"):
                lines[row] = lines[row][:column] + part + lines[row][column + len(part) :]
                column += len(part)
            case _:
                pass
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_shows_a_bar_and_then_a_clean_report(db: Database, folder: Path):
    def pieces() -> Iterator[str]:
        yield "id,name\n"
        for start in range(0, 60_000, 10_000):
            yield "".join(f"{number},{'x' * 50}\n" for number in range(start, start + 10_000))
            time.sleep(0.15)

    (folder / "users.yaml").write_text(SPEC.replace("rows.csv", "{type: csv, path: '-'}"))

    code, shown = on_a_terminal(["run", "users.yaml", "--connection", db.url], folder, pieces())

    assert code == 0, shown
    assert re.search(r"users.*MB/s", shown)
    lines = screen(shown)
    assert lines[0].startswith("target database: ")
    assert re.fullmatch(r"users: upsert into public\.t \(--connection\) by staged in .* s", lines[1])
    assert lines[2:] == [
        "  60,000 rows read = 59,998 inserted, 2 updated, 0 unchanged, 0 skipped, 0 duplicates"
    ]


@pytest.mark.parametrize("pipe", ["| head -0", "2>&1 | head -1", "2>&1 >/dev/null | head -0"])
def test_a_reader_that_goes_away_does_not_stop_the_run(db: Database, folder: Path, pipe: str):
    command = (
        f"{sys.executable} -m syncengine run users.yaml --log-level debug {pipe}; echo ${{PIPESTATUS[0]}} >&2"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SYNCENGINE_URL": db.url}

    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environ, capture_output=True, text=True)

    assert done.stderr.splitlines()[-1] == "0"
    assert "Traceback" not in done.stderr
    assert rows(db) == AFTER
