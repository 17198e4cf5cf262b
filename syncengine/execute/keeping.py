"""Keep records of the source as they stand there, with the headers of their files, for the quarantine."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise

import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from syncengine.errors import SourceError
from syncengine.execute import values
from syncengine.model.facts import ABSENT, SourceFacts
from syncengine.model.plan import RawRecords
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
    places = [(int(n), Position(**place)) for n, place in connection.execute(raw.places.encode())]
    for (first, place), (beyond, behind) in pairwise([*places, (wanted[-1] + 1, None)]):
        some = wanted[bisect_left(wanted, first) : bisect_left(wanted, beyond)]
        if some:
            assert place is not None
            found = list(_sought(source, place, first, some, behind))
            keep(raw, connection, source.describe(), found)


def _sought(
    source: Source, place: Position, first: int, wanted: Sequence[int], behind: Position | None
) -> Iterator[Record]:
    """Yield the records of these numbers, of which `first` stands at a place; none of them lies `behind` another."""
    missing = set(wanted)
    for record in source.records(place, first):
        if record.number in missing:
            if behind is not None and _is_beyond(record.after, behind):
                break
            missing.remove(record.number)
            yield record
        if not missing:
            return
    number = min(missing)
    raise SourceError(
        f"row {number:,} of {source.describe().label} can't be told from those beside it",
        hint="mend it in the source, or leave `bad_rows: quarantine` out: the error then says what is wrong with it",
    )


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
