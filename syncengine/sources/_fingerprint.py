"""What a file is known by, so that a change while it is read does not go unseen."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from msgspec import Struct

# Of the head and of the tail.
ENDS = 64 * 1024


class Fingerprint(Struct, frozen=True, kw_only=True):
    """Size in bytes, time of the last write in nanoseconds, device and inode, and a digest of both ends.

    A program that restores the time after a write, and a clock that is too coarse to tell two writes apart, leave
    another digest at least where they wrote to an end.
    """

    size: int
    written: int
    place: tuple[int, int]
    ends: bytes

    def change_to(self, other: Fingerprint) -> str | None:
        """Return what happened to the file since, None if nothing did.

        >>> old = Fingerprint(size=2, written=1, place=(1, 1), ends=b"")
        >>> old.change_to(Fingerprint(size=3, written=2, place=(1, 1), ends=b"x"))
        'it grew from 2 to 3 bytes'
        """
        if self.place != other.place:
            return "another file has taken its place"
        if self.size != other.size:
            verb = "grew" if other.size > self.size else "shrank"
            return f"it {verb} from {self.size:,} to {other.size:,} bytes"
        if self.ends != other.ends:
            return "its contents are others now"
        return "it was written to" if self.written != other.written else None


def fingerprint(found: os.stat_result, ends: bytes) -> Fingerprint:
    place = (found.st_dev, found.st_ino)
    return Fingerprint(size=found.st_size, written=found.st_mtime_ns, place=place, ends=ends)


def digest(file: BinaryIO, size: int) -> bytes:
    """Return the digest of both ends of an open file.  Raises OSError."""
    found = hashlib.blake2b(digest_size=16)
    found.update(file.read(ENDS))
    file.seek(max(0, size - ENDS))
    found.update(file.read(ENDS))
    return found.digest()
