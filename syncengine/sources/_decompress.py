"""Decompress gzip, zstd and bzip2 data, member after member, in bounded memory."""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, cast

from syncengine.errors import Location, SourceError

Compression = Literal["none", "gzip", "zstd", "bz2"]

EXTENSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
MAGIC: tuple[tuple[re.Pattern[bytes], Compression], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), "gzip"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "bz2"),
)

# What one call returns is bounded by what goes in: 2 kB become 2 MB at most in gzip, and some 60 MB in zstd; bzip2
# would make gigabytes of them, and is told when to stop.
SLICE = 2048
BZ2_PIECE = 4 * 1024 * 1024

# What unpacks to more than this, and to more than so many times its size, is no data but a bomb: CSV packs 20 times.
BOMB_BYTES = 64 * 1024 * 1024
BOMB_RATIO = 1_000
# Memory that unpacking zstd takes; the library's own bound, which `zstd --long` can exceed.
ZSTD_WINDOW = 128 * 1024 * 1024


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
        self._plain = 0

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
            for plain in self._decompressed(self._member, piece):
                if plain:
                    self._weigh(len(plain))
                    yield plain
            piece = self._member.unused_data if self._member.eof else b""
            if self._member.eof:
                self._member = None
                self._complete += 1

    def _weigh(self, length: int) -> None:
        """Refuse data that would go on to fill the server's disk."""
        self._plain += length
        if self._plain > BOMB_BYTES and self._plain > BOMB_RATIO * self.bytes_read:
            raise SourceError(
                f"{self._label} unpacks to more than {BOMB_RATIO:,} times its size, as a decompression bomb does",
                detail=f"{self.bytes_read:,} bytes of it gave {self._plain:,}",
                hint="look at it; if it is right, unpack it yourself and name the unpacked file",
                location=Location(self._label),
            )

    def _decompressed(self, member: _Member, piece: bytes) -> Iterator[bytes]:
        if not isinstance(member, bz2.BZ2Decompressor):
            yield self._called(member.decompress, piece)
            return
        yield self._called(member.decompress, piece, BZ2_PIECE)
        while not (member.needs_input or member.eof):
            yield self._called(member.decompress, b"", BZ2_PIECE)

    def _called(self, decompress: Callable[..., bytes], *arguments: object) -> bytes:
        try:
            return decompress(*arguments)
        except Exception as error:  # zlib.error, OSError and ZstdError have no closer common base
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> SourceError:
        message = f"{self._label} is not valid {self._compression} data"
        hint = "make the file anew, or state the right `compression`"
        if self._complete:
            message = f"{self._label} goes on after the end of its {self._compression} data"
        elif "too much memory" in str(error):
            message = f"{self._label} needs more than {ZSTD_WINDOW // 1024**2} MB of memory to be unpacked"
            hint = "pack it without --long, or unpack it yourself and name the unpacked file"
        return SourceError(message, detail=str(error), hint=hint, location=Location(self._label))

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
    return cast("_Member", zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj())
