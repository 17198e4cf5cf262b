"""File locks (flock): the kernel lets go of them when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncengine.errors import EmbeddedError

PATIENCE = 90.0
PAUSE = 0.01


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock alone; wait for others up to PATIENCE seconds, then raise EmbeddedError."""
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"another process has been starting or stopping the embedded server for {PATIENCE:.0f} s",
                    detail=f"it holds {path}",
                    hint="wait for it, or end it",
                )
            time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock beside others who share it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        # Closing, not unlocking: a forked child that uses the server as well still counts.
        os.close(descriptor)


def is_free(path: Path) -> bool:
    """Tell whether nobody holds the lock."""
    if not path.exists():
        return True
    descriptor = _open(path)
    try:
        return _try(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        # The keeper opens it too, as the account that owns the folder.
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor
