"""Read one line of JSON Lines into a dict, strictly: what the standard calls undefined is an error here.

Numbers keep their digits: those with a fraction or an exponent become Decimal.
"""

from __future__ import annotations

import json
from decimal import Decimal

from syncengine.errors import BadRow, Location


class _Refused(Exception):
    """What is wrong with a line, in words."""


def parse(line: bytes, place: Location) -> dict[str, object]:
    """Return the object; BadRow for anything else, with the beginning of the line."""
    try:
        value = _DECODER.decode(line.decode())
        if not isinstance(value, dict):
            raise _Refused(f"the line holds {_kind(value)}, expected was one object")
        if b"\\u" in line:
            _refuse_what_is_no_text(value)
    except json.JSONDecodeError as error:
        raise _bad(f"not valid JSON: {error.msg} at character {error.pos + 1}", line, place) from error
    except UnicodeDecodeError as error:
        raise _bad(f"not valid UTF-8: {error.reason} at byte {error.start + 1}", line, place) from error
    except RecursionError as error:
        raise _bad("not readable: nested too deeply", line, place) from error
    except ArithmeticError as error:
        raise _bad("a number's exponent is out of range", line, place) from error
    except _Refused as error:
        raise _bad(str(error), line, place) from error
    return value


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Refused(f'the key "{twice}" comes twice in one object')
    return found


def _constant(name: str) -> object:
    raise _Refused(f"{name} is not JSON")


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:
        raise _Refused(f"a number has {len(digits)} digits, which is too many") from error


def _refuse_what_is_no_text(value: dict[str, object]) -> None:
    if name := next((key for key, text in value.items() if isinstance(text, str) and "\0" in text), None):
        raise _Refused(f'the field "{name}" holds a NUL character, which PostgreSQL cannot store')
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise _Refused("a text holds half of a surrogate pair (\\ud800 to \\udfff)") from error


def _kind(value: object) -> str:
    names = {list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _bad(message: str, line: bytes, place: Location) -> BadRow:
    text = line.decode(errors="replace").strip()
    shown = text if len(text) <= 100 else text[:100] + " …"
    return BadRow(
        message, detail=shown, hint="mend the line; a source of JSON has one object a line", location=place
    )


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=Decimal, parse_int=_integer, parse_constant=_constant
)
