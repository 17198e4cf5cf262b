"""Lists of Arrow as binary fields of PostgreSQL's one-dimensional arrays."""

from __future__ import annotations

from collections.abc import Callable

from syncengine.columnar.fields import Declined, Pieces, joined, room
from syncengine.columnar.lib import Array, is_list, items_of, np, pa, pc, plain

# The array's header holds its elements' OID; those of built-in types are the same on every server.
OIDS = {
    "boolean": 16,
    "bytea": 17,
    "bigint": 20,
    "smallint": 21,
    "integer": 23,
    "text": 25,
    "json": 114,
    "real": 700,
    "double precision": 701,
    "character varying": 1043,
    "date": 1082,
    "time without time zone": 1083,
    "timestamp without time zone": 1114,
    "timestamp with time zone": 1184,
    "interval": 1186,
    "numeric": 1700,
    "uuid": 2950,
    "jsonb": 3802,
}


def arrays(array: Array, element: str, encode: Callable[[Array], Pieces]) -> Pieces:
    """Return arrays of an element type whose values `encode` makes fields of."""
    if not is_list(array.type):
        raise Declined("no lists", always=True)
    offsets, items = items_of(array)
    items = plain(items)
    if is_list(items.type) and element not in ("json", "jsonb"):
        raise Declined("lists of lists", always=True)
    ends = np.zeros(1, "i8")
    body = joined([encode(items)], len(items))
    if len(items):
        ends = np.frombuffer(body.buffers()[1], "i4")[body.offset : body.offset + len(items) + 1]
    starts = ends[offsets].astype("i4")
    payload = pa.Array.from_buffers(
        pa.binary(),
        len(array),
        [None, pa.py_buffer(starts), body.buffers()[2] if len(items) else pa.py_buffer(b"")],
    )
    return _fields(array, np.diff(offsets), payload, OIDS[element], items.null_count > 0)


def _fields(array: Array, sizes: object, payload: Array, oid: int, has_null: bool) -> Pieces:
    """Return the fields; an empty array has no dimension, any other one that begins at 1."""
    lengths = np.diff(np.frombuffer(payload.buffers()[1], "i4"))
    filled = np.asarray(sizes) > 0
    names = ("dimensions", "nulls", "oid", "count", "low")
    parts = room(len(array), *((name, ">i4") for name in names))
    parts["size"] = np.where(filled, 20 + lengths, 12)
    parts["dimensions"], parts["nulls"], parts["oid"] = filled, has_null & filled, oid
    parts["count"], parts["low"] = sizes, 1
    head = pa.array([], pa.binary()) if not len(array) else _heads(array, parts, filled)
    return head, payload


def _heads(array: Array, parts: object, filled: object) -> Array:
    """Return the headers: those of empty arrays are shorter by count and bound."""
    data = np.asarray(parts).view("u1").reshape(-1, 24)
    keep = np.ones(data.shape, bool)
    keep[:, 16:] = np.asarray(filled)[:, None]
    offsets = np.concatenate([np.zeros(1, "i4"), np.cumsum(keep.sum(axis=1))]).astype("i4")
    valid = pc.is_valid(array).buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(
        pa.binary(),
        len(array),
        [valid, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data[keep]))],
    )
