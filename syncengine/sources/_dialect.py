"""The options of `csv` and `tsv`: what they may be, and the dialect they come to."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from syncengine.errors import SpecError
from syncengine.model.facts import CsvFormat
from syncengine.sources._paths import PATH_OPTIONS
from syncengine.sources._text import codec_name

CSV_OPTIONS: Mapping[str, object] = {
    **PATH_OPTIONS,
    "delimiter": {
        "title": "Delimiter",
        "examples": [";", "tab"],
        "type": "string",
        "minLength": 1,
        "description": "One ASCII character between fields, or the word tab. Default: a comma, in tsv a tab.",
    },
    "quote": {
        "title": "Quote",
        "type": "string",
        "minLength": 1,
        "default": '"',
        "description": "One ASCII character, around fields that hold the delimiter or a line end.",
    },
    "escape": {
        "title": "Escape",
        "examples": ["\\"],
        "type": "string",
        "minLength": 1,
        "description": "One ASCII character; before a quote it makes that data. Default: the quote itself.",
    },
    "null": {
        "title": "NULL",
        "examples": ["NULL", "n/a"],
        "type": "string",
        "default": "",
        "description": "An unquoted field with exactly this text is NULL; a quoted one never is.",
    },
    "header": {
        "title": "Header",
        "examples": [False, ["email", "name"]],
        "oneOf": [
            {"type": "boolean"},
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "uniqueItems": True,
            },
        ],
        "default": True,
        "description": "Whether the first line names the fields, or the names for a file without it.",
    },
    "skip_lines": {
        "title": "Skipped lines",
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "How many lines to leave out at the top, before the header.",
    },
}


class Layout(Struct, frozen=True, kw_only=True):
    """How the files are to be read.  `names` are the fields' names where the spec lists them."""

    form: CsvFormat
    encoding: str
    header: bool
    names: tuple[str, ...]
    skip_lines: int


def layout(options: Mapping[str, object], delimiter: str) -> Layout:
    """Return the layout; SpecError where COPY could not take the dialect."""
    header = options.get("header", True)
    return Layout(
        form=_form(options, delimiter),
        encoding=codec_name(str(options.get("encoding", "utf-8"))),
        header=header is True,
        names=tuple(str(name) for name in header) if isinstance(header, (list, tuple)) else (),
        skip_lines=int(str(options.get("skip_lines", 0))),
    )


def _form(options: Mapping[str, object], default: str) -> CsvFormat:
    delimiter = _mark(options, "delimiter", default)
    quote = _mark(options, "quote", '"')
    escape = _mark(options, "escape", quote)
    null = str(options.get("null", ""))
    if delimiter in (quote, escape):
        other = "quote" if delimiter == quote else "escape"
        raise SpecError(f"`delimiter` and `{other}` must be two different characters")
    if "\\" in (delimiter, quote) or "." in (delimiter, quote, escape):
        raise SpecError("a dot or a backslash cannot be a delimiter or a quote, nor a dot an escape")
    if any(mark in null for mark in (delimiter, quote, "\r", "\n", "\0")) or null == "\\.":
        raise SpecError(
            f"`null` cannot be {null!r}",
            detail="it must not hold the delimiter, the quote or a line end, or be a backslash and a dot",
        )
    return CsvFormat(delimiter=delimiter, quote=quote, escape=escape, null=null)


def _mark(options: Mapping[str, object], key: str, default: str) -> str:
    text = str(options.get(key, default))
    mark = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(mark) != 1 or not mark.isascii() or mark in "\r\n\0":
        raise SpecError(f"`{key}` must be one ASCII character, not {text!r}")
    return mark
