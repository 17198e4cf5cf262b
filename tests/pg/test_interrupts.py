"""Ctrl-C and SIGTERM, wherever a command is: it ends within two seconds, the target is as it was, and it says so."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.builders import a_spec
from tests.processes import ENOUGH, Ended, feed, interrupted, started, wait_until
from tests.runs import places
from tests.servers import Database

GATE = 4714
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')"
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'syncengine'"
ROWS = "id,v\n" + "".join(f"{number},{'x' * 90}\n" for number in range(2, 5000))
STAND_STILL = f"""
CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END$$;
CREATE TRIGGER still BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stand_still()"""
SLEEP = """
CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(60); RETURN NEW; END$$;
CREATE TRIGGER sleep BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION sleep()"""
# Always in the way of another transaction, so that the run pauses and tries again.
CONFLICT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()"""

Holding = Callable[[Database], AbstractContextManager[object]]


@contextmanager
def table_locked(db: Database) -> Iterator[None]:
    with db.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def writers_locked_out(db: Database) -> Iterator[None]:
    with db.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE t IN EXCLUSIVE MODE")
        yield


@contextmanager
def gate_closed(db: Database) -> Iterator[None]:
    with db.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield


def nothing(db: Database) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What a command is doing when it is interrupted: how it is brought there, and how the server shows it."""

    waiting: str
    command: tuple[str, ...] = ("run",)
    prepare: str = ""
    hold: Holding = nothing
    spec: dict[str, Any] = field(default_factory=dict)
    piped: bool = False


STAGED = {"execution": {"method": "staged"}}
PHASES = {
    "planning": Phase(hold=table_locked, waiting="wait_event = 'relation'"),
    "copy": Phase(piped=True, waiting="query LIKE 'COPY%'"),
    "copy-into-the-target": Phase(
        piped=True,
        spec={"mode": "insert", "conflict_keys": None, "execution": {"method": "copy"}},
        waiting="query LIKE 'COPY%'",
    ),
    "rows": Phase(
        prepare=STAND_STILL,
        hold=gate_closed,
        spec={"execution": {"method": "rows"}},
        waiting="wait_event = 'advisory'",
    ),
    "statement": Phase(prepare=SLEEP, spec=STAGED, waiting="wait_event = 'PgSleep'"),
    "lock": Phase(
        hold=writers_locked_out,
        spec={**STAGED, "mode": "mirror", "execution": {"method": "staged", "lock_timeout": "60s"}},
        waiting="wait_event = 'relation'",
    ),
    "hook": Phase(spec={**STAGED, "after": ["SELECT pg_sleep(60)"]}, waiting="wait_event = 'PgSleep'"),
    "deferred-constraints": Phase(
        prepare=STAND_STILL.replace(
            "TRIGGER still BEFORE INSERT ON t",
            "CONSTRAINT TRIGGER still AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED",
        ),
        hold=gate_closed,
        spec=STAGED,
        waiting="wait_event = 'advisory' AND query LIKE 'SET CONSTRAINTS%'",
    ),
    "retry": Phase(
        prepare=CONFLICT,
        spec={"execution": {"method": "staged", "retries": 1000}},
        waiting="state = 'idle' AND state_change < clock_timestamp() - interval '0.3 s'",
    ),
    "preview": Phase(
        command=("plan", "--diff"),
        piped=True,
        waiting="query LIKE 'COPY%'",
    ),
    "preview-of-a-run": Phase(
        command=("run", "--dry-run"),
        spec={"checks": [{"name": "slow", "sql": "SELECT pg_sleep(60) IS NOT NULL"}]},
        waiting="wait_event = 'PgSleep'",
    ),
}
SIGNALS = {"ctrl-c": (signal.SIGINT, 130), "term": (signal.SIGTERM, 143)}


def check(ended: Ended, code: int) -> None:
    word = "terminated" if code == 143 else "interrupted"
    assert (ended.code, ended.err.count("Traceback")) == (code, 0), ended.err
    assert ended.seconds < ENOUGH
    assert f"{word}: what was not committed is rolled back; run it again to go on\n" in ended.err


def written(folder: Path, phase: Phase) -> Path:
    (folder / "rows.csv").write_text(ROWS[:9000])
    keys = {"source": {"type": "csv", "path": "-" if phase.piped else "rows.csv"}, "conflict_keys": ["id"]}
    whole = {key: value for key, value in {**keys, **phase.spec}.items() if value is not None}
    return a_spec(folder, whole.pop("source"), **whole)


CASES = [
    pytest.param(phase, *SIGNALS[name], id=f"{place}-{name}")
    for place, phase in PHASES.items()
    for name in (SIGNALS if place in ("copy", "statement") else ["ctrl-c"])
]


@pytest.mark.parametrize(("phase", "number", "code"), CASES)
def test_a_command_ends_at_once_wherever_it_is(
    emptied: Database, tmp_path: Path, phase: Phase, number: signal.Signals, code: int
):
    emptied.execute(f"{TABLE}; CREATE SCHEMA syncengine; {phase.prepare}")
    spec = written(tmp_path, phase)

    before = places(emptied)
    run = started(tmp_path, *phase.command, spec, "--connection", emptied.url)
    with run as process, phase.hold(emptied):
        feed(process, ROWS if phase.piped else "")
        wait_until(lambda: emptied.execute(f"SELECT 1 {OURS} AND {phase.waiting}"))
        ended = interrupted(process, number)
    wait_until(lambda: not emptied.execute(f"SELECT 1 {OURS}"))

    check(ended, code)
    assert places(emptied) == before
    assert ended.out == ""


def test_more_signals_do_not_disturb_the_first(emptied: Database, tmp_path: Path):
    emptied.execute(f"{TABLE}; CREATE SCHEMA syncengine")
    spec = written(tmp_path, PHASES["copy"])

    before = places(emptied)
    with started(tmp_path, "run", spec, "--connection", emptied.url) as process:
        feed(process, ROWS)
        wait_until(lambda: emptied.execute(f"SELECT 1 {OURS} AND query LIKE 'COPY%'"))
        ended = interrupted(process, *[signal.SIGINT, signal.SIGTERM] * 20, signal.SIGINT, pause=0.005)
    wait_until(lambda: not emptied.execute(f"SELECT 1 {OURS}"))

    check(ended, 130)
    assert places(emptied) == before


# Where no answer comes.


@pytest.fixture
def blackhole() -> Iterator[str]:
    """Give the URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://somebody@127.0.0.1:{server.getsockname()[1]}/db"


