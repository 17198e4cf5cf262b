"""The error for values that would be rounded on their way into a column, with their places in the source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice

from syncengine.errors import BadRow, SyncError
from syncengine.execute.blame import place, round_on_purpose
from syncengine.execute.places import MOST_PLACES, MOST_ROWS
from syncengine.execute.values import plain
from syncengine.model.facts import Handover
from syncengine.model.steps import Check
from syncengine.protocols import CsvBytes, Source


def would_round(step: Check, source: Source, samples: Sequence[str], rows: int) -> BadRow:
    """Return the error for the sampled values (sql/staging.py, check_rounding); `rows` have such a value."""
    found = [(field, *value) for sample in samples for field, value in json.loads(sample).items()]
    sentences = [f"column {column}: {value} would be rounded by {kind}" for _, column, kind, value in found]
    where = _places(source, {(field, _form(value)) for field, _, _, value in found}) if step.fields else ()
    field, column, kind, _ = found[0]
    more = [f"{rows} rows hold such values"] if rows > 1 else []
    at = [f"at {', '.join(where)}"] if len(where) > 1 else []
    return BadRow(
        sentences[0],
        detail="; ".join([*sentences[1:], *more, *at]) or None,
        hint=round_on_purpose(column, field, kind),
        location=place(where[0]) if where else None,
    )


def _places(source: Source, wanted: set[tuple[str, object]]) -> tuple[str, ...]:
    try:
        return tuple(islice(_find(source, wanted), MOST_PLACES))
    except SyncError:
        return ()  # the complaint itself matters more than its places


def _find(source: Source, wanted: set[tuple[str, object]]) -> Iterator[str]:
    fields = {field for field, _ in wanted}
    with source.open(Handover.ROWS) as stream:
        assert not isinstance(stream, CsvBytes)
        picks = [(place, name) for place, name in enumerate(stream.fields) if name in fields]
        for number, row in enumerate(islice(stream, MOST_ROWS), start=1):
            if any((name, _form(plain(row[place]))) in wanted for place, name in picks):
                yield stream.locate(number)


_MOMENT = re.compile(r"(\d+-\d\d-\d\d)[ T](\d\d:\d\d)(?::(\d\d))?(?:\.(\d+))?")


def _form(text: str | None) -> object:
    """Return a text so that other spellings of a number, or of a time in the session's zone, are the same."""
    try:
        return None if text is None else Decimal(text)
    except ArithmeticError:
        moment = _MOMENT.match(text or "")
    if moment is None:
        return text
    day, minute, second, fraction = moment.groups()
    return day, minute, second or "00", (fraction or "").rstrip("0")
