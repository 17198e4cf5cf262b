"""Find the fields that identify a row: never empty and never twice the same, by the rows that were looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import combinations, islice

from syncengine.execute.values import plain
from syncengine.model.facts import Handover
from syncengine.propose.look import Field, Look, moment
from syncengine.propose.names import sql_name
from syncengine.protocols import CsvBytes, RowStream, Source

Place = tuple[int, ...]
Row = tuple[object, ...]
# Values held at a time, to find one that comes again; about 100 MB.
MOST_HELD = 1_000_000
# Longer values are no keys that people write, and an index takes none above 2,700.
_LONGEST = 200
_PAIRED = 8
# What only happens to differ, such as prices, is no key.
_KEY_TYPES = ("bigint", "text", "uuid", "date", "timestamp", "timestamp with time zone")
_BEST = ("id", "uuid", "guid")
_GOOD = ("id", "uuid", "guid", "code", "key", "no", "nr", "number", "sku", "slug", "isbn", "ean", "iban")
_FAIR = ("email", "e_mail", "mail", "login", "username", "user_name")


def find_keys(source: Source, seen: Look) -> list[tuple[str, ...]]:
    """Return the fields that identify a row alone, the likeliest key first; if there are none, the best pair.

    Reads the source again, once or a few times.  Empty if no field and no pair is unique.
    """
    if not seen.rows:
        return []
    order = sorted(range(len(seen.fields)), key=lambda place: _rank(seen.fields[place], place))
    able = [place for place in order if _may_be_key(seen.fields[place])]
    found = _unique(source, seen, [(place,) for place in able])
    if not found:
        pairs = list(combinations(able[:_PAIRED], 2))
        found = _unique(source, seen, pairs)[:1]
    return [tuple(seen.fields[place].name for place in places) for places in found]


def _rank(field: Field, place: int) -> tuple[int, int]:
    name = sql_name(field.name)
    last = name.rpartition("_")[2]
    if name in _BEST:
        return 0, place
    if last in _GOOD or name in _FAIR:
        return (1 if place == 0 else 3 if name in _FAIR else 2), place
    return (4 if place == 0 else 5), place


def _may_be_key(field: Field) -> bool:
    named = _rank(field, 1)[0] < 4
    fits = field.type in _KEY_TYPES or (named and field.type in ("numeric", "decimal"))
    return fits and not field.gaps and not field.empty and field.longest <= _LONGEST


def _unique(source: Source, seen: Look, places: Sequence[Place]) -> list[Place]:
    """Return those places that no two rows have alike, in their order; where memory ends, the first of them."""
    waiting = list(places)
    while waiting:
        with source.open(Handover.ROWS) as stream:
            assert not isinstance(stream, CsvBytes)
            found, waiting = _survivors(stream, seen, waiting)
        if found:
            return found
    return []


def _survivors(stream: RowStream, seen: Look, places: list[Place]) -> tuple[list[Place], list[Place]]:
    """Return the places that stayed unique, and those at the end that had to be put off for want of memory."""
    held: dict[Place, set[object]] = {place: set() for place in places}
    values = {place: _value(seen, place) for place in places}
    put_off: list[Place] = []
    for number, row in enumerate(islice(stream, seen.rows), start=1):
        for place in list(held):
            value = values[place](row)
            if value in held[place]:
                del held[place]
            else:
                held[place].add(value)
        while number * len(held) > MOST_HELD and len(held) > 1:
            put_off.insert(0, held.popitem()[0])
        if not held:
            break
    return list(held), put_off


def _value(seen: Look, places: Place) -> Callable[[Row], object]:
    """Return what takes the value of one or several fields out of a row, alike where the types read them alike."""
    parts = [(place, _sameness(seen.fields[place].type)) for place in places]
    if len(parts) == 1:
        ((first, alike),) = parts
        return lambda row: alike(plain(row[first]) or "")
    return lambda row: tuple(alike(plain(row[place]) or "") for place, alike in parts)


def _sameness(type_name: str) -> Callable[[str], object]:
    """Return what makes texts alike that the type reads as one value."""
    match type_name:
        case "bigint":
            return int
        case "numeric" | "decimal":
            return Decimal
        case "uuid":
            return str.lower
        case "timestamp" | "timestamp with time zone":
            return moment
        case _:
            return str
