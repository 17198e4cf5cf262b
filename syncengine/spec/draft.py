"""One spec while it is being read: its values, their places, and the problems found so far."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncengine.errors import Location, NotAvailable, SpecError, SyncError
from syncengine.model.spec import Expression
from syncengine.spec import expressions
from syncengine.spec.available import instead
from syncengine.spec.names import check_name
from syncengine.spec.positions import Document
from syncengine.spec.project import Project

_SQL_NULL = re.compile(r"\bnull\Z", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Draft:
    """`data` holds the keys whose values have the right shape; `given` all that the file names.

    `places` are marks beside those of the document.
    """

    document: Document
    project: Project
    folder: Path
    roots: tuple[Path, ...]
    data: dict[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    expanded: frozenset[str] = frozenset()
    needs_source: bool = True
    problems: list[SyncError] = field(default_factory=list)
    places: dict[str, Location] = field(default_factory=dict)

    @property
    def has_conflict_target(self) -> bool:
        return not self.given.isdisjoint({"conflict_keys", "conflict_constraint"})

    @property
    def mode(self) -> str | None:
        """Return the mode as given or by default, None where the given one is not to be had."""
        if "mode" in self.given:
            return self.data.get("mode")
        return "upsert" if self.has_conflict_target else "insert"

    def complain(self, pointer: str, message: str, hint: str | None = None, *, at_key: bool = False) -> None:
        place = self.document.at_key(pointer) if at_key else self.document.at(pointer)
        self.problems.append(SpecError(message, hint=hint, location=place))

    def not_yet(self, pointer: str, what: str, *, at_key: bool = False) -> None:
        place = self.document.at_key(pointer) if at_key else self.document.at(pointer)
        message = f"`{what}` is not available yet"
        self.problems.append(NotAvailable(message, hint=instead(what), location=place))

    def name(self, pointer: str, name: str) -> str:
        """Return a name after checking that PostgreSQL can hold it."""
        try:
            return check_name(name, self.document.at(pointer))
        except SpecError as error:
            self.problems.append(error)
            return name

    def sql(self, pointer: str, value: object) -> str | None:
        """Return a scalar as SQL text: numbers and booleans as written, NULL only where it is spelled out."""
        if isinstance(value, str):
            return value
        written = self.document.scalars.get(pointer)
        if value is None and (written is None or not _SQL_NULL.match(written.value)):
            self.complain(pointer, "there is no SQL here", "write NULL for a null value")
            return None
        return written.value if written else str(value).lower()

    def expression(self, pointer: str, value: object, relations: frozenset[str]) -> Expression | None:
        """Return the SQL expression at `pointer`, or None after noting what is wrong with it."""
        text = self.sql(pointer, value)
        if text is None:
            return None
        try:
            return self.parsed(pointer, text, relations)
        except SpecError as error:
            self.problems.append(error)
            return None

    def parsed(self, pointer: str, text: str, relations: frozenset[str]) -> Expression:
        """Return the SQL expression `text`, which stands at `pointer`.  Raises SpecError."""

        def place(offset: int) -> Location:
            known = pointer not in self.expanded
            return self.document.inside(pointer, offset) if known else self.document.at(pointer)

        return expressions.parse(
            text,
            location=self.document.at(pointer),
            allowed=relations,
            allow_functions=self.project.allow_functions,
            place=place,
        )
