"""Read a file, or standard input, as blocks of decompressed bytes, and notice if it changes meanwhile."""

from __future__ import annotations

import os
import stat
import sys
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol, cast

from syncengine.errors import Location, SourceError, SpecError, SyncError
from syncengine.files import Opened, inside, opened
from syncengine.sources._decompress import EXTENSIONS, Compression, Decompressor
from syncengine.sources._fingerprint import Fingerprint, digest, fingerprint

BLOCK = 256 * 1024
SAMPLE = 64 * 1024


class Reader:
    """Decompressed blocks of one input, to be read once.

    `bytes_read` counts bytes as stored; `at_end` is called after the last block.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        compression: Compression,
        label: str,
        at_end: Callable[[], None],
        start: int = 0,
    ) -> None:
        self.bytes_read = start
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

    def stamp(self) -> str | None:
        """Return what is another text once the data is another, None where only reading can tell."""
        ...

    def open(self, start: int = 0) -> AbstractContextManager[BlockReader]:
        """Open it at a byte of the file; what is not reopenable begins at its beginning."""
        ...

    def verify(self) -> None:
        """Raise SourceError if it is no longer what it was when it was first looked at."""
        ...


def stamp_of(found: Sequence[Input]) -> str | None:
    """Return the stamp of several inputs together, None if one of them has none."""
    stamps = [each.stamp() for each in found]
    return None if None in stamps else "; ".join(map(str, stamps))


@contextmanager
def steady(inputs: Iterable[Input]) -> Iterator[None]:
    """Let files be read within the block, and raise SourceError if one of them changed until its end.

    What is wrong with a file that another program is writing is wrong because of that.
    """
    try:
        yield
    except SyncError as error:
        for found in inputs:
            _verify(found, error)
        raise
    for found in inputs:
        found.verify()


def _verify(found: Input, error: SyncError) -> None:
    try:
        found.verify()
    except SyncError as change:
        raise change from error


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
        self._known: Fingerprint | None = None

    @property
    def size(self) -> int:
        return self._checked("after it was looked at").size

    def sample(self) -> Generator[tuple[bytes, int], None, None]:
        with self.open() as reader:
            for block in reader.blocks(SAMPLE):
                yield block, reader.bytes_read

    def stamp(self) -> str:
        known = self._checked("after it was looked at", ends=True)
        written, (_, inode) = known.written, known.place
        return f"{self._path}: {known.size} bytes, modified {written}, inode {inode}, ends {known.ends.hex()}"

    @contextmanager
    def open(self, start: int = 0) -> Iterator[Reader]:
        with self.seekable(start) as raw:

            def read(size: int) -> bytes:
                # What was written meanwhile must not be taken for the source: a chunk of it may be published at once.
                block = raw.read(size)
                self._compare(fingerprint(os.fstat(raw.fileno()), self._ends()), "while it was being read")
                return block

            yield Reader(read, self.compression, self.label, self.verify, start)

    @contextmanager
    def seekable(self, start: int = 0) -> Iterator[BinaryIO]:
        """Yield the file itself, as it is stored."""
        self._checked("after it was looked at")
        try:
            found = self._opened()
            found.file.seek(start)
        except OSError as error:
            raise unreadable(self.label, error) from error
        with found.file as raw:
            # What was looked at may have been exchanged since: this is what will be read.
            self._compare(fingerprint(found.status, self._ends()), "after it was looked at")
            yield raw

    def _opened(self) -> Opened:
        """Open the file, which must be one, and lie where sources may."""
        found = opened(self._path)
        if stat.S_ISREG(found.status.st_mode) and inside(found.place, self._roots):
            return found
        found.file.close()
        if not stat.S_ISREG(found.status.st_mode):
            raise not_regular(self.label, found.status.st_mode)
        raise outside(self.label, found.place, self._roots)

    def _ends(self) -> bytes:
        return self._known.ends if self._known is not None else b""

    def verify(self) -> None:
        self._checked("while it was being read", ends=True)

    def _checked(self, moment: str, *, ends: bool = False) -> Fingerprint:
        """Return what the file is known by, which is what it was at the first look; `ends` are read again if asked."""
        found = self._fingerprint(moment, None if self._known is None or ends else self._known.ends)
        return self._compare(found, moment)

    def _compare(self, found: Fingerprint, moment: str) -> Fingerprint:
        self._known = self._known or found
        change = self._known.change_to(found)
        if change is not None:
            raise self._changed(moment, change)
        return found

    def _fingerprint(self, moment: str, ends: bytes | None) -> Fingerprint:
        try:
            if ends is not None:
                return fingerprint(self._path.stat(), ends)
            found = self._opened()
            with found.file as file:
                return fingerprint(found.status, digest(file, found.status.st_size))
        except FileNotFoundError as error:
            if self._known is not None:
                raise self._changed(moment, "it is gone") from error
            raise unreadable(self.label, error) from error
        except OSError as error:
            raise unreadable(self.label, error) from error

    def _changed(self, moment: str, what: str) -> SourceError:
        return SourceError(
            f"{self.label} changed {moment}",
            detail=what,
            hint="write sources under another name and rename them when they are complete; then run it again",
            location=Location(self.label),
        )


class StdinInput:
    """Standard input: what `sample` reads is kept, and comes again from `open`, once."""

    reopenable = False
    size = None

    _taken: ClassVar[weakref.WeakSet[BinaryIO]] = weakref.WeakSet()

    def __init__(self, compression: Compression | None) -> None:
        self.label = "standard input"
        self.compression: Compression = compression or "none"
        self.bytes_read = 0
        self._kept: list[tuple[bytes, int]] = []
        self._reader: Reader | None = None
        self._rest: Iterator[bytes] = iter(())
        self._opened = False

    def sample(self) -> Generator[tuple[bytes, int], None, None]:
        reader = self._start()
        yield from self._kept
        for block in self._rest:
            self._kept.append((block, reader.bytes_read))
            yield self._kept[-1]

    def stamp(self) -> None:
        return None

    @contextmanager
    def open(self, start: int = 0) -> Iterator[StdinInput]:
        self._start()
        if self._opened:
            raise _only_once()
        self._opened = True
        yield self

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        reader = self._start()
        while self._kept:
            block, self.bytes_read = self._kept.pop(0)
            yield block
        for block in self._rest:
            self.bytes_read = reader.bytes_read
            yield block
        self.bytes_read = reader.bytes_read

    def verify(self) -> None:
        """Let it be: what was read of it can't change."""

    def _start(self) -> Reader:
        if self._reader is None:
            if sys.stdin is None or sys.stdin.closed:
                raise _closed()
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


def _closed() -> SourceError:
    return SourceError(
        "standard input is closed", hint="pipe the data in, as in `cat rows.csv | syncengine run …`"
    )


def _only_once() -> SourceError:
    return SourceError(
        "standard input can be read only once",
        hint="save it to a file if it is needed more than once",
    )
