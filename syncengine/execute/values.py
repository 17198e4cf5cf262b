"""Python values as the text that PostgreSQL's input functions read; exact, and NULL is None."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import partial
from json.encoder import encode_basestring

from syncengine.model.badrows import NoText, equal_keys
from syncengine.model.steps import Kind

ToText = Callable[[object], str | None]
INTEGERS = frozenset({"smallint", "integer", "bigint"})
_INTEGER_ARRAYS = frozenset(f"{name}[]" for name in INTEGERS)
TEXTS = frozenset({"text", "character varying", "character", "name"})


def to_text(kind: Kind, reads: Sequence[str] = ()) -> ToText:
    """Return the function that writes a value for columns of this kind; `reads` are their types."""
    bases = {name if name.endswith("[]") else name.partition("(")[0] for name in reads}
    if bases and bases <= INTEGERS:
        return for_integer
    if bases and bases <= _INTEGER_ARRAYS:
        return for_integer_array
    if bases == {"uuid"}:
        return for_uuid
    if not bases.isdisjoint(TEXTS):
        return for_words
    return _BY_KIND[kind]


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
    if value is None or type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration, psycopg would send the member's name
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
    if isinstance(value, Enum) and not isinstance(value, int | float):
        return plain(value.value)
    return str(value)


def for_integer(value: object) -> str | None:
    """Return a value's text; numbers without a fraction lose their point, others the server refuses.

    >>> for_integer(1.0), for_integer(Decimal("2E+2")), for_integer(1.5), for_integer("7")
    ('1', '200', '1.5', '7')
    """
    if isinstance(value, float | Decimal) and _is_whole(value):
        return str(int(value))
    return plain(value)


def _is_whole(value: float | Decimal) -> bool:
    finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
    # A Decimal such as 1E+999999 would be a million digits long.
    return finite and -(2**63) <= value <= 2**63 and value == int(value)


def for_uuid(value: object) -> str | None:
    """Return a value's text; sixteen bytes are a UUID.

    >>> for_uuid(bytes(15) + b"a")
    '00000000-0000-0000-0000-000000000061'
    """
    if isinstance(value, bytes) and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    return plain(value)


def for_words(value: object) -> str | None:
    """Return a value's text; NoText for bytes, whose text is no word but PostgreSQL's way to write bytes."""
    if isinstance(value, bytes | bytearray | memoryview):
        raise NoText("bytes are no text: decode them, or load them into a bytea column")
    return plain(value)


def for_json(value: object) -> str | None:
    """Return a value as JSON; a text is taken for JSON already, as COPY would read it."""
    return plain(value) if value is None or isinstance(value, str) else json(value)


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
            pairs = zip(_keys(value), value.values(), strict=True)
            return "{" + ", ".join(f"{encode_basestring(key)}: {json(item)}" for key, item in pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(json(item) for item in value) + "]"
        case _:
            return encode_basestring(plain(value) or "")


def _keys(mapping: Mapping[object, object]) -> list[str]:
    """Return the keys of a JSON object.  NoText if two are written alike."""
    keys = [key if type(key) is str else _key(key) for key in mapping]
    if len(set(keys)) < len(keys):
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise equal_keys(twice)
    return keys


def _key(key: object) -> str:
    return "null" if key is None else plain(key) or ""


def for_array(value: object) -> str | None:
    r"""Return a list as an array literal; a text is taken for one already.

    >>> for_array([1, None, 'a "b"', [2.5]])
    '{"1",NULL,"a \\"b\\"",{"2.5"}}'
    """
    return _array(value, plain) if isinstance(value, list | tuple) else plain(value)


def for_integer_array(value: object) -> str | None:
    """Return a list as an array literal of integers, as `for_integer` writes them.

    >>> for_integer_array([1.0, None, 2])
    '{"1",NULL,"2"}'
    """
    return _array(value, for_integer) if isinstance(value, list | tuple) else plain(value)


def for_json_array(value: object, *, item: ToText) -> str | None:
    r"""Return a list as an array of JSON values, each written by `item`; a text is taken for an array already.

    >>> for_json_array([{"a": 1}, [1, "b"], None], item=for_json)
    '{"{\\"a\\": 1}","[1, \\"b\\"]",NULL}'
    """
    if not isinstance(value, list | tuple):
        return plain(value)
    return "{" + ",".join(_quoted(item(one)) for one in value) + "}"


def _array(value: Sequence[object], item: ToText) -> str:
    return "{" + ",".join(_element(one, item) for one in value) + "}"


def _element(value: object, item: ToText) -> str:
    return _array(value, item) if isinstance(value, list | tuple) else _quoted(item(value))


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_BY_KIND: dict[Kind, ToText] = {
    "plain": plain,
    "json": for_json,
    "json value": for_json_value,
    "array": for_array,
    "json array": partial(for_json_array, item=for_json),
    "json value array": partial(for_json_array, item=for_json_value),
}
