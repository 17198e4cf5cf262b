"""Numbers as binary fields of type numeric: digits to the base of 10,000, most significant first.

All fields of a batch get the same number of digits; the server takes leading and trailing zeros off.
"""

from __future__ import annotations

from typing import Any

from syncengine.columnar.fields import Declined, Pieces, fixed, room
from syncengine.columnar.lib import Array, filled, np

_BASE = 10_000
_NEGATIVE = 0x4000
# A double of so many digits is the nearest one to them, and their shortest spelling.
_DIGITS = 10**15


def of_integers(array: Array, numbers: Any, scale: int | None) -> Pieces:
    if scale is not None and scale < 0:
        raise Declined("the column rounds to tens")
    return _fields(array, numbers, np.zeros(len(numbers), "i2"), 0)


def of_decimals(array: Array, scale: int | None) -> Pieces:
    """Return decimals with the digits behind the point that their type has."""
    own = array.type.scale
    if own < 0 or (scale is not None and scale < 0):
        raise Declined("zeros before the point that are no digits")
    limbs, negative = _limbs(array)
    shown = np.full(len(array), own, "i2")
    if _fit_a_word(limbs) and not _beyond_a_word(limbs):
        numbers = limbs[0] + (limbs[1] << 32) if len(limbs) > 1 else limbs[0]
        numbers = numbers.astype("i8")
        _check_scale(numbers, own, scale)
        return _fields(array, np.where(negative, -numbers, numbers), shown, own)
    if scale is not None and scale < own:
        raise Declined("more digits than the column has, perhaps")
    return _wide_fields(array, limbs, negative, shown, own)


def of_floats(array: Array, numbers: Any, scale: int | None) -> Pieces:
    """Return the digits that a float is written with, where they are at most 15 and no exponent is needed."""
    size = np.abs(numbers)
    with np.errstate(invalid="ignore"):
        plain = (size < 1e15) & ((size >= 1e-4) | (size == 0))
    if not plain.all():
        raise Declined("floats that are written with an exponent, or no numbers")
    places = np.full(len(numbers), -1, "i2")
    for digits in range(1, 16):
        left = np.flatnonzero(places < 0)
        if not len(left):
            break
        scaled = np.rint(size[left] * 10.0**digits)
        exact = (scaled < _DIGITS) & (scaled / 10.0**digits == size[left])
        places[left[exact]] = digits
    if (places < 0).any():
        raise Declined("floats of more than 15 digits")
    most = int(places.max(initial=1))
    if most > 15 or (size.max(initial=0) * 10.0**most >= 2**62):
        raise Declined("digits too far apart")
    own = np.rint(size * 10.0 ** places.astype("f8")).astype("i8") * 10 ** (most - places).astype("i8")
    _check_scale(own, most, scale)
    return _fields(array, np.where(np.signbit(numbers), -own, own), places, most)


def _check_scale(numbers: Any, own: int, scale: int | None) -> None:
    if scale is None or scale >= own:
        return
    # A word holds less than 19 digits: with more of them to lose, every number but 0 would lose some.
    lost = numbers if own - scale > 18 else numbers % 10 ** (own - scale)
    if lost.any():
        raise Declined("more digits than the column has")


def _limbs(array: Array) -> tuple[list[Any], Any]:
    """Return the sizes of decimals in pieces of 32 bits, lowest first, and which of them are negative."""
    array = filled(array)
    words = array.type.bit_width // 32  # that of small decimals grows where NULLs are filled
    raw = np.frombuffer(array.buffers()[1], "<u4").reshape(-1, words)
    raw = raw[array.offset : array.offset + len(array)]
    negative = raw[:, -1] >= 2**31
    limbs, carry = [], negative.astype("u8")
    for place in range(words):
        limb = raw[:, place].astype("u8")
        limb = np.where(negative, limb ^ 0xFFFFFFFF, limb) + carry
        carry = limb >> 32
        limbs.append(limb & 0xFFFFFFFF)
    return limbs, negative


def _fit_a_word(limbs: list[Any]) -> bool:
    return not any(limb.any() for limb in limbs[2:])


def _beyond_a_word(limbs: list[Any]) -> bool:
    return len(limbs) > 1 and bool((limbs[1] >= 2**31).any())


def _fields(array: Array, numbers: Any, shown: Any, scale: int) -> Pieces:
    """Return fields of numbers that have `scale` digits behind the point, of which some are `shown`."""
    pad = -scale % 4
    sizes = np.abs(numbers)
    if len(sizes) and (sizes.min() < 0 or int(sizes.max()) > (2**63 - 1) // 10**pad):
        return _wide_fields(array, _split(numbers), numbers < 0, shown, scale)
    sizes = sizes * 10**pad
    count = max(1, -(-len(str(int(sizes.max(initial=0)))) // 4))
    digits = np.empty((len(sizes), count), ">i2")
    for place in reversed(range(count)):
        sizes, digits[:, place] = np.divmod(sizes, _BASE)
    return _packed(array, digits, numbers < 0, shown, scale)


def _split(numbers: Any) -> list[Any]:
    sizes = np.where(numbers < 0, ~numbers.view("u8") + np.uint64(1), numbers.view("u8"))
    return [sizes & 0xFFFFFFFF, sizes >> 32, np.zeros(len(sizes), "u8")]


def _wide_fields(array: Array, limbs: list[Any], negative: Any, shown: Any, scale: int) -> Pieces:
    """Return fields of numbers of any size, by long division."""
    limbs = _times([*limbs, np.zeros(len(shown), "u8")], 10 ** (-scale % 4))
    digits: list[Any] = []
    while any(limb.any() for limb in limbs) or not digits:
        rest = np.zeros(len(shown), "u8")
        for place in reversed(range(len(limbs))):
            limbs[place], rest = np.divmod((rest << 32) | limbs[place], _BASE)
        digits.append(rest)
    return _packed(array, np.stack(digits[::-1], axis=1).astype(">i2"), negative, shown, scale)


def _times(limbs: list[Any], factor: int) -> list[Any]:
    found, carry = [], np.zeros(len(limbs[0]), "u8")
    for limb in limbs:
        product = limb * np.uint64(factor) + carry
        carry = product >> 32
        found.append(product & 0xFFFFFFFF)
    return found


def _packed(array: Array, digits: Any, negative: Any, shown: Any, scale: int) -> Pieces:
    count = digits.shape[1]
    names = (("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">i2"))
    parts = room(len(digits), *names, ("digits", ">i2", (count,)))
    parts["count"] = count
    parts["weight"] = count - 1 - -(-scale // 4)
    parts["sign"] = np.where(negative, _NEGATIVE, 0)
    parts["scale"] = shown
    parts["digits"] = digits
    return fixed(array, parts, 8 + 2 * count)