@pytest.mark.parametrize("command", [("run",), ("plan",), ("grants",)], ids=" ".join)
def test_a_server_that_does_not_answer_is_left(blackhole: str, tmp_path: Path, command: tuple[str, ...]):
    spec = written(tmp_path, PHASES["rows"])
    with started(tmp_path, *command, spec, "--connection", blackhole) as process:
        wait_until(lambda: psutil.Process(process.pid).net_connections())
        ended = interrupted(process, signal.SIGINT)

    check(ended, 130)
    assert ended.out == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_server_that_stands_still_is_left(emptied: Database, tmp_path: Path, form: str):
    """Then the statement can't be cancelled, and the main thread waits for it."""
    emptied.execute(f"{TABLE}; {SLEEP}")
    spec = written(tmp_path, PHASES["statement"])
    with started(tmp_path, "run", spec, "--connection", emptied.url, "--format", form) as process:
        wait_until(lambda: emptied.execute(f"SELECT 1 {OURS} AND wait_event = 'PgSleep'"))
        server = psutil.Process(int(str(emptied.one(f"SELECT pid {OURS}"))))
        server.suspend()
        try:
            ended = interrupted(process, signal.SIGINT)
        finally:
            server.resume()

    check(ended, 130)
    wait_until(lambda: not emptied.execute(f"SELECT 1 {OURS}"))
    assert emptied.execute("TABLE t") == [(1, "one")]
    assert form == "text" or [one["error"]["code"] for one in json.loads(ended.out)["specs"]] == [
        "interrupted"
    ]


# What machines are told.


