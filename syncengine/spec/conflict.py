"""What identifies a row and what an update sets: `conflict_keys` and `update_columns`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from syncengine.errors import SpecError
from syncengine.model.spec import AllColumns, Assign, Expression, Keep, KeySpec, Rule, RuleName, UpdateItem
from syncengine.spec.draft import Draft
from syncengine.spec.expressions import without_collation
from syncengine.spec.names import identifier, unquoted
from syncengine.spec.positions import child
from syncengine.spec.problems import shown
from syncengine.spec.words import nearest

CONFLICT = frozenset({"target", "excluded"})
_ALL = "*"
_KEEP = "keep"
_COMBINING: dict[str, RuleName] = {rule: rule for rule in get_args(RuleName)}
_RULES = (*_COMBINING, _KEEP)
_HYPHENATED = re.compile(r"\w+(?:-\w+)+")
# A column's exact name may hold anything, but who writes these means SQL.
_SURELY_SQL = re.compile(r"[();']|::|\|\|")


def read_conflict_keys(draft: Draft) -> tuple[KeySpec, ...]:
    """Return the parts of the conflict target; each is a column's name or an expression over unqualified
    columns.
    """
    items = draft.data.get("conflict_keys", [])
    keys = [_key(draft, child("/conflict_keys", number), text) for number, text in enumerate(items)]
    seen: list[str] = []
    for number, key in enumerate(keys):
        if (what := key.name or key.text) in seen:
            draft.complain(child("/conflict_keys", number), f"the key `{shown(key.text)}` is there twice")
        seen.append(what)
    return tuple(keys)


def _key(draft: Draft, pointer: str, text: str) -> KeySpec:
    name = identifier(text)
    if name is not None or not _SURELY_SQL.search(text):
        draft.name(pointer, name or text)
    expression: Expression | None = None
    collation: tuple[str, ...] = ()
    try:
        expression, collation = without_collation(draft.parsed(pointer, text, frozenset()))
    except SpecError as error:
        if name is None and _SURELY_SQL.search(text):
            as_name = '"' + text.replace('"', '""') + '"'
            error.hint = error.hint or f"a column of this name is written as in SQL: {as_name}"
            draft.problems.append(error)
    if name is None and (expression is None or _HYPHENATED.fullmatch(text)):
        name = text
    if collation and expression is not None and expression.parts == expression.columns:
        name = expression.columns[0].name
    return KeySpec(text=text, name=name, expression=expression, collation=collation)


def read_update_columns(draft: Draft) -> tuple[UpdateItem, ...]:
    """Return what an update sets, in order; a later item overrides an earlier one.

    The place of the item number N is kept under `/update_columns/N`, whatever form the spec gives them in.
    """
    value = draft.data.get("update_columns", [_ALL])
    items: list[UpdateItem] = []
    if isinstance(value, dict):
        items += _assignments(draft, "/update_columns", value, 0)
        return tuple(items)
    for number, item in enumerate(value):
        pointer = child("/update_columns", number)
        if isinstance(item, dict):
            items += _assignments(draft, pointer, item, len(items))
            continue
        draft.places[f"/update_columns/{len(items)}"] = draft.document.at(pointer)
        items.append(_plain(draft, pointer, item))
        if items[-1] in items[:-1]:
            draft.complain(pointer, f"`{shown(item)}` is there twice")
    return tuple(items)


def _plain(draft: Draft, pointer: str, text: str) -> UpdateItem:
    if text == _ALL:
        return AllColumns()
    return Assign(column=draft.name(pointer, unquoted(text)))


def _assignments(draft: Draft, pointer: str, items: dict[str, Any], number: int) -> Iterator[UpdateItem]:
    for key, value in items.items():
        below = child(pointer, key)
        if item := _assignment(draft, below, key, value):
            draft.places[f"/update_columns/{number}"] = draft.document.at(below)
            number += 1
            yield item


def _assignment(draft: Draft, pointer: str, key: str, value: object) -> UpdateItem | None:
    column = draft.name(pointer, unquoted(key))
    if key == _ALL:
        hint = 'write "*" alone, then the exceptions'
        draft.complain(pointer, "`*` takes no expression", hint, at_key=True)
        return None
    if isinstance(value, str) and (word := value.strip()) in _RULES:
        return Keep(column=column) if word == _KEEP else Rule(column=column, rule=_COMBINING[word])
    if isinstance(value, str) and (rule := _misspelt(value)):
        message = f"`{shown(value)}` is neither a rule nor an expression"
        draft.complain(pointer, message, f"did you mean `{rule}`?")
        return None
    expression = draft.expression(pointer, value, CONFLICT)
    return Assign(column=column, expression=expression) if expression else None


def _misspelt(text: str) -> str | None:
    """Return the rule that a single word looks like; a column alone is no expression here."""
    return nearest(text, _RULES) if re.fullmatch(r"[A-Za-z_]+", text) else None
