"""The values of an Arrow array in Python, exact: their texts are what a CSV of the same data holds.

What Python has no exact type for comes as text: moments (nanoseconds, years beyond 9999, BC) and UUIDs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from itertools import pairwise

from syncengine.columnar import moments
from syncengine.columnar.lib import Array, Batch, is_list, is_text, is_uuid, items_of, np, pa, pc, plain
from syncengine.errors import BadRow


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
        return [one.as_py() for one in array]
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
    found = array.fill_null(0).to_numpy(zero_copy_only=False)
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return [float(str(one)) if good else None for one, good in zip(found, valid, strict=True)]


def _lists(array: Array) -> list[object]:
    offsets, flat = items_of(array)
    items = values(flat)
    return _with_nulls(array, [items[start:end] for start, end in pairwise(offsets.tolist())])


def _structs(array: Array) -> list[object]:
    names = [field.name for field in array.type]
    columns = [values(array.field(place)) for place in range(len(names))]
    if not columns:
        return _with_nulls(array, [{} for _ in range(len(array))])
    found: list[object] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return _with_nulls(array, found)


def _maps(array: Array) -> list[object]:
    offsets = array.offsets.to_numpy().tolist()
    first, size = offsets[0], offsets[-1] - offsets[0]
    keys, items = values(array.keys.slice(first, size)), values(array.items.slice(first, size))
    found: list[object] = [
        dict(zip(keys[start - first : end - first], items[start - first : end - first], strict=True))
        for start, end in pairwise(offsets)
    ]
    return _with_nulls(array, found)


def _with_nulls(array: Array, found: Sequence[object]) -> list[object]:
    if not array.null_count:
        return list(found)
    valid = np.asarray(pc.is_valid(array))
    return [one if good else None for one, good in zip(found, valid, strict=True)]
