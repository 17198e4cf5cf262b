"""Bring the source into a relation: one function per hand-over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from time import monotonic

import psycopg
from msgspec import Struct
from psycopg import RawCursor
from psycopg.sql import Composed

from syncengine.connect import wrap
from syncengine.errors import BadRow, BooksDoNotClose, SourceError, SyncError
from syncengine.execute.batches import ArrowChunk
from syncengine.execute.blame import blame
from syncengine.execute.blame import place as place_of
from syncengine.execute.copying import copying
from syncengine.execute.kinds import Kinds, union
from syncengine.execute.reading import Chunk, Counted, RowChunk, reading
from syncengine.execute.rowtext import RowText, line
from syncengine.execute.values import kind_of, to_text
from syncengine.execute.watching import loss_of, rules, watch
from syncengine.model.badrows import NoText
from syncengine.model.events import Emit, Progress
from syncengine.model.facts import Handover
from syncengine.model.steps import CopyIn, InsertRows, StagedColumn
from syncengine.protocols import ChunkSize, CsvBytes, CsvChunk, RowStream, Source
from syncengine.sql import staging

# PostgreSQL numbers the parameters of a statement with 16 bits.
MOST_PARAMETERS = 60_000
PROGRESS_SECONDS = 0.1


class Sent(Struct, frozen=True, kw_only=True):
    """How many rows the source gave, how many the relation took, and the bytes read for them.

    `kinds` are those of a typed source's values by staging column, if they were to be observed.
    """

    rows: int
    taken: int
    bytes: int
    kinds: Kinds | None = None

    def with_more(self, more: Sent) -> Sent:
        return Sent(
            rows=self.rows + more.rows,
            taken=self.taken + more.taken,
            bytes=self.bytes + more.bytes,
            kinds=union(self.kinds, more.kinds),
        )


NOTHING = Sent(rows=0, taken=0, bytes=0)


class Ticker:
    """Emits Progress, but not more often than anyone can read."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._next = 0.0

    def tell(self, rows: int | None, size: int) -> None:
        now = monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            self._emit(Progress(rows=rows, bytes=size))


def copy(step: CopyIn, connection: psycopg.Connection[object], source: Source, emit: Emit) -> Sent:
    """Carry out a CopyIn step for the whole source."""
    total = NOTHING
    with reading(step, source) as found:
        while (chunk := found.chunk(ChunkSize())) is not None:
            total = total.with_more(copy_chunk(step, connection, found, chunk, emit, before=total.bytes))
    return total


def copy_chunk(
    step: CopyIn,
    connection: psycopg.Connection[object],
    found: Counted,
    chunk: Chunk,
    emit: Emit,
    *,
    before: int,
) -> Sent:
    """Carry out a CopyIn step for a chunk; every row the source gives is counted against those the server took.

    `before` are the bytes that were read for the chunks before it.
    """
    kinds: dict[str, set[str]] | None = None
    ticker = Ticker(emit)
    if isinstance(chunk, RowChunk):
        kinds = {column.column: set() for column in step.columns} if step.observes else None
        taken = _copy_rows(step, connection, found, chunk, emit, kinds)
    elif isinstance(chunk, ArrowChunk):
        from syncengine.execute.columns import copy_batches

        taken = copy_batches(step, connection, chunk, lambda: ticker.tell(None, found.bytes_read))
    else:
        taken = _copy_csv(step, connection, found, chunk, emit)
    if taken != chunk.records and not step.may_drop_rows:
        message = f"the source gave {chunk.records} rows, the server took {taken}"
        raise BooksDoNotClose(message, hint="nothing was published; please report this with the file")
    observed = None if kinds is None else {name: frozenset(kind) for name, kind in kinds.items()}
    return Sent(rows=chunk.records, taken=taken, bytes=max(0, found.bytes_read - before), kinds=observed)


def _copy_csv(
    step: CopyIn, connection: psycopg.Connection[object], found: Counted, chunk: CsvChunk, emit: Emit
) -> int:
    ticker = Ticker(emit)
    names = {column.field: column.column for column in step.columns}
    columns = [names[field] for field in chunk.fields]
    statement = staging.copy_in((step.schema, step.table), columns, step.csv)
    with connection.cursor() as cursor:
        try:
            with copying(cursor, statement) as stream:
                for block in chunk.blocks(watch(chunk, step)):
                    stream.write(block)
                    ticker.tell(None, found.bytes_read)
        except psycopg.Error as error:
            raise blame(error, chunk.locate, f"COPY {chunk.label}", columns=step.columns) from error
        return cursor.rowcount


def _copy_rows(
    step: CopyIn,
    connection: psycopg.Connection[object],
    found: Counted,
    chunk: RowChunk,
    emit: Emit,
    kinds: dict[str, set[str]] | None,
) -> int:
    columns = [column.column for column in step.columns]
    statement = staging.copy_in((step.schema, step.table), columns, None)
    ticker = Ticker(emit)
    unstaged, sent = step.counts is not None, 0
    texts = RowText(step.columns, chunk.fields, kinds, unstaged=unstaged, of_json=chunk.of_json)
    with connection.cursor() as cursor:
        try:
            with copying(cursor, statement) as stream:
                for rows in chunk.batches():
                    if (block := texts.block(rows)) is not None:
                        stream.write(block)
                        sent += len(rows)
                    else:
                        odd = _texts(chunk, rows, step.columns, kinds, unstaged=unstaged, first=sent + 1)
                        for row in odd:
                            sent += 1
                            stream.write(line(row))
                    ticker.tell(chunk.start.records + chunk.records, found.bytes_read)
        except psycopg.Error as error:
            raise _blame_row(error, chunk.locate, sent, step.columns) from error
        except UnicodeEncodeError as error:
            raise _not_text(chunk.locate(sent), sent) from error
        except SyncError as error:
            error.row = error.row or sent + 1  # the source can't tell what comes next
            raise
        return cursor.rowcount


