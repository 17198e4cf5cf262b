"""COPY Arrow batches in the server's binary form, and as text where that is not surely the same.

A batch that the encoder declines goes as the texts of its rows: the server then decides on each value, and complains of
it, as for any other source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import psycopg

from syncengine.columnar import fields, values
from syncengine.columnar.encoder import Encoder, Wire
from syncengine.errors import SyncError
from syncengine.execute.ahead import ahead
from syncengine.execute.batches import ArrowChunk
from syncengine.execute.blame import blame
from syncengine.execute.copying import copying
from syncengine.execute.transfer import Some, copy_some
from syncengine.execute.values import to_text
from syncengine.execute.watching import rules
from syncengine.model.steps import CopyIn, Kind, StagedColumn
from syncengine.sql import staging

# What is handed to the driver at a time.
BLOCK = 256 * 1024
_ELEMENTS: dict[Kind, Kind] = {"array": "plain", "json array": "json"}


Form = tuple[Any, memoryview | None]  # a batch, and its rows in binary form, None where they go as text


def copy_batches(
    step: CopyIn, connection: psycopg.Connection[object], chunk: ArrowChunk, tell: Callable[[], None]
) -> int:
    """Carry out a CopyIn step for a chunk; return how many rows the server took."""
    wires = [wire(column, step) for column in step.columns]
    forms = _forms(chunk.batches(), Encoder(wires, utc=_is_utc(step, connection)))
    sender = _Sender(step, connection, chunk, tell)
    # What a caller's own code makes, and can be made once, is made in the caller's thread.
    with ahead(forms) if chunk.repeatable else nullcontext(forms) as coming:
        form = next(coming, None)
        while form is not None:
            form = sender.send(form, coming)
    return sender.taken


def _forms(batches: Iterator[Any], encoder: Encoder) -> Iterator[Form]:
    textual = False
    for batch in batches:
        rows = None
        if not textual:
            try:
                rows = encoder.rows(batch)
            except fields.Declined as reason:
                textual = reason.always
        yield batch, rows


class _Sender:
    """Sends batches in one COPY after another, each of one form."""

    def __init__(
        self,
        step: CopyIn,
        connection: psycopg.Connection[object],
        chunk: ArrowChunk,
        tell: Callable[[], None],
    ) -> None:
        self.taken = 0
        self._step = step
        self._connection = connection
        self._chunk = chunk
        self._tell = tell
        self._rows = 0

    def send(self, form: Form, more: Iterator[Form]) -> Form | None:
        """Send a batch, and those after it that have the same form; return the first that has another one."""
        batch, rows = form
        if rows is None:
            self._send_texts(batch)
            return next(more, None)
        left: Form | None = form
        before, locate = self._rows, self._locate()
        names = [column.column for column in self._step.columns]
        statement = staging.copy_binary((self._step.schema, self._step.table), names)
        with self._connection.cursor() as cursor:
            try:
                with copying(cursor, statement) as stream:
                    left = self._write(stream, batch, rows, more)
            except psycopg.Error as error:
                blamed = blame(error, locate, "COPY", columns=self._step.columns)
                blamed.row = None if blamed.row is None else before + blamed.row
                raise blamed from error
            self.taken += cursor.rowcount
        return left

    def _write(self, stream: psycopg.Copy, batch: Any, rows: memoryview, more: Iterator[Form]) -> Form | None:
        stream.write(fields.HEADER)
        while True:
            for start in range(0, len(rows), BLOCK):
                stream.write(bytes(rows[start : start + BLOCK]))
            self._rows += batch.num_rows
            self._tell()
            form = next(more, None)
            if form is None or form[1] is None:
                stream.write(fields.TRAILER)
                return form
            batch, rows = form[0], form[1]

    def _locate(self) -> Callable[[int], str]:
        before = self._rows
        return lambda row: self._chunk.locate(before + row)

    def _send_texts(self, batch: Any) -> None:
        some = Some(fields=tuple(batch.schema.names), rows=values.rows(batch), locate=self._locate())
        try:
            self.taken += copy_some(self._step, self._connection, some)
        except SyncError as error:
            error.row = None if error.row is None else self._rows + error.row
            raise
        self._rows += batch.num_rows
        self._tell()


def wire(column: StagedColumn, step: CopyIn) -> Wire:
    """Return how a column is sent."""
    unstaged = step.counts is not None
    limits = tuple(name for name in column.reads if unstaged or name.startswith("character varying"))
    faults = [rule.fault for rule in rules(column, unstaged=unstaged)]
    kind = _ELEMENTS.get(column.kind, column.kind)
    only_words = all(name.partition("(")[0] == "character varying" for name in column.reads)
    return Wire(
        field=column.field,
        type=column.wire,
        limits=limits,
        to_text=to_text(kind, column.reads if kind == column.kind else ()),
        faults=() if only_words else faults,
    )


def _is_utc(step: CopyIn, connection: psycopg.Connection[object]) -> bool:
    """Tell whether moments without a time zone are those of UTC."""
    if not any(column.wire.startswith("timestamp with time zone") for column in step.columns):
        return False
    row = connection.execute("SELECT pg_catalog.current_setting('TimeZone')").fetchone()
    assert isinstance(row, tuple)
    return row[0] in ("UTC", "Etc/UTC", "GMT")
