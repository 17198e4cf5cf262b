"""What the arbiter index takes for equal, and which rows it holds: the conflict target's own may be less exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncengine.arbiter import normal, senses
from syncengine.errors import NoArbiterIndex, SpecError, SyncError
from syncengine.model.facts import IndexFacts, TableFacts
from syncengine.model.spec import Expression, Spec
from syncengine.model.task import Key
from syncengine.values import replace

# An equality operator, and a collation where that matters.
Sense = tuple[tuple[str, str], tuple[str, ...] | None]


def with_arbiter(
    keys: Sequence[Key], arbiter: IndexFacts | None, match: bool, table: TableFacts
) -> tuple[Key, ...]:
    """Give the keys the index's operators and collations; `match`: NULLs meet each other in it."""
    known = senses(arbiter) if arbiter is not None else {}
    # An expression may be spelt so that only the server can match it; what is left over in the index is its own.
    rest = {known[name] for name in known.keys() - {key.column or normal(key.text) for key in keys}}
    left: Sense | None = rest.pop() if len(rest) == 1 else None
    found = []
    for key in keys:
        column = table.column(key.column) if key.column is not None else None
        equality = column.equality if column is not None and column.equality else ("pg_catalog", "=")
        own: Sense = (equality, key.collation if arbiter is None else None)
        sense = known.get(key.column or normal(key.text)) or (None if key.column else left) or own
        nulls = match and (column is None or not column.not_null)
        found.append(replace(key, equality=sense[0], collation=sense[1], match_nulls=nulls))
    return tuple(found)


def held_rows(
    spec: Spec,
    table: TableFacts,
    arbiter: IndexFacts | None,
    parse: Callable[[str], Expression],
    problems: list[SyncError],
) -> Expression | None:
    """Return the predicate of the rows that meet conflicts: the index's, which `conflict_where` need only imply."""
    stated = spec.conflict_where
    if arbiter is None or table.relation == "view" or stated is None:
        return stated
    if arbiter.predicate is None:
        return None
    if normal(stated.text) == normal(arbiter.predicate):
        return stated
    try:
        return parse(arbiter.predicate)
    except SpecError as error:
        message = (
            f"{arbiter} holds other rows than conflict_where says, and its predicate can't be taken over"
        )
        hint = "write the index's own predicate as conflict_where"
        location = spec.mark("/conflict_where")
        problems.append(NoArbiterIndex(message, detail=error.message, hint=hint, location=location))
        return stated
