"""The rules of `update_columns` as expressions over the stored and the incoming value."""

from __future__ import annotations

from syncengine.errors import Location
from syncengine.model.facts import ColumnFacts
from syncengine.model.spec import ColumnRef, Expression, RuleName

# What joins the two values where neither is NULL; GREATEST, LEAST and COALESCE pass NULLs by themselves.
_OPERATORS: dict[RuleName, str] = {"sum": "+", "append": "||"}
_FUNCTIONS: dict[RuleName, str] = {"greatest": "GREATEST", "least": "LEAST"}


def combine(rule: RuleName, column: ColumnFacts, location: Location) -> Expression:
    """Return what a rule makes of a column's two values; a NULL on one side leaves the other.

    >>> from syncengine.errors import Location
    >>> column = ColumnFacts(name="n", type="integer", base_type="integer")
    >>> [part if isinstance(part, str) else f"{part.relation}.{part.name}" for part in
    ...  combine("greatest", column, Location("")).parts]
    ['GREATEST(', 'target.n', ', ', 'excluded.n', ')']
    """
    stored = ColumnRef(relation="target", name=column.name, quoted=True)
    incoming = ColumnRef(relation="excluded", name=column.name, quoted=True)
    if rule == "coalesce":
        return _expression(rule, ("COALESCE(", incoming, ", ", stored, ")"), location)
    if rule in _FUNCTIONS:
        return _expression(rule, (f"{_FUNCTIONS[rule]}(", stored, ", ", incoming, ")"), location)
    if rule == "jsonb_merge":
        return _expression(rule, _merged(stored, incoming), location)
    joined = (stored, f" {_OPERATORS[rule]} ", incoming)
    alone = ("CASE WHEN ", incoming, " IS NULL THEN ", stored, " WHEN ", stored, " IS NULL THEN ", incoming)
    return _expression(rule, (*alone, " ELSE ", *joined, " END"), location)


def _merged(stored: ColumnRef, incoming: ColumnRef) -> tuple[str | ColumnRef, ...]:
    """Return the merge of two objects; of other values `||` would make arrays that grow with every run."""
    both = ("jsonb_typeof(", stored, ") = 'object' AND jsonb_typeof(", incoming, ") = 'object'")
    kept = ("CASE WHEN ", incoming, " IS NULL THEN ", stored)
    return (*kept, " WHEN ", *both, " THEN ", stored, " || ", incoming, " ELSE ", incoming, " END")


def _expression(rule: RuleName, parts: tuple[str | ColumnRef, ...], location: Location) -> Expression:
    return Expression(text=rule, parts=parts, location=location)
