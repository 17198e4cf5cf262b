"""Find the places in the source of keys that a check has complained of, by reading it once more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from syncengine.errors import SyncError
from syncengine.execute.values import plain
from syncengine.model.facts import Handover
from syncengine.protocols import CsvBytes, Source

MOST_ROWS = 1_000_000
MOST_PLACES = 10


def places(source: Source, fields: Sequence[str], samples: Sequence[str]) -> tuple[str, ...]:
    """Return where the source holds the sampled keys, such as `users.csv:7`, in its order.

    `samples` are JSON objects with one value a field.  A key that the source writes in another way than the server
    (007 for 7) is not found; nor is anything past the first million rows.
    """
    wanted = {
        tuple(plain(value) for value in json.loads(sample, parse_float=str).values()) for sample in samples
    }
    try:
        return tuple(islice(_find(source, fields, wanted), MOST_PLACES))
    except SyncError:
        return ()  # the complaint itself matters more than its places


def _find(source: Source, fields: Sequence[str], wanted: set[tuple[str | None, ...]]) -> Iterator[str]:
    with source.open(Handover.ROWS) as stream:
        assert not isinstance(stream, CsvBytes)
        picks = [stream.fields.index(field) for field in fields]
        for number, row in enumerate(islice(stream, MOST_ROWS), start=1):
            if tuple(plain(row[pick]) for pick in picks) in wanted:
                yield stream.locate(number)
