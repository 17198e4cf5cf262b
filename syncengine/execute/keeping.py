"""Keep records of the source as they stand there, with the headers of their files, for the quarantine."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import psycopg
from msgspec import Struct
from msgspec.structs import asdict
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from syncengine.errors import SourceError
from syncengine.execute import values
from syncengine.model.facts import ABSENT, Handover, SourceFacts
from syncengine.model.steps import RawRecords
from syncengine.protocols import Position, Record, Source

Connection = psycopg.Connection[TupleRow]


def fields_of(facts: SourceFacts) -> tuple[str, ...]:
    """Return what the values of a source's records are called (protocols.Record)."""
    return (*facts.fields, *((ABSENT,) if facts.partial else ()))


def keep(raw: RawRecords, connection: Connection, facts: SourceFacts, records: Sequence[Record]) -> None:
    """Keep records as they stand in the source, and the headers of their files."""
    if not records:
        return
    heads = {record.after.part: (record.label, record.head) for record in records if record.head}
    with connection.cursor() as cursor:
        # Numbers below 0 are no record's.
        cursor.executemany(raw.head.encode(), [(-1 - part, *head) for part, head in heads.items()])
        with cursor.copy(raw.copy.encode()) as stream:
            for record in records:
                stream.write_row(_kept(record, fields_of(facts)))


def keep_unseen(raw: RawRecords, connection: Connection, source: Source) -> None:
    """Keep the bad records that were staged without a look at each.  They are read once more; raises SourceError."""
    wanted = [int(number) for (number,) in connection.execute(raw.wanted.encode())]
    if not wanted:
        return
    places = [
        _Piece(first=int(number), place=Position(**place), accepted=accepted)
        for number, place, accepted in connection.execute(raw.places.encode())
    ]
    with closing(_Lookup(source)) as lookup:
        for piece, behind in pairwise([*places, None]):
            assert piece is not None
            end = wanted[-1] + 1 if behind is None else behind.first
            some = wanted[bisect_left(wanted, piece.first) : bisect_left(wanted, end)]
            if some:
                keep(raw, connection, source.describe(), list(lookup.find(some, piece, behind)))


class _Piece(Struct, frozen=True, kw_only=True):
    """Records that were staged together, from number `first` at a place on; `accepted` ones as a whole."""

    first: int
    place: Position
    accepted: bool


class _Lookup:
    """Finds records by their numbers, piece by piece in order."""

    def __init__(self, source: Source) -> None:
        self._source = source
        # Those of Arrow data are skipped at little cost, what comes before those of a text is read where no byte tells.
        self._skips = Handover.ARROW in source.describe().handovers
        self._records: Generator[Record, None, None] | None = None
        self._accepted = False

    def close(self) -> None:
        if self._records is not None:
            self._records.close()

    def find(self, wanted: Sequence[int], piece: _Piece, behind: _Piece | None) -> Iterator[Record]:
        """Yield the records of these numbers, none of which lies `behind` the piece.  Raises SourceError."""
        missing = set(wanted)
        for record in self._from(piece):
            broken = piece.accepted and record.fault is not None
            if broken or (behind is not None and _is_beyond(record.after, behind.place)):
                break
            if record.number in missing:
                missing.remove(record.number)
                yield record
            if not missing:
                return
        raise SourceError(
            f"row {min(missing):,} of {self._source.describe().label} can't be told from those beside it",
            hint="mend it in the source, or leave `bad_rows: quarantine` out: the error then says what is wrong",
        )

    def _from(self, piece: _Piece) -> Generator[Record, None, None]:
        """Return the records from a piece on; what is being read goes on where it can't be opened there."""
        found = self._records
        opens = self._skips or piece.place.offset or not piece.place.records
        if found is None or opens or piece.accepted or self._accepted:
            self.close()
            found = self._source.records(piece.place, piece.first, accepted=piece.accepted)
        self._records, self._accepted = found, piece.accepted
        return found


def _is_beyond(place: Position, other: Position) -> bool:
    return place.part == other.part and (place.offset or 0) > (other.offset or place.offset or 0)


def as_json(place: Position) -> str:
    """Return a place as the ledger and staging keep it."""
    return json.dumps(asdict(place))


def _kept(record: Record, fields: Sequence[str]) -> tuple[object, ...]:
    if not record.raw:
        row = None if record.values is None else _image(fields, record.values)
        return record.number, record.label, None, None, None, None, row
    return record.number, record.label, record.line, record.first, record.last, record.raw, None


def _image(fields: Sequence[str], row: Sequence[object]) -> Jsonb | None:
    """Return a row that has no bytes as JSON."""
    try:
        text = values.json(dict(zip(fields, row, strict=True)))
        text.encode()
    except Exception:  # what has no text can't be kept either
        return None
    return Jsonb(text, dumps=lambda ready: str(ready)) if "\\u0000" not in text and "\0" not in text else None
