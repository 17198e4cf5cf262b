"""Rights that specs need in a database, and which of them a role lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Kind = Literal["database", "schema", "table", "sequence"]
FORMAT = 1


class Right(Struct, frozen=True, kw_only=True):
    """A right to one thing; `schema` is None for databases and schemas.

    `columns` are those of a table that it is enough for; without any it is to the whole table.
    """

    privilege: str
    kind: Kind
    name: str
    schema: str | None = None
    columns: tuple[str, ...] = ()


class Grant(Struct, frozen=True, kw_only=True):
    """A right, the statement that grants it, and for which specs; `held`: the role has it already.

    `instead` is a statement that would do as well.
    """

    right: Right
    statement: str
    held: bool
    specs: tuple[str, ...]
    instead: str | None = None

    def document(self) -> dict[str, object]:
        right = self.right
        return {
            "statement": self.statement,
            "held": self.held,
            "privilege": right.privilege,
            "on": right.kind,
            "schema": right.schema,
            "name": right.name,
            "columns": list(right.columns) or None,
            "specs": list(self.specs),
            "instead": self.instead,
        }


class Grants(Struct, frozen=True, kw_only=True):
    """What a role needs in one database to carry out specs; `place` says where that is, without a secret.

    `notes` tell of what no GRANT can give, or what can't be foreseen.
    """

    role: str
    database: str
    place: str
    grants: tuple[Grant, ...]
    notes: tuple[str, ...] = ()

    @property
    def lacking(self) -> tuple[Grant, ...]:
        return tuple(grant for grant in self.grants if not grant.held)

    def explain(self) -> str:
        """Return SQL for psql: what lacks first, then what is granted already; all else are comments."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield _comment(f"{self.role} in database {self.database} ({self.place})")
        if self.lacking:
            yield "-- lacking"
            yield from _statements(self.lacking)
        held = [grant for grant in self.grants if grant.held]
        if held:
            yield "-- granted already"
            yield from _statements(held)
        yield from (_comment(f"note: {note}") for note in self.notes)

    def document(self) -> dict[str, object]:
        """Return the same for machines; `lacking` counts."""
        return {
            "format": FORMAT,
            "ok": True,
            "role": self.role,
            "database": self.database,
            "lacking": len(self.lacking),
            "grants": [grant.document() for grant in self.grants],
            "notes": list(self.notes),
        }


def _statements(grants: Iterator[Grant] | tuple[Grant, ...] | list[Grant]) -> Iterator[str]:
    for grant in grants:
        yield grant.statement
        if grant.instead is not None and not grant.held:
            yield _comment(f"or: {grant.instead}")


def _comment(text: str) -> str:
    """Return a text as a comment, which ends with its line: names may hold line ends."""
    return "-- " + " ".join(text.split())
