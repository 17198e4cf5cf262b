"""Open a file once, and tell what was opened: its name may stand for another file by then."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO

from msgspec import Struct


class Opened(Struct, frozen=True, kw_only=True):
    """An open file: what it is, and where it lies once all symbolic links are followed."""

    file: BinaryIO
    status: os.stat_result
    place: str


def opened(path: str | os.PathLike[str]) -> Opened:
    """Open a file for reading.  Raises OSError.  It doesn't wait for the writer of a pipe, which is not to be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        place = _place(descriptor, status, path)
        os.set_blocking(descriptor, True)
        return Opened(file=os.fdopen(descriptor, "rb"), status=status, place=place)
    except BaseException:
        os.close(descriptor)
        raise


def inside(place: str, roots: Iterable[str | os.PathLike[str]]) -> bool:
    """Tell whether a place without symbolic links lies in one of the folders."""
    real = (os.path.realpath(root) for root in roots)
    return any(place == root or place.startswith(root.rstrip(os.sep) + os.sep) for root in real)


def _place(descriptor: int, status: os.stat_result, path: str | os.PathLike[str]) -> str:
    for place in (f"/proc/self/fd/{descriptor}", path):  # the first is the kernel's own word, on Linux
        real = os.path.realpath(place)
        with suppress(OSError):
            if os.path.samestat(os.stat(real), status):
                return real
    raise FileNotFoundError(0, "it was replaced while it was being opened", str(path))
