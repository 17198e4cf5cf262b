"""A row that can't be loaded, as reports show it, and a value that no row can be sent with."""

from __future__ import annotations

from dataclasses import dataclass

# How many of them a report lists.
SHOWN = 20


class NoText(ValueError):
    """A value that a column of this type must not get as its text; only `detail` may quote it."""

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.hint = hint


def equal_keys(key: object) -> NoText:
    """Return what is said of two keys that would be one in a JSON object: one of their values would be lost."""
    return NoText(
        "two keys of a map are the same in JSON",
        detail=f"the key {key!r:.60}",
        hint="give each key once, or load the map as a list of keys and values",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRowSample:
    """Where the row stands (`place` is its file, or `row 7`; `line` is 0 where there are none), and what is wrong."""

    place: str
    line: int
    number: int
    column: str | None
    sqlstate: str | None
    constraint: str | None
    message: str

    def __str__(self) -> str:
        where = f"{self.place}:{self.line}" if self.line else self.place
        column = f"column {self.column}: " if self.column else ""
        return f"{where}: {column}{self.message}"

    def document(self) -> dict[str, object]:
        return {
            "place": self.place,
            "line": self.line or None,
            "number": self.number,
            "column": self.column,
            "sqlstate": self.sqlstate,
            "constraint": self.constraint,
            "message": self.message,
        }
