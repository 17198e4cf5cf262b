"""Stage records batch by batch, and take out those that can't be read: COPY itself is the judge.

Rows go by COPY's text format, one line each, so that the server's input decides on every value as it does for a whole
file.  Where it refuses one, what stands before it is sent again, and what follows by and by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.errors import BadRow, SyncError
from syncengine.execute import values
from syncengine.execute.blame import copy_line
from syncengine.execute.keeping import fields_of, keep
from syncengine.execute.losses import Rule
from syncengine.execute.refusals import Refusal, is_of_row, own_refusal, refusal
from syncengine.execute.watching import loss_of, rules
from syncengine.model.badrows import BadRowSample, NoText
from syncengine.model.facts import SourceFacts
from syncengine.model.steps import StageRecords
from syncengine.protocols import Record

BATCH = 1_000
_NO_TEXT, _LOST = "22021", "22000"

Texts = list[str | None]


@dataclass
class Stager:
    """Takes records in order; `samples` are the first bad ones.  It keeps all as they stand there, or only those."""

    step: StageRecords
    connection: psycopg.Connection[TupleRow]
    facts: SourceFacts
    sensitive: Sequence[str]
    target: str
    rows: int = 0
    bad: int = 0
    bytes: int = 0
    samples: list[BadRowSample] = field(default_factory=list)
    kinds: dict[str, set[str]] | None = None

    def __post_init__(self) -> None:
        places = {name: place for place, name in enumerate(fields_of(self.facts))}
        self._picks: list[tuple[int, Callable[[object], str | None]]] = [
            (places.get(column.field, -1), values.to_text(column.kind, column.reads))
            for column in self.step.columns
        ]
        self._looks: list[list[Rule]] = [rules(column, unstaged=False) for column in self.step.columns]
        names = [column.column for column in self.step.columns]
        self._keys = [names.index(name) for name in self.step.keys]
        if self.step.observes:
            self.kinds = {name: set() for name in names}

    @property
    def found_kinds(self) -> dict[str, frozenset[str]] | None:
        """Return the kinds of the values that were seen, by staging column, if they are observed."""
        return None if self.kinds is None else {name: frozenset(found) for name, found in self.kinds.items()}

    def take(self, records: Sequence[Record]) -> None:
        """Stage one batch, in the transaction that is open."""
        found = [(record, self._texts(record)) for record in records]
        good = [(record.number, texts) for record, texts in found if isinstance(texts, list)]
        bad = {record.number: texts for record, texts in found if isinstance(texts, Refusal)}
        bad |= self._copy(good)
        self.rows += len(records)
        self.bad += len(bad)
        self.bytes += sum(len(record.raw) for record in records)
        self._observe(records)
        refused = [record for record in records if record.number in bad]
        keep(self.step.raw, self.connection, self.facts, records if self.step.pieces is None else refused)
        if bad:
            self._note(records, bad)
            self._set_aside(refused)

    def _texts(self, record: Record) -> Texts | Refusal:
        """Return the staged columns of a record as text, or what keeps one from being that."""
        if record.values is None:
            return Refusal(
                column=None, sqlstate=record.sqlstate, constraint=None, message=record.fault or "unreadable"
            )
        texts: Texts = []
        for column, (place, convert), looks in zip(self.step.columns, self._picks, self._looks, strict=True):
            try:
                text = _storable(convert(record.values[place]))
            except Exception as error:  # whatever the str() of a class not ours may raise
                said = str(error) if isinstance(error, ValueError) else f"it has no text: {error}"
                detail = error.detail if isinstance(error, NoText) else None
                return self._own(BadRow(said, detail=detail), column.field, _NO_TEXT)
            for rule in looks:
                if (loss := loss_of(text, column.field, rule)) is not None:
                    loss.message = loss.message.removeprefix(f"field {column.field}: ")
                    return self._own(loss, column.field, _LOST)
            texts.append(text)
        return texts

    def _own(self, error: SyncError, name: str, sqlstate: str) -> Refusal:
        return own_refusal(error, name, sensitive=name in self.sensitive, sqlstate=sqlstate)

    def _copy(self, rows: Sequence[tuple[int, Texts]]) -> dict[int, Refusal]:
        """COPY what can be copied of some rows; return the others."""
        refused: dict[int, Refusal] = {}
        at, size = 0, len(rows)
        while at < len(rows):
            if rows[at][0] in refused:
                at += 1
                continue
            some = rows[at : at + size]
            error = self._attempt(self.step.sql, [(*texts, number) for number, texts in some])
            if error is None:
                at, size = at + len(some), min(2 * size, BATCH)
                continue
            line = copy_line(error.diag.context or "")
            if line is None and len(some) > 1:
                size = len(some) // 2
                continue
            guilty = min(line or 1, len(some)) - 1
            refused[some[guilty][0]] = refusal(error, self.sensitive, self.target)
            size = guilty or max(1, size // 4)
        return refused

    def _attempt(self, statement: str, rows: Iterable[Sequence[object]]) -> psycopg.Error | None:
        """COPY rows under a savepoint; return the error if a row is to blame for it."""
        try:
            with (
                self.connection.transaction(),
                self.connection.cursor() as cursor,
                cursor.copy(statement.encode()) as stream,
            ):
                for row in rows:
                    stream.write_row(row)
        except psycopg.Error as error:
            if not is_of_row(error.sqlstate):
                raise wrap(error, doing="copying records") from error
            return error
        return None

    def _observe(self, records: Iterable[Record]) -> None:
        """Note of what kinds the values are, for inference."""
        for record in records if self.kinds is not None else ():
            for (place, _), noted in zip(self._picks, (self.kinds or {}).values(), strict=True):
                if record.values is not None and record.values[place] is not None:
                    noted.add(values.kind_of(record.values[place]))

    def _note(self, records: Sequence[Record], bad: dict[int, Refusal]) -> None:
        by_number = {record.number: record for record in records}
        with self.connection.cursor() as cursor:
            noted = [bad[number].values(number) for number in sorted(bad)]
            cursor.executemany(self.step.sieve.note.encode(), noted)
        for number in sorted(bad)[: max(0, 20 - len(self.samples))]:
            record, why = by_number[number], bad[number]
            self.samples.append(
                BadRowSample(
                    place=record.label,
                    line=record.line,
                    number=number,
                    column=why.column,
                    sqlstate=why.sqlstate,
                    constraint=why.constraint,
                    message=why.message,
                )
            )

    def _set_aside(self, records: Iterable[Record]) -> None:
        """Keep the keys of bad rows that can be read."""
        for record in records if self.step.aside else ():
            if record.values is not None and (texts := self._key_texts(record.values)) is not None:
                self._attempt(self.step.aside, [(*texts, record.number)])

    def _key_texts(self, row: Sequence[object]) -> Texts | None:
        try:
            return [
                _storable(convert(row[place])) for place, convert in (self._picks[key] for key in self._keys)
            ]
        except Exception:  # whatever the str() of a class not ours may raise
            return None


def _storable(text: str | None) -> str | None:
    if text is not None:
        if "\0" in text:
            raise ValueError("a field holds a NUL character, which PostgreSQL cannot store")
        text.encode()  # half of a surrogate pair is no text
    return text
