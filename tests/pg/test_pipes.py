"""Standard input that stalls, breaks off or is not there: what comes is waited for, and what lacks is told."""

from __future__ import annotations

import fcntl
import gzip
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.builders import a_spec, untouched
from tests.conftest import ROOT, RunCli
from tests.processes import ENOUGH, feed, interrupted, started, wait_until
from tests.servers import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')"
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'syncengine'"
# More than a first look takes.
ROWS = "id,v\n" + "".join(f"{number},{'x' * 90}\n" for number in range(2, 3000))


@pytest.fixture
def db(emptied: Database) -> Database:
    emptied.execute(f"{TABLE}; CREATE SCHEMA syncengine")
    return emptied


def piped(folder: Path, **keys: Any) -> Path:
    return a_spec(folder, {"type": "csv", "path": "-"}, conflict_keys=["id"], **keys)


def test_a_pipe_that_stalls_is_waited_for(db: Database, tmp_path: Path):
    spec = piped(tmp_path, execution={"statement_timeout": "200ms"})
    with started(tmp_path, "run", spec, "--connection", db.url) as process:
        feed(process, ROWS)
        wait_until(lambda: db.execute(f"SELECT 1 {OURS} AND query LIKE 'COPY%'"))
        for number in range(3):
            time.sleep(0.3)
            feed(process, f"{5000 + number},late\n")
        out, err = process.communicate(timeout=20)

    assert process.returncode == 0, err
    assert "3,001 rows read" in out
    assert db.one("SELECT count(*) FROM t") == 3002


@pytest.mark.parametrize("before", ["", ROWS[5:]], ids=["soon", "late"])
@pytest.mark.parametrize(
    ("end", "says"),
    [
        pytest.param('9999,"tw', "a quoted field that is never closed", id="in-a-quoted-field"),
        pytest.param("9999", 'missing data for column "v"', id="in-a-row"),
    ],
)
def test_a_pipe_that_breaks_off_is_refused(
    db: Database, tmp_path: Path, cli: RunCli, before: str, end: str, says: str
):
    with untouched(db):
        done = cli("run", piped(tmp_path), "--connection", db.url, input=f"id,v\n{before}{end}")

    assert done.returncode == 1, done.stderr
    assert says in done.stdout
    assert "standard input" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("left", [0, 10, -9, -1])
def test_a_packed_pipe_that_breaks_off_is_refused(db: Database, tmp_path: Path, left: int):
    spec = a_spec(tmp_path, {"type": "csv", "path": "-", "compression": "gzip"}, conflict_keys=["id"])
    data = gzip.compress(ROWS.encode())[:left]

    with untouched(db):
        done = subprocess.run(
            [sys.executable, "-m", "syncengine", "run", spec, "--connection", db.url],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            input=data,
            capture_output=True,
            timeout=60,
        )

    assert done.returncode == 1
    assert b"standard input is truncated: its gzip data ends too early" in done.stdout


@pytest.mark.parametrize(
    ("path", "code"), [("spec.yaml", 1), ("-", 3)], ids=["for-the-source", "for-the-specs"]
)
def test_standard_input_that_is_closed_is_told(tmp_path: Path, path: str, code: int):
    piped(tmp_path)
    arguments = f"run {path} --connection postgresql://x@127.0.0.1:1/x"
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m syncengine {arguments} <&-"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == code, done.stderr
    assert "standard input is closed" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_first_look_that_stalls_can_be_interrupted(tmp_path: Path):
    with started(tmp_path, "run", piped(tmp_path), "--connection", "postgresql://x@127.0.0.1:1/x") as process:
        feed(process, "id,v\n1,one\n")
        wait_until(
            lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING and _has_read(process)
        )
        ended = interrupted(process, signal.SIGINT)

    assert (ended.code, ended.seconds < ENOUGH, "Traceback" in ended.err) == (130, True, False), ended.err


def _has_read(process: subprocess.Popen[str]) -> bool:
    """Tell whether nothing is left in the pipe to a process."""
    assert process.stdin is not None
    left: tuple[int] = struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))
    return left[0] == 0


def test_a_terminal_shows_how_far_a_stalled_pipe_has_come(db: Database, tmp_path: Path):
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "syncengine", "run", str(piped(tmp_path)), "--connection", db.url],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    try:
        feed(process, ROWS)
        shown = b""
        deadline = time.monotonic() + 4
        while b"kB" not in shown and time.monotonic() < deadline:
            shown += os.read(terminal, 10_000)
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)

    assert b"kB" in shown, shown[-600:]
