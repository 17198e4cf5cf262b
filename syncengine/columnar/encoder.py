"""Which binary form the fields of a column take, by its type and by what Arrow has for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from syncengine.columnar import fields, lists, numbers, times, words
from syncengine.columnar.fields import Declined, Pieces
from syncengine.columnar.lib import Array, Batch, pa, plain
from syncengine.columnar.words import Fault, ToText

Encode = Callable[[Array], Pieces]
# Types that have no modifier which would matter.
_ALIKE: dict[str, Encode] = {
    "boolean": numbers.boolean,
    **{name: partial(numbers.integer, target=name) for name in ("smallint", "integer", "bigint")},
    "real": numbers.real,
    "double precision": numbers.double,
    "bytea": words.raw,
    "uuid": words.uuids,
    "date": times.date,
    "interval": times.interval,
}
_MODIFIED = re.compile(r"([a-z ]+?)\((\d+)(?:,(-?\d+))?\)([a-z ]*)")


class Wire(Struct, frozen=True, kw_only=True):
    """A column that is to be sent: the `field` of the source, and the `type` that the server reads it as.

    `limits` are the types, with their modifiers, that its values must fit into as they are.  `to_text` writes a value
    for a column of texts, `faults` say what a text would lose.
    """

    field: str
    type: str
    limits: tuple[str, ...] = ()
    to_text: ToText
    faults: Sequence[Fault] = ()


class Encoder:
    """Makes rows of a binary COPY out of batches; Declined where it can't, or can't be sure."""

    def __init__(self, columns: Sequence[Wire], *, utc: bool) -> None:
        self._columns = [(column.field, _encode(column, utc=utc)) for column in columns]

    def rows(self, batch: Batch) -> memoryview:
        """Return the batch's rows, without header and trailer."""
        try:
            found = [encode(plain(batch.column(field))) for field, encode in self._columns]
            return fields.rows(found, batch.num_rows)
        except (pa.ArrowException, OverflowError) as error:
            raise Declined(str(error)) from error


def _encode(column: Wire, *, utc: bool) -> Encode:
    encode = _for_type(column, column.type, utc=utc)

    def one(array: Array) -> Pieces:
        if array.null_count == len(array):
            return fields.nothing(len(array))
        if encode is None:
            raise Declined(f"{column.type} has no binary form here", always=True)
        return encode(array)

    return one


def _for_type(column: Wire, name: str, *, utc: bool) -> Encode | None:
    """Return the function for a type, None if there is none."""
    if name.endswith("[]"):
        inner = _for_type(column, name.removesuffix("[]"), utc=utc)
        element = _without_modifier(name.removesuffix("[]"))
        known = element in lists.OIDS
        return partial(lists.arrays, element=element, encode=inner) if inner and known else None
    scale, digits, width = _limits(column)
    wordy = partial(words.words, to_text=column.to_text, width=width, faults=column.faults)
    match _without_modifier(name):
        case "numeric":
            return partial(numbers.numeric, scale=scale)
        case "text" | "character varying" | "character" | "bpchar" | "json":
            return wordy
        case "jsonb":
            return partial(wordy, before=b"\x01")
        case "time without time zone":
            return partial(times.time, digits=digits)
        case "timestamp without time zone" | "timestamp with time zone" as target:
            zoned = target == "timestamp with time zone"
            return partial(times.timestamp, zoned=zoned, utc=utc, digits=digits)
        case other:
            return _ALIKE.get(other)


def _without_modifier(name: str) -> str:
    return re.sub(r"\(.*?\)", "", name)


def _limits(column: Wire) -> tuple[int | None, int | None, int | None]:
    """Return the smallest scale, precision of a second, and width in characters among a column's limits."""
    scales, digits, widths = [], [], []
    for limit in column.limits:
        found = _MODIFIED.fullmatch(limit.removesuffix("[]"))
        if found is None:
            continue
        name, first, second, _ = found.groups()
        if name == "numeric":
            scales.append(int(second or 0))
        elif name in ("time", "timestamp"):
            digits.append(int(first))
        elif name == "character varying":
            widths.append(int(first))
    return min(scales, default=None), min(digits, default=None), min(widths, default=None)
