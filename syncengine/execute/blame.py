"""Turn a server's error about a row into one that names the row's place in the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.errors import Location, SyncError
from syncengine.model.steps import Part, RunSql, StagedColumn
from syncengine.sql.badrows import ROUNDED
from syncengine.sql.names import AS_READ
from syncengine.sql.steps import ROUND_ON_PURPOSE

_HINTS = {
    "22P04": "check delimiter, quote and the number of fields in this record",
    "22021": "say the file's encoding, such as `encoding: latin-1`",
}
# The server's error does not tell the value.
WOULD_BE_ROUNDED = "a value would be rounded by"
_VALUE = "mend the value in the source, or compute the column from it by an expression under `columns`"


def blame(
    error: psycopg.Error,
    locate: Callable[[int], str],
    doing: str,
    *,
    row: int | None = None,
    columns: Sequence[StagedColumn] = (),
) -> SyncError:
    """Return the error with the source's file and line, where the server names a line.

    `row` is the number of a row that was not even sent; `columns` are those it goes to.
    """
    wrapped = wrap(error, doing=doing)
    if wrapped.retryable:
        return wrapped
    line = wrapped.row = copy_line(error.diag.context or "") if row is None else row
    wrapped.location = place(locate(line)) if line is not None else None
    wrapped.hint = wrapped.hint or _hint(error)
    if rounded := _rounded(error, columns):
        return _of_rounded(wrapped, rounded)
    if column := column_of(error):
        wrapped.message = f"column {column}: {wrapped.message}"
    elif overflowing := _overflowing(error, columns):
        wrapped.message = f"column {' or '.join(overflowing)}: {wrapped.message}"
    return wrapped


def column_of(error: psycopg.Error) -> str | None:
    """Return the column that COPY names in the context of its error."""
    context = error.diag.context or ""
    found = re.search(r'^COPY .+?, column (.+?): (?:"|null input)', context, re.MULTILINE | re.DOTALL)
    return found[1].removesuffix(AS_READ) if found else None


def _overflowing(error: psycopg.Error, columns: Sequence[StagedColumn]) -> list[str]:
    """Return the columns that a number may be too large for, where the server names no column but their type.

    That is so where the column is generated from the one that was read.
    """
    if not isinstance(error, psycopg.errors.NumericValueOutOfRange):
        return []
    kind = "numeric({},{})".format(*[*re.findall(r"-?\d+", error.diag.message_detail or ""), "", ""][:2])
    return [column.rounded or column.column for column in columns if kind in column.reads]


def _rounded(error: psycopg.Error, columns: Sequence[StagedColumn]) -> StagedColumn | None:
    """Return the column of which staging refused a value that would be rounded (sql/staging.py)."""
    refused = error.diag.constraint_name if isinstance(error, psycopg.errors.CheckViolation) else None
    return next((one for one in columns if one.rounded and one.column == refused), None)


def _of_rounded(wrapped: SyncError, staged: StagedColumn) -> SyncError:
    kind = staged.reads[0]
    wrapped.message = f"column {staged.rounded}: {WOULD_BE_ROUNDED} {kind}"
    wrapped.detail, wrapped.sqlstate = None, ROUNDED
    wrapped.hint = round_on_purpose(staged.rounded, staged.field, kind)
    return wrapped


def round_on_purpose(column: str, field: str, kind: str) -> str:
    """Return the hint for a value that would be rounded."""
    return (
        f"{ROUND_ON_PURPOSE}: `columns: {{{column}: {{expression: 'CAST(source.\"{field}\" AS {kind})'}}}}`"
    )


def run_parted(step: RunSql, connection: psycopg.Connection[TupleRow]) -> int:
    """Run a statement and return how many rows it wrote; an error about a value names the column it was for."""
    try:
        with connection.transaction():
            return connection.execute(step.sql.encode()).rowcount
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        guilty = next((part for part in step.parts if _fails_alike(part, connection, error)), None)
        if guilty is None:
            raise
        wrapped = wrap(error, doing=f'at step "{step.title}"')
        wrapped.message = f"column {guilty.column}: {wrapped.message}"
        wrapped.hint = wrapped.hint or _VALUE
        wrapped.location = guilty.location
        raise wrapped from error


def _fails_alike(part: Part, connection: psycopg.Connection[TupleRow], error: psycopg.Error) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(part.sql.encode())
    except psycopg.Error as other:
        return other.sqlstate == error.sqlstate and other.diag.message_primary == error.diag.message_primary
    return False


def _hint(error: psycopg.Error) -> str | None:
    # The server writes the byte, psycopg the word.
    if re.match(r'invalid byte sequence for encoding "UTF8": 0x00|.*\bNUL\b', str(error)):
        return "take it out of the source: PostgreSQL can't store NUL characters"
    value = _VALUE if isinstance(error, psycopg.DataError) else None
    return _HINTS.get(error.sqlstate or "", value)


def copy_line(context: str) -> int | None:
    """Return the line in COPY's error context.

    >>> copy_line('COPY stage_1a, line 3, column qty: "x"')
    3
    """
    # Whatever language the server speaks, the line is the first number after the table's name.
    match = re.search(r"^COPY .+?, \D*(\d+)", context, re.MULTILINE | re.DOTALL)
    return int(match[1]) if match else None


def place(text: str) -> Location:
    """Return `file:line` as a location.

    >>> place("users.csv:3"), place("row 7")
    (Location(file='users.csv', line=3, column=0), Location(file='row 7', line=0, column=0))
    """
    file, colon, line = text.rpartition(":")
    return Location(file, int(line)) if colon and line.isdigit() else Location(text)
