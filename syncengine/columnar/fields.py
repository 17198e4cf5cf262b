"""Fields of a binary COPY, made for a whole column at once, and rows made of them.

A field is its length in four bytes and its bytes; -1 is NULL.  A column is one or two Arrow arrays of bytes ("pieces")
that stand side by side in each row.  Arrow itself then joins all pieces of a row: nothing is done row by row here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncengine.columnar.lib import Array, filled, np, pa, pc, zero

Pieces = tuple[Array, ...]

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"


class Declined(Exception):
    """The values of a column have no binary form that surely is what their texts would become.

    `always`: that is so for all values of these types.
    """

    def __init__(self, reason: str, *, always: bool = False) -> None:
        super().__init__(reason)
        self.always = always


def fixed(array: Array, parts: Any, size: int) -> Pieces:
    """Return fields that all have `size` bytes; `parts` is a structured array that begins with room for the length.

    NULLs are those of `array`.
    """
    parts["size"] = size
    return (_bytes(array, len(parts), parts, parts.dtype.itemsize),)


def room(count: int, *parts: tuple[str, str] | tuple[str, str, tuple[int]]) -> Any:
    """Return a structured array for `fixed`."""
    return np.empty(count, dtype=[("size", ">i4"), *parts])


def one(array: Array, numbers: Any, form: str) -> Pieces:
    """Return fields of one number each, in the form of a numpy type such as `>i8`."""
    parts = room(len(numbers), ("value", form))
    parts["value"] = numbers
    return fixed(array, parts, parts.dtype["value"].itemsize)


def _bytes(array: Array, count: int, data: Any, width: int) -> Array:
    """Return an array of bytes of equal width, NULL where `array` is."""
    valid = pc.is_valid(array).buffers()[1] if array.null_count else None
    offsets = np.arange(0, (count + 1) * width, width, dtype="i4")
    return pa.Array.from_buffers(pa.binary(), count, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])


def variable(array: Array, before: bytes = b"") -> Pieces:
    """Return fields that hold the bytes of an array of bytes or texts, `before` in front of each."""
    payload = array.cast(pa.binary())
    missing = payload.null_count > 0
    if missing:
        payload = filled(payload)
    sizes = np.diff(_offsets(payload)) + len(before)
    form = [("size", ">i4"), ("before", f"V{len(before)}")] if before else [("size", ">i4")]
    parts = np.empty(len(payload), dtype=form)
    parts["size"] = sizes
    if before:
        parts["before"] = np.void(before)
    if missing:
        # What is NULL here becomes NULL's own four bytes when the row is joined.
        return _bytes(array, len(payload), parts, parts.dtype.itemsize), payload
    return _bytes(payload, len(payload), parts, parts.dtype.itemsize), payload


def _offsets(payload: Array) -> Any:
    found = np.frombuffer(payload.buffers()[1], "i4") if len(payload) else np.zeros(1, "i4")
    return found[payload.offset : payload.offset + len(payload) + 1]


def nothing(count: int) -> Pieces:
    """Return fields that are all NULL."""
    return (pa.nulls(count, pa.binary()),)


def joined(columns: Sequence[Pieces], count: int, before: bytes = b"") -> Array:
    """Return an array of the columns' fields side by side, `before` in front of each row."""
    pieces = [piece for column in columns for piece in column]
    if not pieces:
        return pa.array([before] * count, pa.binary())
    empty = zero(pa.binary())
    lead = (_constant(before),) if before else ()
    return pc.binary_join_element_wise(*lead, *pieces, empty, null_handling="replace", null_replacement=NULL)


def _constant(data: bytes) -> Any:
    offsets = np.array([0, len(data)], "i4")
    return pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])[0]


def rows(columns: Sequence[Pieces], count: int) -> memoryview:
    """Return the rows of a binary COPY, one behind the other."""
    found = joined(columns, count, len(columns).to_bytes(2, "big"))
    offsets = _offsets(found)
    return memoryview(found.buffers()[2])[int(offsets[0]) : int(offsets[-1])] if count else memoryview(b"")
