"""The one place where pyarrow and numpy are imported.

pyarrow has no types for type checkers, and numpy's say little of code that deals in bytes: both are Any from here on.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from typing import Any

from syncengine.errors import NotAvailable

# Arrow's own allocators keep what they once had, half as much memory again for a file that is read in batches; which
# one it takes is settled when it is loaded.
_POOL = "ARROW_DEFAULT_MEMORY_POOL"
_OURS = "pyarrow" not in sys.modules and _POOL not in os.environ
if _OURS:
    os.environ[_POOL] = "system"

try:
    import numpy
    import pyarrow
    import pyarrow.compute

    pyarrow.default_memory_pool()
except ImportError as error:
    raise NotAvailable(
        "sources of Arrow data (Parquet, Arrow, Feather, DataFrames) need the packages pyarrow and numpy",
        detail=str(error),
        hint="pip install 'syncengine[arrow]'",
    ) from error
finally:
    if _OURS:
        del os.environ[_POOL]

np: Any = numpy
pa: Any = pyarrow
pc: Any = pyarrow.compute


def parquet() -> Any:
    """Return pyarrow's module for Parquet, which is imported for that alone."""
    return importlib.import_module("pyarrow.parquet")


# Of pyarrow, for annotations.
Array = Any
Batch = Any
Schema = Any
DataType = Any


def plain(array: Array) -> Array:
    """Return an array without what only packs it: dictionaries, runs, chunks, extensions other than UUIDs."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    while True:
        kind = array.type
        if pa.types.is_dictionary(kind):
            array = array.dictionary_decode()
        elif pa.types.is_run_end_encoded(kind):
            array = pc.run_end_decode(array)
        elif isinstance(kind, pa.BaseExtensionType) and not is_uuid(kind):
            array = array.storage
        else:
            return array


# pyarrow's own `to_numpy` and `scalar` look if pandas is there, and import it: 35 MB and a third of a second.


def flat(array: Array) -> Any:
    """Return numbers or booleans, none of them NULL, as a numpy array."""
    if pa.types.is_boolean(array.type):
        return flat(array.cast(pa.uint8())).view(bool)
    form = array.type.to_pandas_dtype()
    if not len(array):
        return np.empty(0, form)
    return np.frombuffer(array.buffers()[1], form)[array.offset : array.offset + len(array)]


def nulls(array: Array) -> Any:
    """Return a numpy array that is true where the array holds NULL."""
    return flat(pc.is_null(array))


def filled(array: Array) -> Array:
    """Return an array of numbers or bytes with zeros, or empty bytes, for NULL."""
    return array.fill_null(zero(array.type)) if array.null_count else array


@cache
def zero(kind: DataType) -> Any:
    """Return the zero of a type of numbers, or empty bytes."""
    more = [pa.py_buffer(b"")] if pa.types.is_binary(kind) else []
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(bytes(32)), *more])[0]


def integers(array: Array) -> Any:
    """Return the numbers beneath an array of numbers, dates or times, as int64; 0 for NULL."""
    kind = array.type
    if pa.types.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    return flat(filled(array)).astype("i8", copy=False)


def is_text(kind: DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: DataType) -> bool:
    test = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return bool(any(one(kind) for one in test) or pa.types.is_fixed_size_binary(kind))


def is_list(kind: DataType) -> bool:
    test = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    more = (pa.types.is_list_view, pa.types.is_large_list_view)
    return bool(any(one(kind) for one in (*test, *more)))


def is_uuid(kind: DataType) -> bool:
    return bool(getattr(kind, "extension_name", "") == "arrow.uuid")


def items_of(array: Array) -> tuple[Any, Array]:
    """Return where the items of each list begin, and the end of the last, with the items; NULL lists have none."""
    sizes = pc.list_value_length(array)
    ends = np.cumsum(flat(filled(sizes)).astype("i8"))
    return np.concatenate([np.zeros(1, "i8"), ends]), array.flatten()
