"""Every error code: a call of the command line that ends with it, what it says, and the example in docs/errors.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from syncengine.cli.pages import section, sections
from tests.conftest import RunCli
from tests.servers import Database

SPEC = "source: users.csv\ntarget: public.users\nconflict_keys: [email]\n"
ROWS = "email,name\nada@example.com,Ada\n"
TABLE = "CREATE TABLE users (email text PRIMARY KEY, name text)"
NO_SERVER = "postgresql://postgres@127.0.0.1:1/shop"
# Errors of no place in a file.
NO_PLACE = ("conflict", "embedded-server", "group-rolled-back")
# Codes that no call can bring about here, and why.
NOT_BY_A_CALL = {
    "books-do-not-close": "it guards against faults of our own",
    "taken-over": "a process must be stopped and waked up again: test_one_writer.py",
    "unfinished-run": "a process must be killed first: test_resuming.py",
    "locked": "another process must hold the run: test_one_writer.py",
    "interrupted": "a signal leaves no document, but the exit codes 130 and 143",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that fails: `run users.yaml` over these files and this table.

    `held` is run in a transaction that stays open meanwhile; `guest` makes a role without rights the caller;
    `embedded`: no database is named.  `machine`: the words differ from machine to machine, so the page's example has
    others.  `project` is the project file.
    """

    spec: str = SPEC
    rows: str = ROWS
    table: str = TABLE
    exit_code: int = 1
    url: str | None = None
    held: str | None = None
    guest: bool = False
    embedded: bool = False
    project: str | None = None
    machine: bool = False


CALLS = {
    "invalid-spec": Call(spec=SPEC.replace("conflict_keys", "primary_key"), exit_code=3),
    "not-available": Call(spec=SPEC.replace("users.csv", "s3://shop/users.csv"), exit_code=3),
    "invalid-option": Call(url="shop.example.com", exit_code=3),
    "target-unfit": Call(table="SELECT", exit_code=3),
    "no-arbiter-index": Call(table="CREATE TABLE users (email text, name text)", exit_code=3),
    "missing-privilege": Call(guest=True, exit_code=3, machine=True),
    "no-strategy-fits": Call(spec=SPEC + "execution: {method: copy}\n", exit_code=3),
    "connection-failed": Call(url=NO_SERVER),
    "embedded-server": Call(embedded=True, machine=True),
    "source-unreadable": Call(spec=SPEC.replace("users.csv", "user.csv")),
    "bad-row": Call(
        table="CREATE TABLE users (email text PRIMARY KEY, age int)",
        rows="email,age\nada@example.com,36\nbob@example.com,unknown\n",
    ),
    "too-many-bad-rows": Call(
        table="CREATE TABLE users (email text PRIMARY KEY, age int)",
        rows="email,age\nada@example.com,36\nbob@example.com,unknown\n",
        spec=SPEC + "bad_rows: {quarantine: true, max: 0}\n",
    ),
    "unreadable-keys": Call(
        rows=ROWS + "bob@example.com\n", spec=SPEC + "mode: replace\nbad_rows: quarantine\n", exit_code=5
    ),
    "duplicate-keys": Call(rows=ROWS + "ada@example.com,Ada Lovelace\n"),
    "null-keys": Call(rows=ROWS + ",Bob\n"),
    "ambiguous-key": Call(
        table="CREATE TABLE users (email text, name text);"
        " INSERT INTO users VALUES ('ada@example.com', 'A.'), ('ada@example.com', 'B.')",
        spec=SPEC + "mode: update\n",
    ),
    "database-error": Call(
        table=f"{TABLE}; INSERT INTO users VALUES ('ada@example.com', 'Ada')",
        spec=SPEC.partition("conflict")[0] + "mode: insert\n",
    ),
    "limit-exceeded": Call(
        table=f"{TABLE}; INSERT INTO users SELECT n || '@example.com' FROM generate_series(1, 40) AS n",
        spec=SPEC + "mode: mirror\nlimits: {max_deletes: 5%}\n",
        exit_code=5,
    ),
    "check-failed": Call(
        spec=SPEC + "checks:\n  - name: enough users\n    sql: SELECT count(*) > 100 FROM users\n"
        "    message: the export is cut off\n",
        exit_code=5,
    ),
    "would-cascade": Call(
        table=f"{TABLE}; INSERT INTO users VALUES ('bob@example.com', 'Bob');"
        " CREATE TABLE orders (id int, email text REFERENCES users ON DELETE CASCADE);"
        " INSERT INTO orders VALUES (1, 'bob@example.com')",
        spec=SPEC + "mode: mirror\nlimits: {max_deletes: 100%}\n",
        exit_code=5,
    ),
    "unresolved-lookup": Call(
        table="CREATE TABLE countries (id int PRIMARY KEY, code text UNIQUE);"
        " CREATE TABLE users (email text PRIMARY KEY, country_id int REFERENCES countries)",
        rows="email,country\nada@example.com,XY\n",
        spec=SPEC + "ignore_fields: [country]\n"
        "lookups:\n  country_id: {table: public.countries, match: {code: source.country}}\n",
    ),
    "dependency-failed": Call(
        table=f"{TABLE}; CREATE TABLE countries (code text PRIMARY KEY)",
        spec="name: countries\nsource: countries.csv\ntarget: public.countries\nconflict_keys: [code]\n"
        f"---\nname: users\n{SPEC}depends_on: [countries]\n",
    ),
    "group-rolled-back": Call(
        table=f"{TABLE}; CREATE TABLE countries (code text PRIMARY KEY)",
        spec="name: countries\nsource: countries.csv\ntarget: public.countries\nconflict_keys: [code]\n"
        f"---\nname: users\n{SPEC}",
        project="transaction: group\n",
    ),
    "conflict": Call(spec=SPEC + "execution: {lock_timeout: 100ms}\n", held="LOCK users IN SHARE MODE"),
}