class Some(Struct, frozen=True, kw_only=True):
    """Some rows of a source, with the place of each, counted from 1."""

    fields: tuple[str, ...]
    rows: Iterable[tuple[object, ...]]
    locate: Callable[[int], str]


def copy_some(step: CopyIn, connection: psycopg.Connection[object], some: Some) -> int:
    """Carry out a CopyIn step for some rows as text; return how many the server took."""
    names = [column.column for column in step.columns]
    statement = staging.copy_in((step.schema, step.table), names, None)
    texts = _texts(some, some.rows, step.columns, unstaged=step.counts is not None)
    return _copy_texts(statement, connection, texts, some.locate, step.columns)


def _copy_texts(
    statement: Composed,
    connection: psycopg.Connection[object],
    rows: Iterable[Sequence[str | None]],
    locate: Callable[[int], str],
    columns: Sequence[StagedColumn],
) -> int:
    """COPY rows and return how many the server took; an error names the place of its row."""
    number = 0
    with connection.cursor() as cursor:
        try:
            with copying(cursor, statement) as stream:
                for row in rows:
                    number += 1
                    stream.write_row(row)
        except psycopg.Error as error:
            raise _blame_row(error, locate, number, columns) from error
        except UnicodeEncodeError as error:
            raise _not_text(locate(number), number) from error
        return cursor.rowcount


def _blame_row(
    error: psycopg.Error, locate: Callable[[int], str], sent: int, columns: Sequence[StagedColumn]
) -> SyncError:
    """Return the error with its place; one that the server has not seen is about the last row."""
    unsent = sent if isinstance(error, psycopg.DataError) and error.sqlstate is None else None
    return blame(error, locate, "COPY", row=unsent, columns=columns)


def _not_text(where: str, row: int) -> SyncError:
    error = BadRow("a lone surrogate is not a character and can't be stored", location=place_of(where))
    error.row = row
    return error


def _texts(
    stream: RowStream | RowChunk | Some,
    rows: Iterable[tuple[object, ...]],
    columns: Sequence[StagedColumn],
    kinds: dict[str, set[str]] | None = None,
    *,
    unstaged: bool = False,
    first: int = 1,
) -> Iterator[list[str | None]]:
    """Yield the staged columns of each row as text; note the kinds of their values if asked to.

    `first` is the number of the first row.
    """
    places = {name: place for place, name in enumerate(stream.fields)}
    # A source without a row may have no fields either; then the places are never used.
    picks: list[tuple[int, Callable[[object], str | None]]] = [
        (places.get(column.field, -1), to_text(column.kind, column.reads)) for column in columns
    ]
    looks = [
        (place, column.field, rule)
        for place, column in enumerate(columns)
        for rule in rules(column, unstaged=unstaged)
    ]
    for number, row in enumerate(rows, start=first):
        if kinds is not None:
            for (place, _), noted in zip(picks, kinds.values(), strict=True):
                if row[place] is not None:
                    noted.add(kind_of(row[place]))
        try:
            texts = [convert(row[place]) for place, convert in picks]
        except Exception as error:  # whatever the str() of a class not ours may raise
            raise _no_text(error, stream.locate(number), number) from error
        for place, field, rule in looks:
            if (loss := loss_of(texts[place], field, rule)) is not None:
                loss.location, loss.row = place_of(stream.locate(number)), number
                raise loss
        yield texts


def _no_text(error: Exception, where: str, row: int) -> SyncError:
    found: SyncError
    if isinstance(error, NoText):
        found = BadRow(str(error), detail=error.detail, hint=error.hint, location=place_of(where))
    else:
        message = f"a value has no text: {type(error).__name__}"
        found = SourceError(message, detail=str(error), location=place_of(where))
    found.row = row
    return found


def insert(step: InsertRows, connection: psycopg.Connection[object], source: Source) -> Sent:
    """Carry out an InsertRows step: as few statements as the number of parameters allows."""
    rows = size = 0
    batch = max(1, MOST_PARAMETERS // len(step.columns))
    with source.open(Handover.ROWS) as stream:
        assert not isinstance(stream, CsvBytes)
        texts = _texts(stream, stream, step.columns)
        while some := list(islice(texts, batch)):
            _insert(step, connection, some, partial(_locate, stream, rows))
            rows += len(some)
        size = stream.bytes_read
    return Sent(rows=rows, taken=rows, bytes=size)


def _locate(stream: RowStream, before: int, row: int) -> str:
    return stream.locate(before + row)


def _insert(
    step: InsertRows,
    connection: psycopg.Connection[object],
    rows: Sequence[Sequence[str | None]],
    locate: Callable[[int], str],
) -> None:
    """Send one multi-row INSERT.  It does not tell which value is refused: the same rows by COPY do."""
    try:
        with connection.transaction():
            _send(step, connection, rows)
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as error:
        statement = staging.copy_in(
            (step.schema, step.table), [column.column for column in step.columns], None
        )
        _copy_texts(statement, connection, rows, locate, step.columns)
        if isinstance(error, psycopg.Error):
            raise wrap(error, doing="INSERT") from error
        raise


def _send(
    step: InsertRows, connection: psycopg.Connection[object], rows: Sequence[Sequence[str | None]]
) -> None:
    statement = step.sql + staging.values(len(rows), len(step.columns)).as_string()
    with RawCursor(connection) as cursor:
        cursor.execute(statement.encode(), [value for row in rows for value in row])
