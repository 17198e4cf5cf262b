"""Write the rows of `returning` to a file that appears whole, and only after the commit."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

import psycopg
from msgspec import Struct
from psycopg.rows import TupleRow

from syncengine.errors import SourceError
from syncengine.model.steps import WriteFile
from syncengine.sql import staging


class PendingFile(Struct, frozen=True, kw_only=True):
    """A file written beside its place, waiting for the commit."""

    temporary: Path
    path: Path
    rows: int

    def publish(self) -> str:
        """Put the file in its place; raises SourceError, when the rows themselves are committed already."""
        try:
            os.replace(self.temporary, self.path)
        except OSError as error:
            message = f"the rows are committed, but {self.path} can't be written: {error.strerror}"
            raise SourceError(message, hint=f"they were written to {self.temporary}") from error
        return str(self.path)

    def discard(self) -> None:
        self.temporary.unlink(missing_ok=True)


def write(step: WriteFile, connection: psycopg.Connection[TupleRow]) -> PendingFile:
    """Write the query's rows as CSV with a header, or as JSON Lines; raises SourceError where it can't."""
    path = Path(step.returning.path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                fill = _csv if step.returning.format == "csv" else _json_lines
                rows = fill(step.sql, connection, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SourceError(f"can't write {path}: {error.strerror}", hint="see `returning.to`") from error
    return PendingFile(temporary=temporary, path=path, rows=rows)


def _csv(query: str, connection: psycopg.Connection[TupleRow], file: BinaryIO) -> int:
    with connection.cursor() as cursor:
        with cursor.copy(staging.copy_out(query)) as stream:
            for block in stream:
                file.write(block)
        return cursor.rowcount


def _json_lines(query: str, connection: psycopg.Connection[TupleRow], file: BinaryIO) -> int:
    rows = 0
    with connection.cursor() as cursor:
        for (line,) in cursor.stream(staging.json_rows(query)):
            file.write(str(line).encode() + b"\n")
            rows += 1
    return rows


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
