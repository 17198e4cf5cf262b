"""The values of an Arrow array in Python, exact: their texts are what a CSV of the same data holds.

What Python has no exact type for comes as text: moments (nanoseconds, years beyond 9999, BC) and UUIDs.  What it can't
hold without a loss comes as a Lossy value.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from syncengine.columnar import moments
from syncengine.columnar.lib import (
    Array,
    Batch,
    filled,
    flat,
    is_list,
    is_text,
    is_uuid,
    items_of,
    nulls,
    pa,
    plain,
)
from syncengine.errors import BadRow
from syncengine.model.badrows import NoText, equal_keys


class Lossy:
    """Stands for a value: whoever asks for its text is told why it has none, and so knows its row."""

    def __init__(self, reason: NoText) -> None:
        self._reason = reason

    def __str__(self) -> str:
        raise self._reason.with_traceback(None)  # else it would grow with each row


def rows(batch: Batch) -> Iterator[tuple[object, ...]]:
    """Yield the rows of a batch."""
    if not batch.num_columns:
        return iter([()] * batch.num_rows)
    return zip(*(values(column) for column in batch.columns), strict=True)


def values(array: Array) -> list[object]:
    """Return the values of an array; None is NULL."""
    array = plain(array)
    if is_uuid(array.type):
        return [None if one is None else str(uuid.UUID(bytes=one)) for one in array.storage.to_pylist()]
    kind = array.type
    if pa.types.is_temporal(kind) or pa.types.is_interval(kind):
        return list(moments.texts(array))
    if pa.types.is_float16(kind):
        return list(array.cast(pa.float32()).cast(pa.float64()).to_pylist())
    if pa.types.is_float32(kind):
        return _short_floats(array)
    if is_list(kind):
        return _lists(array)
    if pa.types.is_struct(kind):
        return _structs(array)
    if pa.types.is_map(kind):
        return _maps(array)
    if pa.types.is_union(kind):
        return [_one(scalar) for scalar in array]
    return _strings(array) if is_text(kind) else list(array.to_pylist())


def _strings(array: Array) -> list[object]:
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError as error:
        raise BadRow(
            f"a text is not valid UTF-8: {error.reason}", hint="mend the program that wrote the data"
        ) from error


def _short_floats(array: Array) -> list[object]:
    """Return floats of four bytes with the digits that they have, and none that widening adds."""
    found = zip(flat(filled(array)), nulls(array), strict=True)
    return [None if missing else float(str(one)) for one, missing in found]


def _lists(array: Array) -> list[object]:
    offsets, flat = items_of(array)
    items = values(flat)
    return _with_nulls(array, [items[start:end] for start, end in pairwise(offsets.tolist())])


def _structs(array: Array) -> list[object]:
    names = [field.name for field in array.type]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return _with_nulls(array, [Lossy(_equal_fields(twice))] * len(array))
    columns = [values(array.field(place)) for place in range(len(names))]
    if not columns:
        return _with_nulls(array, [{} for _ in range(len(array))])
    found: list[object] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return _with_nulls(array, found)


def _maps(array: Array) -> list[object]:
    offsets = flat(array.offsets).tolist()
    first, size = offsets[0], offsets[-1] - offsets[0]
    keys, items = values(array.keys.slice(first, size)), values(array.items.slice(first, size))
    bounds = ((start - first, end - first) for start, end in pairwise(offsets))
    return _with_nulls(array, [_map(keys[start:end], items[start:end]) for start, end in bounds])


def _map(keys: Sequence[object], items: Sequence[object]) -> object:
    try:
        found = dict(zip(keys, items, strict=True))
    except TypeError:
        return Lossy(
            NoText(
                "the keys of a map are lists, structs or maps; those of JSON are texts",
                hint="load the map as a list of keys and values",
            )
        )
    if len(found) == len(keys):
        return found
    return Lossy(equal_keys(next(key for place, key in enumerate(keys) if key in keys[:place])))


def _one(scalar: Any) -> object:
    try:
        return scalar.as_py()
    except ValueError as error:
        return Lossy(
            NoText("a value of a union can't be read", detail=str(error), hint="load it as a struct")
        )


def _equal_fields(name: str) -> NoText:
    return NoText(
        f"a struct has two fields called {name!r}; JSON can hold one", hint="name one of them otherwise"
    )


def _with_nulls(array: Array, found: Sequence[object]) -> list[object]:
    if not array.null_count:
        return list(found)
    return [None if missing else one for one, missing in zip(found, nulls(array), strict=True)]
