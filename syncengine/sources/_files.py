"""Read a file, or standard input, as blocks of decompressed bytes, and notice if it changes meanwhile."""

from __future__ import annotations

import os
import stat
import sys
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol, cast

from syncengine.errors import Location, SourceError, SpecError
from syncengine.files import inside, opened
from syncengine.sources._decompress import EXTENSIONS, Compression, Decompressor

BLOCK = 256 * 1024
SAMPLE = 64 * 1024

Stamp = tuple[int, int, int]


class Reader:
    """Decompressed blocks of one input, to be read once.

    `bytes_read` counts bytes as stored; `at_end` is called after the last block.
    """

    def __init__(
        self, read: Callable[[int], bytes], compression: Compression, label: str, at_end: Callable[[], None]
    ) -> None:
        self.bytes_read = 0
        self._read = read
        self._compression = compression
        self._label = label
        self._at_end = at_end

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """Yield blocks of about `size` bytes; SourceError if the data is damaged or the device fails."""
        yield from self._plain(size) if self._compression == "none" else self._decompressed(size)
        self._at_end()

    def _plain(self, size: int) -> Iterator[bytes]:
        while data := self._next(size):
            self.bytes_read += len(data)
            yield data

    def _decompressed(self, size: int) -> Iterator[bytes]:
        decompressor = Decompressor(self._compression, self._label)
        pieces: list[bytes] = []
        length = 0
        while data := self._next(size):
            for piece in decompressor.feed(data):
                pieces.append(piece)
                length += len(piece)
                if length >= size:
                    self.bytes_read = decompressor.bytes_read
                    yield b"".join(pieces)
                    pieces, length = [], 0
        decompressor.finish()
        self.bytes_read = decompressor.bytes_read
        if pieces:
            yield b"".join(pieces)

    def _next(self, size: int) -> bytes:
        try:
            return self._read(size)
        except OSError as error:
            raise unreadable(self._label, error) from error


class BlockReader(Protocol):
    """What `open` gives: blocks, and how many stored bytes they took."""

    bytes_read: int

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]: ...


class Input(Protocol):
    """One file, or standard input.  `size` is None where it cannot be known beforehand."""

    label: str
    compression: Compression
    reopenable: bool

    @property
    def size(self) -> int | None: ...

    def sample(self) -> Generator[tuple[bytes, int], None, None]:
        """Yield small blocks from the start, each with the stored bytes used so far."""
        ...

    def open(self) -> AbstractContextManager[BlockReader]: ...


class FileInput:
    """A regular file, which must stay as it is from the first look to the last block."""

    reopenable = True

    def __init__(
        self, path: Path, label: str, compression: Compression | None, roots: Sequence[str] = ("/",)
    ) -> None:
        self.label = label
        self._roots = roots
        self.compression: Compression = compression or EXTENSIONS.get(path.suffix.lower(), "none")
        self._path = path
        self._stamp: Stamp | None = None

    @property
    def size(self) -> int:
        return self._checked_stamp("after it was looked at")[0]

    def sample(self) -> Generator[tuple[bytes, int], None, None]:
        with self.open() as reader:
            for block in reader.blocks(SAMPLE):
                yield block, reader.bytes_read

    @contextmanager
    def open(self) -> Iterator[Reader]:
        self._checked_stamp("after it was looked at")
        try:
            found = opened(self._path)
        except OSError as error:
            raise unreadable(self.label, error) from error
        with found.file as raw:
            # What was looked at may have been exchanged since: this is what will be read.
            if not inside(found.place, self._roots):
                raise outside(self.label, found.place, self._roots)
            self._checked(found.status, "after it was looked at")
            yield Reader(raw.read, self.compression, self.label, self._check_end)

    def _check_end(self) -> None:
        self._checked_stamp("while it was being read")

    def _checked_stamp(self, moment: str) -> Stamp:
        try:
            found = self._path.stat()
        except OSError as error:
            raise unreadable(self.label, error) from error
        return self._checked(found, moment)

    def _checked(self, found: os.stat_result, moment: str) -> Stamp:
        if not stat.S_ISREG(found.st_mode):
            raise not_regular(self.label, found.st_mode)
        stamp = (found.st_size, found.st_mtime_ns, found.st_ino)
        if self._stamp not in (None, stamp):
            raise SourceError(
                f"{self.label} changed {moment}",
                detail="its size, its time or the file itself is another one now",
                hint="write sources under another name and rename them when they are complete",
                location=Location(self.label),
            )
        self._stamp = stamp
        return stamp


class StdinInput:
    """Standard input: what `sample` reads is kept, and comes again from `open`, once."""

    reopenable = False
    size = None

    _taken: ClassVar[weakref.WeakSet[BinaryIO]] = weakref.WeakSet()

    def __init__(self, compression: Compression | None) -> None:
        self.label = "standard input"
        self.compression: Compression = compression or "none"
        self.bytes_read = 0
        self._kept: list[bytes] = []
        self._reader: Reader | None = None
        self._rest: Iterator[bytes] = iter(())
        self._opened = False

    def sample(self) -> Generator[tuple[bytes, int], None, None]:
        reader = self._start()
        for block in self._kept:
            yield block, reader.bytes_read
        for block in self._rest:
            self._kept.append(block)
            yield block, reader.bytes_read

    @contextmanager
    def open(self) -> Iterator[StdinInput]:
        self._start()
        if self._opened:
            raise _only_once()
        self._opened = True
        yield self

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        reader = self._start()
        while self._kept:
            yield self._kept.pop(0)
        for block in self._rest:
            self.bytes_read = reader.bytes_read
            yield block
        self.bytes_read = reader.bytes_read

    def _start(self) -> Reader:
        if self._reader is None:
            raw = cast("BinaryIO", sys.stdin.buffer)
            if raw in self._taken:
                raise _only_once()
            self._taken.add(raw)
            read = getattr(raw, "read1", raw.read)
            self._reader = Reader(read, self.compression, self.label, lambda: None)
            self._rest = self._reader.blocks(SAMPLE)
        return self._reader


def not_regular(label: str, mode: int) -> SourceError:
    if stat.S_ISDIR(mode):
        hint = "name a file in it, or a glob such as *.csv"
        return SourceError(f"{label} is a folder, not a file", hint=hint, location=Location(label))
    hint = "pipe the data into standard input and write the path as -"
    return SourceError(f"{label} is a pipe or a device, not a file", hint=hint, location=Location(label))


def outside(label: str, place: str, roots: Sequence[str]) -> SpecError:
    return SpecError(
        f"{label} lies outside the folders that sources may come from",
        detail=f"it is {place}; allowed: {', '.join(roots)}",
        hint="add its folder to `roots` in syncengine.yaml",
    )


def unreadable(label: str, error: OSError) -> SourceError:
    message = f"{label} cannot be read: {error.strerror or error}"
    return SourceError(message, hint="see that this user may read it", location=Location(label))


def _only_once() -> SourceError:
    return SourceError(
        "standard input can be read only once",
        hint="save it to a file if it is needed more than once",
    )
