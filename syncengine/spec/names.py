"""Names as SQL reads them: unquoted parts fold to lower case, "Quoted" parts are kept.

PostgreSQL folds ASCII letters alone in UTF-8 databases, and cuts names silently after 63 bytes; here they are
refused.
"""

from __future__ import annotations

import re
import string

from syncengine.errors import Location, SpecError

MAX_NAME_BYTES = 63
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# What lies beyond ASCII is named by what it is not: a range up to the end of Unicode takes long to compile.
_PART = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>(?:[A-Za-z_]|[^\x00-\x7f])(?:[A-Za-z0-9_$]|[^\x00-\x7f])*))\s*'
)
_ALONE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
# What names no column unless it is quoted: the key words of PostgreSQL's grammar that pg_get_keywords() calls
# reserved, also those that may be a function's or type's name.
_KEY_WORDS = (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check "
    "collate collation column concurrently constraint create cross current_catalog current_date "
    "current_role current_schema current_time current_timestamp current_user default deferrable desc "
    "distinct do else end except false fetch for foreign freeze from full grant group having ilike in "
    "initially inner intersect into is isnull join lateral leading left like limit localtime "
    "localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table "
    "tablesample then to trailing true union unique user using variadic verbose when where window "
    "with"
)
_RESERVED = frozenset(_KEY_WORDS.split())


def fold(name: str) -> str:
    """Return an unquoted name as SQL reads it."""
    return name.translate(_LOWER)


def identifier(text: str) -> str | None:
    """Return the name that a single SQL identifier stands for, None if the text is none."""
    match = _PART.fullmatch(text)
    return _name(match) if match else None


def unquoted(text: str) -> str:
    """Return a column's name: a "Quoted" one without its quotes, any other as it is written."""
    match = _PART.fullmatch(text)
    return _name(match) if match and match["quoted"] else text


def column_alone(text: str) -> str | None:
    """Return the column that an SQL expression is if it plainly is one column's name, which needs no grammar."""
    name = fold(text)
    plain = _ALONE.fullmatch(text) and len(text) <= MAX_NAME_BYTES and name not in _RESERVED
    return name if plain else None


def check_name(name: str, location: Location) -> str:
    """Return `name` if PostgreSQL can hold it whole.  Raises SpecError."""
    size = len(name.encode("utf-8", "replace"))
    if not name:
        raise SpecError("a name is empty", location=location)
    if "\x00" in name:
        raise SpecError("a name holds a NUL character", location=location)
    if size > MAX_NAME_BYTES:
        raise SpecError(
            f"the name `{name[:70]}` has {size} bytes",
            location=location,
            detail=f"the most is {MAX_NAME_BYTES}",
            hint="PostgreSQL cuts longer names: write a shorter one",
        )
    return name


def qualified(text: str, location: Location) -> tuple[str | None, str]:
    """Return schema (None if not given) and table of `schema.table` or `table`.  Raises SpecError."""
    parts, position = [], 0
    while match := _PART.match(text, position):
        parts.append(check_name(_name(match), location))
        position = match.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    if position != len(text) or not parts or text.endswith("."):
        hint = f"put quotes around parts with special characters: '{_quoted(text)}'"
        raise SpecError(
            f"`{text}` is not a table's name", location=location, hint=hint if text.strip(". ") else None
        )
    if len(parts) > 2:
        raise SpecError(
            f"`{text}` has {len(parts)} parts",
            location=location,
            hint="write schema.table; the database is that of the connection",
        )
    return (parts[0] if len(parts) == 2 else None), parts[-1]


def _name(match: re.Match[str]) -> str:
    return match["quoted"].replace('""', '"') if match["quoted"] else fold(match["plain"])


def _quoted(text: str) -> str:
    parts = [part.strip() for part in text.replace('"', "").split(".") if part.strip()]
    plain = re.compile(r"[a-z_][a-z0-9_]*\Z")
    return ".".join(part if plain.match(part) else f'"{part}"' for part in parts)
