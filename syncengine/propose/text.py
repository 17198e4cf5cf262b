"""Write a proposed spec as YAML, with what was found in comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from syncengine.propose.look import MOST_ROWS, Field
from syncengine.propose.names import column_names
from syncengine.propose.reading import Reading
from syncengine.spec.positions import scalar

MODELINE = "# yaml-language-server: $schema="
_PLAIN = re.compile(r"[A-Za-z_.](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?")
# YAML 1.1, which some editors go by, takes these for booleans.
_BOOLEANS = re.compile(r"y|yes|n|no|on|off", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
# Other columns that are unique as well.
_ALSO_NAMED = 3
_TYPES = {"decimal": "numeric"}


def spec_text(reading: Reading, *, path: str, table: str, schema: str) -> str:
    """Return the text of a spec; `schema` is where its JSON Schema lies, as seen from it."""
    columns = dict(zip([field.name for field in reading.seen.fields], names_of(reading), strict=True))
    lines = [
        f"{MODELINE}{schema}",
        *_found(reading),
        *_source(reading.options, path),
        "target:",
        f"  table: {written(table)}",
        "  create: true  # if it is missing, with these columns",
        *_keys(reading, columns),
        *_columns(reading.seen.fields, columns),
    ]
    return "\n".join(lines) + "\n"


def names_of(reading: Reading) -> tuple[str, ...]:
    """Return the columns' names, in the order of the fields."""
    return column_names([field.name for field in reading.seen.fields])


def rows_of(reading: Reading) -> str:
    """Say how many rows were looked at."""
    count = f"{reading.seen.rows:,} row{'' if reading.seen.rows == 1 else 's'}"
    return f"the first {count}" if reading.seen.cut else count


def key_of(reading: Reading) -> str:
    """Say which columns identify a row."""
    columns = dict(zip([field.name for field in reading.seen.fields], names_of(reading), strict=True))
    if not reading.seen.rows:
        return "no row, so no key can be told"
    if not reading.keys:
        return "no column and no two columns are unique and never empty"
    first, *others = (" and ".join(columns[field] for field in key) for key in reading.keys)
    how = f"{first} together are unique" if " and " in first else f"{first} is unique"
    if not others:
        return f"{how} and never empty"
    more = [f"{len(others) - _ALSO_NAMED} more"] if len(others) > _ALSO_NAMED else []
    also = f"so {'is' if len(others) == 1 else 'are'} {', '.join([*others[:_ALSO_NAMED], *more])}"
    return f"{how} and never empty; {also}"


def _found(reading: Reading) -> Iterator[str]:
    yield f"# Proposed by `syncengine init --from`: {rows_of(reading)}; {key_of(reading)}."
    if reading.seen.cut:
        yield f"# The file has more rows than these {MOST_ROWS:,}: types and key may not fit all of them."
    if reading.options.get("encoding"):
        yield "# The file is not UTF-8. If letters look wrong in the table, name another encoding."
    if reading.options.get("header"):
        yield "# Some fields of the file's header have no name, or the same: these names stand in its place."


def _source(options: Mapping[str, object], path: str) -> Iterator[str]:
    if not options:
        yield f"source: {written(path)}"
        return
    yield "source:"
    yield f"  path: {written(path)}"
    for key, value in options.items():
        yield f"  {key}: {_option(value)}"


def _option(value: object) -> str:
    match value:
        case list():
            return _listed(value)
        case int():
            return str(value)
        case _:
            return written(str(value))


def _keys(reading: Reading, columns: Mapping[str, str]) -> Iterator[str]:
    if reading.keys:
        yield f"conflict_keys: {_listed([columns[field] for field in reading.keys[0]])}"
        return
    yield "# Each run inserts all rows. To update them, name what identifies a row: `conflict_keys: [column, …]`,"
    yield "# in place of the mode."
    yield "mode: insert"


def _columns(fields: Sequence[Field], columns: Mapping[str, str]) -> Iterator[str]:
    yield "columns:"
    for field in fields:
        column = columns[field.name]
        source = "" if column == field.name else f"field: {written(field.name)}, "
        note = "  # no value in the file" if field.empty else ""
        yield f"  {written(column)}: {{{source}type: {_TYPES.get(field.type, field.type)}}}{note}"


def _listed(names: Sequence[object]) -> str:
    return f"[{', '.join(written(str(name)) for name in names)}]"


def written(text: str) -> str:
    r"""Return a text as a YAML scalar, also inside brackets, that is read back as that text.

    >>> written("data/users.csv"), written("yes"), written("a: ${b}\n"), written("7")
    ('data/users.csv', '"yes"', '"a: $${b}\\n"', '"7"')
    """
    plain = _PLAIN.fullmatch(text) and isinstance(scalar(text), str) and not _BOOLEANS.fullmatch(text)
    if plain:
        return text
    quoted = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
