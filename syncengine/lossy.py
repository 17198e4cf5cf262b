"""Sentences of a plan about values that may change on their way into a column without an error.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from syncengine.model.facts import ColumnFacts
from syncengine.model.spec import ColumnSpec
from syncengine.model.task import Task

_SEVEN_DIGITS = "numbers of more than 6 digits may be rounded"
_BY_THEMSELVES = {
    "real": _SEVEN_DIGITS,
    "real[]": _SEVEN_DIGITS,
    # pgvector's
    "vector": _SEVEN_DIGITS,
    "halfvec": "numbers of more than 3 digits may be rounded",
    "money": "amounts are rounded to the digits that the server's lc_monetary has",
}
_TEXTS = frozenset({"text", "character varying", "bpchar", "json", "jsonb"})
_INTEGERS = frozenset({"smallint", "integer", "bigint", "numeric"})
# What each type goes into whole, or not at all.
_WHOLE = {
    "smallint": _INTEGERS | {"real", "double precision"},
    "integer": _INTEGERS | {"double precision"},
    "bigint": _INTEGERS,
    "real": {"double precision"},
    "date": {"timestamp without time zone", "timestamp with time zone"},
    "timestamp without time zone": {"timestamp with time zone"},
    "timestamp with time zone": {"timestamp without time zone"},
}


def lossy_casts(task: Task) -> tuple[str, ...]:
    """Return a sentence for each column that may get another value than the source has, or than was computed.

    Casts that are checked while the source is read (Task.roundings, StagedColumn.reads) are not among them.
    """
    return tuple(_sentences(task))


def _sentences(task: Task) -> Iterator[str]:
    items = {item.column.casefold(): item for item in task.spec.columns}
    for loaded in task.loaded:
        facts = task.table.column(loaded.name)
        if facts is None:
            continue
        item = items.get(loaded.name.casefold())
        if item is not None and item.expression is not None:
            if facts.rounds:
                yield f"column {facts.name} is computed: what {facts.type} can't hold is rounded"
            continue
        if (change := _BY_THEMSELVES.get(facts.base_type.rpartition(".")[2])) is not None:
            yield f"column {facts.name} is {facts.type}: {change}"
        if facts.rounds_inside:
            yield f"column {facts.name} is {facts.type}: what its parts can't hold is rounded"
        if item is not None and item.type is not None:
            yield from _read_as_another_type(task, item, facts)


def _read_as_another_type(task: Task, item: ColumnSpec, facts: ColumnFacts) -> Iterator[str]:
    """Yield what is to be said of a column whose field is read as another type than its own."""
    field = (item.field or item.column).casefold()
    reads = next(
        (staged.column.reads for staged in task.stage if staged.column.field.casefold() == field), ()
    )
    checked = any(
        rounding.column == facts.name and rounding.type == facts.type for rounding in task.roundings
    )
    for name in reads:
        base = re.sub(r"\(.*?\)", "", name)
        whole = facts.base_type in _TEXTS or facts.base_type in {base, *_WHOLE.get(base, ())}
        if not whole and not checked:
            yield f"column {facts.name} is read as {name} and cast to {facts.type}: what that can't hold is lost"
