"""Numbers and booleans of Arrow as binary fields; what a column can't hold as it is is declined."""

from __future__ import annotations

from typing import Any

from syncengine.columnar import decimals
from syncengine.columnar.fields import Declined, Pieces, one
from syncengine.columnar.lib import Array, filled, flat, integers, np, pa

_INTEGERS = {"smallint": ("int16", ">i2"), "integer": ("int32", ">i4"), "bigint": ("int64", ">i8")}


def boolean(array: Array) -> Pieces:
    if not pa.types.is_boolean(array.type):
        raise Declined("no booleans", always=True)
    return one(array, integers(array.cast(pa.uint8())), "u1")


def integer(array: Array, target: str) -> Pieces:
    """Return smallint, integer or bigint; numbers with a fraction, or too large for it, are declined.

    Large floats of four bytes are the number that their digits say, as in a text.
    """
    kind = array.type
    if not is_number(kind):
        raise Declined("no numbers", always=True)
    name, form = _INTEGERS[target]
    try:
        array = array.cast(pa.float32()) if pa.types.is_float16(kind) else array
        array = array.cast(pa.string()).cast(pa.float64()) if pa.types.is_float32(kind) else array
        array = array.cast(pa.int64()) if pa.types.is_decimal(kind) else array
        return one(array, integers(array.cast(getattr(pa, name)())), form)
    except pa.ArrowInvalid as error:
        raise Declined(str(error)) from error


def double(array: Array) -> Pieces:
    return one(array, _doubles(array), ">f8")


def real(array: Array) -> Pieces:
    """Return real; what its text would be rounded to otherwise, or is too large or too small for it, is declined."""
    kind = array.type
    if pa.types.is_integer(kind):
        return one(array, _filled(array).astype("f4"), ">f4")
    if not pa.types.is_floating(kind):
        raise Declined("no floats", always=True)
    numbers = _filled(array)
    if kind.bit_width < 64:
        return one(array, numbers.astype("f4"), ">f4")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        short = numbers.astype("f4")
    # Half-way between two reals the digits decide, and not the bits.
    halfway = (numbers.view("u8") & 0x1FFFFFFF) == 0x10000000
    tiny = np.abs(short) < np.finfo("f4").tiny
    if (halfway | (np.isinf(short) != np.isinf(numbers)) | (tiny & (numbers != 0))).any():
        raise Declined("not to be held by a real as they are")
    return one(array, short, ">f4")


def numeric(array: Array, scale: int | None) -> Pieces:
    """Return numeric; `scale` is that of the column where more digits must be refused, else None."""
    kind = array.type
    if pa.types.is_decimal(kind):
        return decimals.of_decimals(array, scale)
    if pa.types.is_floating(kind):
        return decimals.of_floats(array, _doubles(array), scale)
    if pa.types.is_uint64(kind):
        return decimals.of_decimals(array.cast(pa.decimal128(20, 0)), scale)
    if pa.types.is_integer(kind):
        return decimals.of_integers(array, integers(array), scale)
    raise Declined("no numbers", always=True)


def is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _doubles(array: Array) -> Any:
    """Return numbers as doubles; floats of four bytes by their digits, to which widening would add others."""
    kind = array.type
    if pa.types.is_float32(kind):
        return _filled(array.cast(pa.string()).cast(pa.float64()))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _filled(array).astype("f8", copy=False)
    raise Declined("no floats", always=True)


def _filled(array: Array) -> Any:
    return flat(filled(array))