def specs(folder: Path, *texts: str, project: str = "") -> None:
    (folder / "rows.csv").write_text("id,v\n1,one\n2,x\n")
    (folder / "specs.yaml").write_text("---\n".join(texts))
    (folder / "syncengine.yaml").write_text(project or "embedded: true\n")


SPEC = "name: {0}\nsource: rows.csv\ntarget: public.{0}\nconflict_keys: [id]\n"
DONE, SLOW = SPEC.format("u"), SPEC.format("t") + "execution: {method: staged}\n"
LATER = SPEC.format("w") + "depends_on: [t]\n"
TABLES = f"{TABLE}; CREATE TABLE u (id int PRIMARY KEY, v text); CREATE TABLE w (id int PRIMARY KEY, v text)"
CALLS = {
    "one-after-the-other": ("", ("--jobs", "1"), {"u": None, "t": "interrupted", "w": "interrupted"}),
    "side-by-side": ("", ("--jobs", "2"), {"u": None, "t": "interrupted", "w": "interrupted"}),
    "selected": ("", ("--select", "t"), {"t": "interrupted"}),
    "group": (
        "embedded: true\ntransaction: group\n",
        (),
        {"u": "interrupted", "t": "interrupted", "w": "interrupted"},
    ),
}


@pytest.mark.parametrize(("project", "options", "codes"), CALLS.values(), ids=CALLS)
def test_an_interrupted_run_is_one_document(
    emptied: Database, tmp_path: Path, project: str, options: tuple[str, ...], codes: dict[str, str | None]
):
    emptied.execute(f"{TABLES}; {SLEEP}")
    specs(tmp_path, DONE, SLOW, LATER, project=project)
    arguments = ("run", "specs.yaml", "--format", "json", "--connection", emptied.url, *options)
    with started(tmp_path, *arguments) as process:
        wait_until(lambda: emptied.execute(f"SELECT 1 {OURS} AND wait_event = 'PgSleep'"))
        if "u" in codes and codes["u"] is None:
            wait_until(
                lambda: emptied.execute("SELECT 1 FROM syncengine.runs WHERE (spec, state) = ('u', 'done')")
            )
            time.sleep(0.5)  # for it to be told of
        ended = interrupted(process, signal.SIGTERM)

    check(ended, 143)
    document = json.loads(ended.out)
    assert (document["format"], document["ok"]) == (1, False)
    found = {one["name"]: one["error"] and one["error"]["code"] for one in document["specs"]}
    assert found == codes
    messages = {one["name"]: str(one["error"] and one["error"]["message"]) for one in document["specs"]}
    assert messages["t"] == "terminated: what was not committed is rolled back"
    assert messages.get("w", "not started: ").startswith(("not started: ", "terminated: "))
    assert all(one["inserted"] == 0 for one in document["specs"] if one["error"])


def test_what_was_done_before_the_interruption_is_told_to_people(emptied: Database, tmp_path: Path):
    emptied.execute(f"{TABLES}; {SLEEP}")
    specs(tmp_path, DONE, SLOW)
    with started(tmp_path, "run", "specs.yaml", "--jobs", "1", "--connection", emptied.url) as process:
        wait_until(lambda: emptied.execute(f"SELECT 1 {OURS} AND wait_event = 'PgSleep'"))
        ended = interrupted(process, signal.SIGINT)

    check(ended, 130)
    assert ended.out.startswith("u: upsert into public.u")
    assert len(ended.out.splitlines()) == 2


def test_a_run_that_waits_for_its_specs_is_one_document_as_well(tmp_path: Path):
    with started(tmp_path, "run", "-", "--format", "json", "--log-format", "json") as process:
        feed(process, "# more than a pipe takes before it is read\n" * 3000)
        ended = interrupted(process, signal.SIGINT)

    assert (ended.code, ended.seconds < ENOUGH) == (130, True)
    (one,) = json.loads(ended.out)["specs"]
    assert one["error"]["code"] == "interrupted"
    assert [json.loads(line)["event"] for line in ended.err.splitlines()] == ["stopped"]
