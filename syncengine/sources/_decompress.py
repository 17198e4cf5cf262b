"""Decompress gzip, zstd and bzip2 data, member after member, in bounded memory."""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Iterator
from typing import Literal, Protocol, cast

from syncengine.errors import Location, SourceError

Compression = Literal["none", "gzip", "zstd", "bz2"]

EXTENSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
MAGIC: tuple[tuple[re.Pattern[bytes], Compression], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), "gzip"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "bz2"),
)

# None of the three libraries bounds what one call returns in the same way, but all bound it by what goes in:
# 2 kB become 2 MB at most in gzip, and some 60 MB in the other two.
SLICE = 2048


class _Member(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class Decompressor:
    """Takes compressed bytes, gives plain ones; `bytes_read` counts the compressed bytes used so far."""

    def __init__(self, compression: Compression, label: str) -> None:
        self.bytes_read = 0
        self._compression = compression
        self._label = label
        self._member: _Member | None = None
        self._complete = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            self.bytes_read += len(piece)
            yield from self._feed(piece)

    def _feed(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member is None:
                # gzip files may be padded with NULs, on tapes and by some file systems.
                piece = piece.lstrip(b"\0") if self._complete and self._compression == "gzip" else piece
                if not piece:
                    return
                self._member = _new_member(self._compression, self._label)
            if plain := self._decompress(self._member, piece):
                yield plain
            piece = self._member.unused_data if self._member.eof else b""
            if self._member.eof:
                self._member = None
                self._complete += 1

    def _decompress(self, member: _Member, piece: bytes) -> bytes:
        try:
            return member.decompress(piece)
        except Exception as error:  # zlib.error, OSError and ZstdError have no closer common base
            if self._complete:
                message = f"{self._label} goes on after the end of its {self._compression} data"
            else:
                message = f"{self._label} is not valid {self._compression} data"
            hint = "make the file anew, or state the right `compression`"
            raise SourceError(
                message, detail=str(error), hint=hint, location=Location(self._label)
            ) from error

    def finish(self) -> None:
        """Raise SourceError if the data ended in the middle of a member; not even of nothing comes no byte at all."""
        if self._member is not None or not self._complete:
            raise SourceError(
                f"{self._label} is truncated: its {self._compression} data ends too early",
                hint="copy or download the file again",
                location=Location(self._label),
            )


def _new_member(compression: Compression, label: str) -> _Member:
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    try:
        import zstandard
    except ImportError as error:
        raise SourceError(
            f"{label} is compressed with zstd, which needs the package zstandard",
            hint="pip install zstandard",
            location=Location(label),
        ) from error
    return cast("_Member", zstandard.ZstdDecompressor().decompressobj())
