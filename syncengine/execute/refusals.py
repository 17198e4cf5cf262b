"""What a server's error says about one row: column, SQLSTATE, constraint, message; no value of a sensitive column."""

from __future__ import annotations

import re
from collections.abc import Collection

import psycopg
from msgspec import Struct

from syncengine.connect import wrap
from syncengine.errors import BadRow, SyncError
from syncengine.execute.blame import column_of
from syncengine.execute.masking import mask
from syncengine.redact import MASK

# Constraints, and what triggers raise.  Nothing else is a row's fault.
_OF_ROWS = ("23000", "23502", "23503", "23505", "23514", "23P01", "44000", "P0001")
# A row too large for a page, which the server calls a limit of the program.
_TOO_LARGE = "54000"
# The server tells the key only in the detail.
_KEYED = ("23503", "23505", "23P01")


class Refusal(Struct, frozen=True, kw_only=True):
    column: str | None
    sqlstate: str | None
    constraint: str | None
    message: str

    def values(self, number: int) -> tuple[object, ...]:
        """Return the parameters of the statement that notes it for a record."""
        return number, self.column, self.sqlstate, self.constraint, self.message


def is_of_row(sqlstate: str | None) -> bool:
    """Tell whether an error of the server is about a row's values.

    >>> is_of_row("22P02"), is_of_row("23505"), is_of_row("42P01"), is_of_row(None)
    (True, True, False, False)
    """
    return sqlstate is not None and (sqlstate[:2] == "22" or sqlstate in (*_OF_ROWS, _TOO_LARGE))


def may_be_of_row(error: SyncError) -> bool:
    """Tell whether an error can come of a row, so that reading record by record may get around it."""
    return isinstance(error, BadRow) or is_of_row(error.sqlstate)


def refusal(
    error: psycopg.Error, sensitive: Collection[str], table: str, *, column: str | None = None
) -> Refusal:
    """Return what the error says; `column` is the one to blame where it is known."""
    diag = error.diag
    column = column or column_of(error) or diag.column_name
    wrapped = wrap(error, doing="")
    said = wrapped.message
    wrapped.message = f"column {column}: {said}" if column else said
    wrapped.__cause__ = error
    mask(wrapped, sensitive, table)
    message = wrapped.message.removeprefix(f"column {column}: ")
    detail = re.sub(r"(?:; )?SQLSTATE \w+$", "", wrapped.detail or "")
    if error.sqlstate in _KEYED and detail:
        message = f"{message}: {detail}"
    return Refusal(column=column, sqlstate=error.sqlstate, constraint=diag.constraint_name, message=message)


def own_refusal(error: SyncError, column: str, *, sensitive: bool, sqlstate: str) -> Refusal:
    """Return what the engine itself says of a value."""
    detail = f" ({MASK})" if sensitive else f" ({error.detail})" if error.detail else ""
    return Refusal(column=column, sqlstate=sqlstate, constraint=None, message=f"{error.message}{detail}")
