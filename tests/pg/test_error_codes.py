"""Every error code: a call of the command line that ends with it, what it says, and the example in docs/errors.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from syncengine.cli.pages import codes, section
from tests.conftest import RunCli
from tests.servers import Database

SPEC = "source: users.csv\ntarget: public.users\nconflict_keys: [email]\n"
ROWS = "email,name\nada@example.com,Ada\n"
TABLE = "CREATE TABLE users (email text PRIMARY KEY, name text)"
NO_SERVER = "postgresql://postgres@127.0.0.1:1/shop"
# Codes that no call can bring about here, and why.
NOT_BY_A_CALL = {
    "books-do-not-close": "it guards against faults of our own",
    "interrupted": "a signal leaves no document, but the exit codes 130 and 143",
    "limit-exceeded": "comes with limits",
    "check-failed": "comes with checks",
    "unresolved-lookup": "comes with lookups",
    "dependency-failed": "comes with depends_on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that fails: `run users.yaml` over these files and this table.

    `held` is run in a transaction that stays open meanwhile; `guest` makes a role without rights the caller;
    `shown` False: the words differ from machine to machine, so the page's example can't be compared.
    """

    spec: str = SPEC
    rows: str = ROWS
    table: str = TABLE
    exit_code: int = 1
    url: str | None = None
    held: str | None = None
    guest: bool = False
    embedded: bool = False
    mendable: bool = True
    shown: bool = True
    others: dict[str, str] = field(default_factory=dict)


CALLS = {
    "invalid-spec": Call(spec=SPEC.replace("conflict_keys", "primary_key"), exit_code=3),
    "not-available": Call(spec=SPEC.replace("users.csv", "users.parquet"), exit_code=3),
    "invalid-option": Call(url="shop.example.com", exit_code=3),
    "target-unfit": Call(table="SELECT", exit_code=3),
    "no-arbiter-index": Call(table="CREATE TABLE users (email text, name text)", exit_code=3),
    "missing-privilege": Call(guest=True, exit_code=3, shown=False),
    "no-strategy-fits": Call(spec=SPEC + "execution: {method: copy}\n", exit_code=3),
    "connection-failed": Call(url=NO_SERVER),
    "embedded-server": Call(embedded=True, shown=False),
    "source-unreadable": Call(spec=SPEC.replace("users.csv", "user.csv")),
    "bad-row": Call(
        table="CREATE TABLE users (email text PRIMARY KEY, age int)",
        rows="email,age\nada@example.com,36\nbob@example.com,unknown\n",
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
    "conflict": Call(spec=SPEC + "execution: {lock_timeout: 100ms}\n", held="LOCK users IN SHARE MODE"),
}


def test_every_code_has_a_call_or_a_reason_why_not():
    assert sorted({*CALLS, *NOT_BY_A_CALL}) == sorted(codes())
    assert CALLS.keys().isdisjoint(NOT_BY_A_CALL)


@pytest.fixture
def failed(newdb: Database, project: Path, cli: RunCli, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Make the call of a code and give its exit code and document."""
    call: Call = CALLS[request.param]
    newdb.execute(call.table)
    for name, text in {"users.yaml": call.spec, "users.csv": call.rows, **call.others}.items():
        (project / name).write_text(text)
    with ExitStack() as held:
        options = ["--connection", call.url or newdb.url]
        if call.guest:
            options = ["--connection", held.enter_context(_guest(newdb))]
        if call.embedded:
            (project / ".syncengine").mkdir()
            (project / ".syncengine" / "postgres").write_text("no folder")
            options = []
        if call.held:
            held.enter_context(newdb.conn.transaction())
            newdb.execute(call.held)
        done = cli("run", "users.yaml", "--format", "json", *options, cwd=project)
        print(cli("run", "users.yaml", *options, cwd=project))
    yield done
