"""The keeper: runs one PostgreSQL server, keeps its log short, and stops it when its last user has gone.

A script of the standard library only, since it stays for as long as the server:

    python -I -S keeper.py HOME UID GID COMMAND...

It lets go of root (UID -1: stay as you are), takes the lock `keeper`, and returns to its caller while a child
of it lives on.  Users hold the lock `users` together; the kernel hands it to the keeper when the last of them
has left or died.  There is no pid file to go stale and nothing to poll.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LOG_BYTES = 1_000_000
SECONDS_TO_SHUT_DOWN = 60
PR_SET_PDEATHSIG = 1


def main(home: Path, uid: int, gid: int, command: list[str]) -> int:
    """Return to the caller at once, 0 unless there is a keeper already; a child does the work."""
    if uid >= 0:
        become(uid, gid)
    os.umask(0o077)
    # The child shares this lock, and nothing closes it before the child's end.
    if not take(os.open(home / "keeper", os.O_RDWR)):
        return 1
    if os.fork() == 0:
        log = os.open(home / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.dup2(log, sys.stderr.fileno())
        keep(home, command)
    return 0


def become(uid: int, gid: int) -> None:
    """Go on as another account, with no group but its own."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def take(keeper: int) -> bool:
    """Take the keeper's lock; who only asks whether it is free holds it for a moment."""
    for _ in range(100):
        if flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
        time.sleep(0.01)
    return False


def keep(home: Path, command: list[str]) -> None:
    """Run the server until it ends."""
    server = subprocess.Popen(
        command,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent(os.getpid()) if sys.platform == "linux" else None,
    )
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    threading.Thread(target=stop_after_last_user, args=(home, server), daemon=True).start()
    assert server.stdout is not None
    drain(server.stdout.fileno(), home / "server.log")
    server.wait()


def die_with_parent(parent: int) -> Callable[[], None]:
    """Return what lets a server shut down when the keeper itself is killed; only Linux can."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def drain(pipe: int, log: Path) -> None:
    """Write what the server says to the log until its last process has ended; keep two files of LOG_BYTES."""
    while block := os.read(pipe, 65536):
        # A full disk must not block the server, so what can't be written is dropped.
        with suppress(OSError):
            if log.exists() and log.stat().st_size + len(block) > LOG_BYTES:
                log.rename(log.with_suffix(".log.old"))
            with log.open("ab", buffering=0) as file:
                file.write(block)


def stop_after_last_user(home: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait for the last user and shut the server down, unless it was asked to stay."""
    users = os.open(home / "users", os.O_RDWR)
    lock = os.open(home / "lock", os.O_RDWR)
    while True:
        flock(users, fcntl.LOCK_EX)
        flock(users, fcntl.LOCK_UN)
        # Whoever starts using the server holds `lock`; so with it in hand the answer stays true.
        flock(lock, fcntl.LOCK_EX)
        if (home / "persistent").exists():
            flock(lock, fcntl.LOCK_UN)
            return
        if flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB):
            break
        flock(lock, fcntl.LOCK_UN)
    server.send_signal(signal.SIGINT)
    time.sleep(SECONDS_TO_SHUT_DOWN)
    server.send_signal(signal.SIGQUIT)


def flock(descriptor: int, kind: int) -> bool:
    """Lock or unlock; return whether it was had, which matters for LOCK_NB only."""
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
