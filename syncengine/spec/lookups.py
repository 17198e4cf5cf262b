"""`lookups`: columns whose values are found in other tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncengine.errors import SpecError
from syncengine.model.spec import Assign, Lookup, TargetSpec
from syncengine.spec.draft import Draft
from syncengine.spec.names import qualified, unquoted
from syncengine.spec.positions import child

_SOURCE = frozenset({"source"})


def read_lookups(draft: Draft) -> tuple[Lookup, ...]:
    return tuple(_lookups(draft))


def _lookups(draft: Draft) -> Iterator[Lookup]:
    for key, value in draft.data.get("lookups", {}).items():
        pointer = child("/lookups", key)
        column = draft.name(pointer, unquoted(key))
        if key in draft.data.get("columns", {}):
            hint = "leave it out of `columns`"
            draft.complain(pointer, f"the column `{column}` is both mapped and looked up", hint, at_key=True)
        if (table := _table(draft, child(pointer, "table"), value["table"])) is not None:
            yield Lookup(
                column=column,
                table=table,
                match=tuple(_match(draft, child(pointer, "match"), value["match"])),
                select=unquoted(value["select"]) if "select" in value else None,
                # YAML reads a bare null as nothing at all.
                missing=value.get("missing", "error") or "null",
            )


def _table(draft: Draft, pointer: str, text: str) -> TargetSpec | None:
    try:
        schema, table = qualified(text, draft.document.at(pointer))
    except SpecError as error:
        draft.problems.append(error)
        return None
    return TargetSpec(schema=schema, table=table)


def _match(draft: Draft, pointer: str, value: dict[str, Any]) -> Iterator[Assign]:
    for key, text in value.items():
        below = child(pointer, key)
        expression = draft.expression(below, text, _SOURCE)
        if expression is not None:
            yield Assign(column=draft.name(below, unquoted(key)), expression=expression)
