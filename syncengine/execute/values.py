"""Python values as the text that PostgreSQL's input functions read; exact, and NULL is None."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Literal

Kind = Literal["plain", "json", "json value", "array"]
ToText = Callable[[object], str | None]


def to_text(kind: Kind) -> ToText:
    """Return the function that writes a value for a column of this kind."""
    return {"plain": plain, "json": for_json, "json value": for_json_value, "array": for_array}[kind]


def kind_of(value: object) -> str:
    """Return what a value is to type inference: boolean, number, float, json, bytes, text or other.

    >>> kind_of(True), kind_of(1), kind_of([1]), kind_of("1")
    ('boolean', 'number', 'json', 'text')
    """
    match value:
        case bool():
            return "boolean"
        case int() | Decimal():
            return "number"
        case float():
            return "float"
        case Mapping() | list() | tuple():
            return "json"
        case bytes() | bytearray() | memoryview():
            return "bytes"
        case str():
            return "text"
        case _:
            return "other"


def plain(value: object) -> str | None:
    r"""Return a value's text; mappings and lists become JSON.

    >>> plain(True), plain(1.5), plain(b"\x00a"), plain([1, None])
    ('true', '1.5', '\\x0061', '[1, null]')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime.timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return json(value)
    return str(value)


def for_json(value: object) -> str | None:
    """Return a value as JSON; a text is taken for JSON already, as COPY would read it."""
    return value if value is None or isinstance(value, str) else json(value)


def for_json_value(value: object) -> str | None:
    """Return a value as JSON; a text is a JSON string."""
    return None if value is None else json(value)


def json(value: object) -> str:
    """Return JSON that keeps every digit of a Decimal, which json.dumps can't.

    >>> json({"a": Decimal("1.10"), "b": [True, "é"]})
    '{"a": 1.10, "b": [true, "é"]}'
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return encode_basestring(value)
        case int() | Decimal() | float():
            return str(value)
        case Mapping():
            pairs = (f"{encode_basestring(str(key))}: {json(item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(json(item) for item in value) + "]"
        case _:
            return encode_basestring(plain(value) or "")


def for_array(value: object) -> str | None:
    r"""Return a list as an array literal; a text is taken for one already.

    >>> for_array([1, None, 'a "b"', [2.5]])
    '{"1",NULL,"a \\"b\\"",{"2.5"}}'
    """
    return _array(value) if isinstance(value, list | tuple) else plain(value)


def _array(value: Sequence[object]) -> str:
    return "{" + ",".join(_element(item) for item in value) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return _array(value)
    text = (plain(value) or "").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
