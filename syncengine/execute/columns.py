"""COPY Arrow batches in the server's binary form, and as text where that is not surely the same.

A batch that the encoder declines goes as the texts of its rows: the server then decides on each value, and complains of
it, as for any other source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from syncengine.columnar import fields, values
from syncengine.columnar.encoder import Encoder, Wire
from syncengine.execute.batches import ArrowChunk
from syncengine.execute.blame import blame
from syncengine.execute.copying import copying
from syncengine.execute.transfer import Some, copy_some
from syncengine.execute.values import to_text
from syncengine.execute.watching import rules
from syncengine.model.plan import CopyIn, Kind, StagedColumn
from syncengine.sql import staging

# What is handed to the driver at a time.
BLOCK = 256 * 1024
_ELEMENTS: dict[Kind, Kind] = {"array": "plain", "json array": "json"}


def copy_batches(
    step: CopyIn, connection: psycopg.Connection[object], chunk: ArrowChunk, tell: Callable[[], None]
) -> int:
    """Carry out a CopyIn step for a chunk; return how many rows the server took."""
    sender = _Sender(step, connection, chunk)
    batches = chunk.batches()
    batch = next(batches, None)
    while batch is not None:
        batch = sender.send(batch, batches, tell)
    return sender.taken


class _Sender:
    """Sends batches in one COPY after another, each of one form."""

    def __init__(self, step: CopyIn, connection: psycopg.Connection[object], chunk: ArrowChunk) -> None:
        self.taken = 0
        self._step = step
        self._connection = connection
        self._chunk = chunk
        self._rows = 0
        self._textual = False
        self._encoder = Encoder(
            [wire(column, step) for column in step.columns], utc=_is_utc(step, connection)
        )

    def send(self, batch: Any, more: Iterator[Any], tell: Callable[[], None]) -> Any | None:
        """Send a batch, and those after it that have the same form; return the first that has another one."""
        found = self._encoded(batch)
        if found is None:
            self._send_texts(batch)
            tell()
            return next(more, None)
        before = self._rows
        names = [column.column for column in self._step.columns]
        statement = staging.copy_binary((self._step.schema, self._step.table), names)
        with self._connection.cursor() as cursor:
            try:
                with copying(cursor, statement) as stream:
                    stream.write(fields.HEADER)
                    while batch is not None and found is not None:
                        for start in range(0, len(found), BLOCK):
                            stream.write(bytes(found[start : start + BLOCK]))
                        self._rows += batch.num_rows
                        tell()
                        batch = next(more, None)
                        found = None if batch is None else self._encoded(batch)
                    stream.write(fields.TRAILER)
            except psycopg.Error as error:
                raise blame(error, self._locate(before), "COPY", columns=self._step.columns) from error
            self.taken += cursor.rowcount
        return batch

    def _locate(self, before: int) -> Callable[[int], str]:
        return lambda row: self._chunk.locate(before + row)

    def _encoded(self, batch: Any) -> memoryview | None:
        if self._textual:
            return None
        try:
            return self._encoder.rows(batch)
        except fields.Declined as reason:
            self._textual = reason.always
            return None

    def _send_texts(self, batch: Any) -> None:
        rows = values.rows(batch)
        some = Some(fields=tuple(batch.schema.names), rows=rows, locate=self._locate(self._rows))
        self.taken += copy_some(self._step, self._connection, some)
        self._rows += batch.num_rows


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
