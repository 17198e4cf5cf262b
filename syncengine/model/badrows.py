"""A row that can't be loaded, as reports show it."""

from __future__ import annotations

from dataclasses import dataclass

# How many of them a report lists.
SHOWN = 20


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
