"""Find a name among others as SQL users expect (exact first, then whatever the case), and write it in hints."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from syncengine.arbiter import quote_if_needed
from syncengine.model.facts import TableFacts


def find(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is meant: the exact one, else the only one that differs just in case."""
    names = tuple(names)
    if name in names:
        return name
    alike = [other for other in names if other.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that `name` is most likely a slip of, if any."""
    by_folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """Return a hint naming the nearest name, else listing the names there are."""
    names = tuple(names)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    if not names:
        return None
    return f"there are: {shortened(names)}"


def shortened(names: Sequence[str]) -> str:
    """Return the first twenty names in one text."""
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def in_sql(table: TableFacts) -> str:
    """Return a table's name as it is written in a statement that a hint proposes."""
    return f"{quote_if_needed(table.schema)}.{quote_if_needed(table.name)}"