def test_every_code_has_a_call_or_a_reason_why_not():
    assert sorted([*CALLS, *NOT_BY_A_CALL]) == sorted(sections())


@pytest.fixture
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


@pytest.fixture
def arguments(call: Call, newdb: Database, project: Path) -> Iterator[list[str]]:
    """Put everything in place for a call, and give its arguments."""
    newdb.execute(call.table)
    (project / "users.yaml").write_text(call.spec)
    (project / "users.csv").write_text(call.rows)
    if call.project is not None:
        (project / "syncengine.yaml").write_text(call.project)
    with ExitStack() as held:
        url = held.enter_context(guest(newdb)) if call.guest else call.url or newdb.url
        if call.embedded:
            held.enter_context(a_file_for_a_folder(project / ".syncengine" / "postgres"))
        if call.held:
            held.enter_context(newdb.conn.transaction())
            newdb.execute(call.held)
        yield ["run", "users.yaml", *([] if call.embedded else ["--connection", url])]


@contextmanager
def guest(db: Database) -> Iterator[str]:
    """Make a role that may do nothing but log in."""
    name = f"guest_{db.name}"
    db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    yield make_conninfo(db.url, user=name, password="secret")
    db.execute(f"DROP ROLE {name}")


@contextmanager
def a_file_for_a_folder(path: Path) -> Iterator[None]:
    """Put a file where the embedded server wants its folder."""
    path.parent.mkdir()
    path.write_text("no folder")
    yield
    path.unlink()


@pytest.mark.parametrize(("code", "call"), list(zip(CALLS, CALLS, strict=True)), indirect=["call"], ids=CALLS)
def test_call_ends_with_the_code_its_exit_code_and_a_hint(
    code: str, call: Call, arguments: list[str], cli: RunCli, project: Path
):
    done = cli(*arguments, "--format", "json", cwd=project)

    document = json.loads(done.stdout)
    error = next(spec["error"] for spec in document["specs"] if spec["error"]["code"] == code)
    assert (done.returncode, document["ok"], error["code"]) == (call.exit_code, False, code)
    assert set(error) == {"code", "message", "detail", "hint", "location"}
    assert error["hint"]
    assert (error["location"] is None) == (code in NO_PLACE)
    assert section(code).split("\n\n")[1].startswith(f"Exit code {call.exit_code}, ")
    assert call.machine or shown(error) <= set(section(code).splitlines())


def shown(error: dict[str, Any]) -> set[str]:
    """Return the lines that people see of an error, but for its details."""
    place = error["location"]
    parts = [place["file"], *(str(place[key]) for key in ("line", "column") if place[key])] if place else []
    where = f"{':'.join(parts)}: " if place else ""
    return {f"{where}{error['message']} [{error['code']}]", f"  hint:   {error['hint']}"}
