"""Decode many lines of JSON at once, where that surely gives what _json.parse gives for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

Row = tuple[object, ...]
# NUL is for _json to judge.  A colon that is spelled so would be counted once it is read, but not before.
_FOR_THE_STRICT = (b"\\u0000", b"\\u003")


class FastDecoder:
    """Reads whole lines as rows of the same fields; with `partial` the names that a row lacks are its last value."""

    def __init__(self, fields: tuple[str, ...], *, partial: bool = False) -> None:
        import msgspec

        self._fields = fields
        self._partial = partial
        self._unset = msgspec.UNSET
        self._row: Callable[[Any], Row] = msgspec.structs.astuple
        self._failures = (msgspec.MsgspecError, ArithmeticError, RecursionError, UnicodeError, ValueError)
        self._encode = msgspec.json.Encoder(decimal_format="number").encode_lines
        self._decoders = _decoders(fields)

    def rows(self, text: bytes, lines: Sequence[bytes]) -> list[Row] | None:
        """Return the rows of lines, which are all that the text has; None if one of them is not clearly good."""
        if b"\\u" in text and any(odd in text for odd in _FOR_THE_STRICT):
            return None
        for decode in self._decoders:
            try:
                records = list(map(decode, lines))
            except self._failures:
                continue
            if not self._keeps_all(records, text):
                return None
            if decode is self._decoders[-1]:
                self._decoders = (decode,)  # where one record lacks a key, others will
                return self._rows_of_lacking(records)
            rows = list(map(self._row, records))
            return [(*row, None) for row in rows] if self._partial else rows
        return None

    def _keeps_all(self, records: Sequence[object], text: bytes) -> bool:
        """Tell whether no key came twice in an object, at any level: of those only the last was read.

        A pair has one colon outside of its texts, and texts keep theirs: written again, as many must be there.
        """
        try:
            return self._encode(records).count(b":") == text.count(b":")
        except self._failures:
            return False

    def _rows_of_lacking(self, records: Sequence[object]) -> list[Row]:
        unset, rows = self._unset, list(map(self._row, records))
        filled: list[Row] = [tuple([None if value is unset else value for value in row]) for row in rows]
        if not self._partial:
            return filled
        return [(*full, self._absent(row)) for full, row in zip(filled, rows, strict=True)]

    def _absent(self, row: Row) -> list[str] | None:
        return [name for name, value in zip(self._fields, row, strict=True) if value is self._unset] or None


def _decoders(fields: tuple[str, ...]) -> tuple[Callable[[bytes], object], ...]:
    """Return what reads a line that has all the keys, and no others, then what reads one that has some of them.

    There is nothing for names that msgspec can't have.
    """
    import msgspec

    places = [f"f{place}" for place in range(len(fields))]
    names = dict(zip(places, fields, strict=True))
    all_of_them: list[tuple[str, type]] = [(place, object) for place in places]
    some_of_them = [(place, object, msgspec.UNSET) for place in places]
    found = []
    for wanted in (all_of_them, some_of_them):
        try:
            record = msgspec.defstruct("Record", wanted, rename=names, forbid_unknown_fields=True, gc=False)
        except ValueError:
            return ()
        found.append(msgspec.json.Decoder(record, float_hook=Decimal).decode)
    return tuple(found)
