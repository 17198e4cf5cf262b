"""Arrow columns as binary fields of the types that are sent as their own text, of bytea and of uuid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncengine.columnar.fields import Declined, Pieces, fixed, room, variable
from syncengine.columnar.lib import Array, is_bytes, is_text, is_uuid, np, pa, pc
from syncengine.columnar.values import values

ToText = Callable[[object], str | None]
Fault = Callable[[str], str | None]

_CANONICAL = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"


def words(
    array: Array,
    to_text: ToText,
    *,
    width: int | None = None,
    faults: Sequence[Fault] = (),
    before: bytes = b"",
) -> Pieces:
    """Return the texts of values.

    Texts that are longer than `width`, or in which one of `faults` sees a loss, are declined.
    """
    found = _texts(array, to_text)
    if width is not None and (pc.max(pc.utf8_length(found)).as_py() or 0) > width:
        raise Declined("longer than the column")
    if faults:
        for text in found.to_pylist():
            if text is not None and any(fault(text) for fault in faults):
                raise Declined("would lose something")
    return variable(found, before)


def _texts(array: Array, to_text: ToText) -> Array:
    kind = array.type
    if is_text(kind):
        return array.cast(pa.string())
    if pa.types.is_integer(kind):
        return array.cast(pa.string())
    if pa.types.is_boolean(kind):
        return array.cast(pa.string())
    try:
        return pa.array([to_text(value) for value in values(array)], pa.string())
    except (ValueError, pa.ArrowException) as error:
        raise Declined(str(error)) from error


def raw(array: Array) -> Pieces:
    """Return bytea."""
    if not is_bytes(array.type):
        raise Declined("no bytes", always=True)
    return variable(array)


def uuids(array: Array) -> Pieces:
    """Return uuid, of sixteen bytes or of the usual spelling."""
    array = array.storage if is_uuid(array.type) else array
    kind = array.type
    if is_bytes(kind):
        found = array.cast(pa.binary())
        found = found.fill_null(bytes(16)) if found.null_count else found
        if not pc.all(pc.equal(pc.binary_length(found), 16)).as_py():
            raise Declined("not sixteen bytes each", always=len(found) > 0)
        offsets = np.frombuffer(found.buffers()[1], "i4")
        data = np.frombuffer(found.buffers()[2], "u1")[int(offsets[found.offset]) :][: 16 * len(found)]
    elif is_text(kind):
        data = _hexadecimal(array)
    else:
        raise Declined("no UUIDs", always=True)
    parts = room(len(array), ("value", "V16"))
    parts["value"] = data.view("V16")
    return fixed(array, parts, 16)


def _hexadecimal(array: Array) -> object:
    found = array.cast(pa.string())
    found = found.fill_null("0" * 8 + "-0000" * 3 + "-" + "0" * 12) if found.null_count else found
    if not pc.all(pc.match_substring_regex(found, _CANONICAL)).as_py():
        raise Declined("not the usual spelling")
    digits = pc.replace_substring(found, "-", "").cast(pa.binary())
    offsets = np.frombuffer(digits.buffers()[1], "i4")
    data = np.frombuffer(digits.buffers()[2], "u1")[int(offsets[digits.offset]) :][: 32 * len(digits)]
    # 0-9 are 0x30 to 0x39; a letter, of either case, is 9 and its low bits.
    nibbles = (data & 0x0F) + np.where(data > 0x39, 9, 0).astype("u1")
    return (nibbles[0::2] << 4) | nibbles[1::2]
