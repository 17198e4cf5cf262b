"""Start, share and stop one embedded server.

It listens on 127.0.0.1 at a port of its own and asks for a random password.  That is the one way that
always works: a unix socket's path is limited to some 100 bytes, needs a folder that the server and the user
can enter and nobody else, and many database tools can't use one.

The keeper (keeper.py) is the server's parent, in a session of its own: Ctrl-C at the terminal reaches none.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from syncengine.embedded import binaries, locks
from syncengine.embedded.cluster import (
    Cluster,
    Embedded,
    make_data,
    make_home,
    password_of,
    plain_errors,
    server_environment,
    write_whole,
)
from syncengine.errors import EmbeddedError

HOST = "127.0.0.1"
SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 60.0
PAUSE = 0.005
PORT_ATTEMPTS = 3

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What PostgreSQL writes to postmaster.pid; `status` is its last line, such as "ready"."""

    pid: int
    port: int
    status: str


@contextmanager
def hold(cluster: Cluster) -> Iterator[Embedded]:
    """Use the server, started if need be; the last holder's end stops it."""
    with ExitStack() as held:
        with plain_errors():
            make_home(cluster)
            with locks.exclusive(cluster.lock):
                held.enter_context(locks.shared(cluster.users))
                running = _running(cluster, _settled(cluster) or _boot(cluster))
        yield running


def start(cluster: Cluster) -> Embedded:
    """Start the server, or keep the one that runs, until `stop`."""
    with plain_errors():
        make_home(cluster)
        with locks.exclusive(cluster.lock), locks.shared(cluster.users):
            pid_file = _settled(cluster) or _boot(cluster)
            write_whole(cluster.persistent, "", cluster.account)
            return _running(cluster, pid_file)


def stop(cluster: Cluster) -> bool:
    """Stop the server, whoever uses it; return whether it was running."""
    if not cluster.home.exists():
        return False
    with plain_errors(), locks.exclusive(cluster.lock):
        pid_file = _settled(cluster)
        cluster.persistent.unlink(missing_ok=True)
        if pid_file is None:
            return False
        _shut_down(cluster, pid_file)
        return True


def status(cluster: Cluster) -> Embedded | None:
    """Return the server if it runs and takes connections now."""
    if not cluster.home.exists():
        return None
    with plain_errors():
        pid_file = None if locks.is_free(cluster.keeper) else _ready(cluster)
        return _running(cluster, pid_file) if pid_file else None


def _running(cluster: Cluster, pid_file: PidFile) -> Embedded:
    return Embedded(
        # No TLS on the loopback: a PGSSLMODE meant for another server must not reach this one.
        url=f"postgresql://postgres:{password_of(cluster)}@{HOST}:{pid_file.port}/postgres?sslmode=disable",
        version=cluster.find_binaries().version,
        folder=cluster.data,
        port=pid_file.port,
        pid=pid_file.pid,
        persistent=cluster.persistent.exists(),
        note=cluster.note,
    )


def _settled(cluster: Cluster) -> PidFile | None:
    """Wait out a start or an end that is under way; return the server if it runs then.  Needs `lock`."""
    if locks.is_free(cluster.keeper):
        _end_orphan(cluster)
        return None

    def ready_or_gone() -> PidFile | bool | None:
        return _ready(cluster) or locks.is_free(cluster.keeper) or None

    found = _wait(ready_or_gone, SECONDS_TO_START)
    if found is None:
        hint = "`syncengine db stop`, then run it again"
        raise EmbeddedError(
            "the embedded server neither starts nor ends", detail=cluster.log_end(), hint=hint
        )
    return found if isinstance(found, PidFile) else None


def _boot(cluster: Cluster) -> PidFile:
    programs = binaries.usable_by(cluster.account, cluster.find_binaries())
    make_data(cluster, programs)
    cluster.persistent.unlink(missing_ok=True)
    for _ in range(PORT_ATTEMPTS):
        port = _free_port(cluster)
        _launch(cluster, programs.folder / "postgres", port)
        if found := _settled(cluster):
            write_whole(cluster.port, str(port), cluster.account)
            return found
        if "Address already in use" not in cluster.log_end():
            break
    raise EmbeddedError(
        "the embedded server did not start",
        detail=cluster.log_end(),
        hint=f"the whole log: {cluster.home / 'server.log'}",
    )


def _launch(cluster: Cluster, postgres: Path, port: int) -> None:
    """Start the keeper with the server; back as soon as the keeper holds its lock."""
    account = cluster.account
    # Locks are files of the account's, so the keeper can open them once it is the account.
    with locks.shared(cluster.keeper):
        pass
    identity = (account.uid, account.gid) if account else (-1, -1)
    keeper = Path(__file__).with_name("keeper.py")
    command = (postgres, "-D", cluster.data, "-p", port, "-h", HOST, "-k", "")
    done = subprocess.run(
        [sys.executable, "-I", "-S", *map(str, (keeper, cluster.home, *identity, *command))],
        cwd=cluster.home,
        env=server_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    if done.returncode != 0:
        detail = done.stderr.decode(errors="replace").strip()
        hint = "mend what it says, or name a server with --connection or SYNCENGINE_URL"
        raise EmbeddedError("the embedded server's keeper did not start", detail=detail or None, hint=hint)


def _ready(cluster: Cluster) -> PidFile | None:
    """Return the server if it says it is ready and its port answers."""
    found = _read_pid_file(cluster.data)
    if found is None or found.status != "ready":
        return None
    # A server that was killed leaves its file behind, and for a moment its process number.
    with suppress(OSError), socket.create_connection((HOST, found.port), timeout=1):
        return found
    return None


def _read_pid_file(data: Path) -> PidFile | None:
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        return PidFile(pid=int(lines[0]), port=int(lines[3]), status=lines[7].strip())
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _end_orphan(cluster: Cluster) -> None:
    """Deal with a postmaster.pid without a keeper: its keeper was killed, or the machine crashed."""
    found = _read_pid_file(cluster.data)
    if found is None or not _alive(found.pid):
        return  # PostgreSQL recognises the file of a dead server, and looks for its remains, itself
    if _serves(found.pid, cluster.data):
        _shut_down(cluster, found)
    else:
        # After a crash of the machine the number may be another program's; PostgreSQL would refuse to start.
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)


def _shut_down(cluster: Cluster, found: PidFile) -> None:
    def gone() -> bool | None:
        return (locks.is_free(cluster.keeper) and not _alive(found.pid)) or None

    for sign in (signal.SIGINT, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(found.pid, sign)
        if _wait(gone, SECONDS_TO_STOP):
            return
    raise EmbeddedError(
        f"the embedded server, process {found.pid}, does not stop",
        detail=cluster.log_end(),
        hint=f"end it by hand: kill -QUIT {found.pid}",
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _serves(pid: int, data: Path) -> bool:
    """Tell whether the process is a server of this data folder: PostgreSQL works in it and names it."""
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", data)
    except OSError:
        pass
    with suppress(OSError):
        shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True)
        return os.fsencode(data) in shown.stdout
    return False


def _free_port(cluster: Cluster) -> int:
    """Return the port of the last start if it is free, so that URLs stay good; else any free one."""
    with suppress(OSError, ValueError):
        return _bindable(int(cluster.port.read_text()))
    return _bindable(0)


def _bindable(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return int(probe.getsockname()[1])


def _wait(ask: Callable[[], Found | None], seconds: float) -> Found | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := ask()) is not None:
            return found
        time.sleep(PAUSE)
    return None
