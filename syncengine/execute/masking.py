"""Keep values of `sensitive` columns out of errors: what the server and the sources quote of a row is masked.

What is masked is decided by columns, never by values: an error that may quote a sensitive one says only what kind of
error it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import psycopg

from syncengine.connect import short
from syncengine.errors import BadRow, SyncError
from syncengine.redact import MASK, redact

# The server words of these quote no value: too long, NULL where none may be, division by zero, a ragged record.
_QUOTES_NOTHING = ("22001", "22004", "22012", "22P04")
_COLUMN = re.compile(r"\Acolumn (.+): \Z", re.DOTALL)
_KEY = re.compile(r"\((.*?)\)( ?= ?)\(.*\)", re.DOTALL)


def mask(error: SyncError, names: Collection[str], table: str = "") -> None:
    """Mask in place what an error quotes of columns with these names.

    `table` is the target: only of its columns it is known which are not sensitive.
    """
    cause = error.__cause__
    if not names or not (isinstance(cause, psycopg.Error) or isinstance(error, BadRow)):
        return
    if isinstance(cause, psycopg.Error) and cause.sqlstate:
        _mask_server(error, cause, names, table)
    elif error.detail is not None:
        error.detail = MASK
    # A traceback would show the driver's own words.
    error.__cause__ = error.__context__ = None
    error.args = (error.message,)


@contextmanager
def masking(names: Collection[str], table: str) -> Iterator[None]:
    """Mask whatever error ends the block."""
    try:
        yield
    except SyncError as error:
        mask(error, names, table)
        raise


def mask_sample(sample: str, names: Collection[str]) -> str:
    """Return a key as JSON text with the values of these names masked.

    >>> mask_sample('{"id" : 1, "email" : "ada@x"}', ["email"])
    '{"id": 1, "email": "***"}'
    """
    row = json.loads(sample, parse_float=str)
    if not any(name in names for name in row):
        return sample
    return json.dumps({name: MASK if name in names else row[name] for name in row}, ensure_ascii=False)


def _mask_server(error: SyncError, cause: psycopg.Error, names: Collection[str], table: str) -> None:
    said = redact(short(cause.diag.message_primary or ""))
    quoted = redact(short((cause.diag.message_detail or "").rstrip(".")))
    raised = "RAISE" in (cause.diag.context or "")
    column = _COLUMN.match(error.message.removesuffix(said))
    known = column is not None and column[1] not in names
    if raised or (_may_quote(cause) and not known):
        error.message = f"{error.message.removesuffix(said)}{_kind(cause)} (the value is masked)"
        error.hint = None if raised else error.hint
    if quoted and not known:
        ours = table == f"{cause.diag.schema_name}.{cause.diag.table_name}" and not raised
        shown = _masked_key(quoted, names) if ours else MASK
        error.detail = (error.detail or "").replace(quoted, shown, 1)


def _may_quote(cause: psycopg.Error) -> bool:
    """Tell whether the server's message can hold a value: errors in data do, those of constraints name themselves."""
    state = cause.sqlstate or ""
    return state[:2] in ("22", "P0", "38", "39") and state not in _QUOTES_NOTHING


def _masked_key(quoted: str, names: Collection[str]) -> str:
    """Return the server's `Key (a, b)=(1, 2) …`, masked if a column in it is sensitive; other details are whole rows.

    >>> _masked_key("Key (id)=(1) already exists", ["email"])
    'Key (id)=(1) already exists'
    >>> _masked_key("Key (email)=(a@x) already exists", ["email"])
    'Key (email)=(***) already exists'
    """
    found = _KEY.search(quoted)
    if found is None:
        return MASK
    columns = found[1].replace('""', '"')
    if not any(name in columns for name in names):
        return quoted
    return f"{quoted[: found.start()]}({found[1]}){found[2]}({MASK}){quoted[found.end() :]}"


def _kind(cause: psycopg.Error) -> str:
    """Return the name of the error's SQLSTATE in words, such as `invalid text representation`."""
    words = re.findall(r"[A-Z][a-z]*", type(cause).__name__)
    return " ".join(words).lower()
