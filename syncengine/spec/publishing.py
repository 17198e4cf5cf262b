"""What surrounds the publishing: deletes, versions, limits, checks, hooks, settings."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from syncengine.errors import SpecError
from syncengine.model.spec import Assign, BadRows, CheckSpec, Delete, Expression, History, Limit, Limits
from syncengine.spec import grammar
from syncengine.spec.draft import Draft
from syncengine.spec.names import unquoted
from syncengine.spec.positions import child

_INCOMING = frozenset({"excluded"})
_STORED = frozenset({"target"})
_LIMITS = ("min_rows", "max_deletes", "max_updates", "max_inserts")
# docs/spec.md §2: what stops these modes unless the spec says otherwise.
_HALF = Limit(share=Fraction(1, 2))
_DEFAULTS: dict[str, dict[str, Limit]] = {
    "mirror": {"min_rows": Limit(count=1), "max_deletes": _HALF},
    "replace": {"min_rows": Limit(count=1)},
}
# The engine sets these itself, or its promises rest on them.
_OWN_SETTINGS = {
    "search_path": "name tables with their schema; hooks and checks run under the role's own search_path",
    "lock_timeout": "write `execution: {lock_timeout: …}`",
    "statement_timeout": "write `execution: {statement_timeout: …}`",
    "extra_float_digits": "rows are compared by their texts, which must hold every digit",
    "row_security": "row-level security must not hide rows from a run",
    "role": "connect as that role",
    "session_authorization": "connect as that role",
    "session_replication_role": "triggers and foreign keys are part of the target",
    "client_encoding": "write `source: {encoding: …}`",
    "transaction_isolation": "the mode decides it",
    "transaction_read_only": "a run writes",
    "transaction_deferrable": "a run writes",
    "default_transaction_isolation": "the mode decides it",
    "default_transaction_read_only": "a run writes",
}


def read_delete(draft: Draft) -> Delete:
    value = draft.data.get("delete", {})
    scope = draft.expression("/delete/scope", value["scope"], _STORED) if "scope" in value else None
    live = _constant(draft, "/delete/live", value["live"]) if "live" in value else None
    if live is not None and "soft" not in value:
        hint = "write `soft: {column: expression}` with it"
        draft.complain("/delete/live", "`live` has no effect without `soft`", hint, at_key=True)
    return Delete(scope=scope, soft=_soft(draft, value), live=live, cascade=value.get("cascade", False))


def _soft(draft: Draft, value: dict[str, Any]) -> Assign | None:
    if "soft" not in value:
        return None
    if value.get("cascade"):
        hint = "leave it out: a soft delete deletes no row"
        draft.complain("/delete/cascade", "`cascade` has no effect beside `soft`", hint, at_key=True)
    column, text = next(iter(value["soft"].items()))
    pointer = child("/delete/soft", column)
    expression = draft.expression(pointer, text, _STORED)
    return Assign(column=draft.name(pointer, unquoted(column)), expression=expression)


def _constant(draft: Draft, pointer: str, value: object) -> Expression | None:
    """Return an expression that reads no column; YAML's null is SQL's here."""
    found = draft.expression(pointer, "NULL" if value is None else value, _STORED)
    if found is not None and found.columns:
        draft.complain(
            pointer, "a value is needed here, not a column", "write a value such as `false` or NULL"
        )
    return found


def read_history(draft: Draft) -> History:
    value = draft.data.get("history", {})
    start, since = value.get("valid_from", "valid_from"), None
    if isinstance(start, dict):
        (start, text), pointer = next(iter(start.items())), "/history/valid_from"
        since = draft.expression(child(pointer, start), text, _INCOMING)
    known = History(
        valid_from=_column(draft, "valid_from", start),
        since=since,
        valid_to=_column(draft, "valid_to", value.get("valid_to", "valid_to")),
        current=_column(draft, "current", value["current"]) if "current" in value else None,
        track=tuple(unquoted(name) for name in value["track"]) if "track" in value else None,
    )
    columns = [name for name in (known.valid_from, known.valid_to, known.current) if name is not None]
    if len(set(columns)) < len(columns):
        draft.complain("/history", "each of `valid_from`, `valid_to` and `current` needs a column of its own")
    return known


def _column(draft: Draft, key: str, text: str) -> str:
    return draft.name(child("/history", key), unquoted(text))


def read_limits(draft: Draft) -> Limits:
    """Return the limits of a spec over those of its mode."""
    known = dict(_DEFAULTS.get(draft.mode or "", {}))
    known |= {
        key: Limit.parse(str(value)) for key, value in draft.data.get("limits", {}).items() if key in _LIMITS
    }
    return Limits(**known)


def read_bad_rows(draft: Draft) -> BadRows:
    value = draft.data.get("bad_rows", "fail")
    if isinstance(value, dict):
        most = Limit.parse(str(value["max"])) if "max" in value else None
        return BadRows(quarantine=True, max=most)
    return BadRows(quarantine=value == "quarantine")


def read_checks(draft: Draft) -> tuple[CheckSpec, ...]:
    checks = []
    for number, item in enumerate(draft.data.get("checks", ())):
        pointer = child("/checks", number)
        sql = _parsed(draft, child(pointer, "sql"), item["sql"], grammar.query)
        name = item.get("name", f"check {number + 1}")
        checks.append(CheckSpec(name=name, sql=sql, message=item.get("message")))
    return tuple(checks)


def read_hooks(draft: Draft, key: str) -> tuple[str, ...]:
    """Return the statements of `before` or `after`."""
    return tuple(
        _parsed(draft, child(f"/{key}", number), text, grammar.statement)
        for number, text in enumerate(draft.data.get(key, ()))
    )


def _parsed(draft: Draft, pointer: str, text: str, parse: Callable[[str, grammar.Place], str]) -> str:
    known = pointer not in draft.expanded

    def place(offset: int) -> Any:
        return draft.document.inside(pointer, offset) if known else draft.document.at(pointer)

    try:
        return parse(text, place)
    except SpecError as error:
        draft.problems.append(error)
        return text


def read_session(draft: Draft) -> tuple[tuple[str, str], ...]:
    """Return the settings of a spec as texts."""
    settings: list[tuple[str, str]] = []
    for name, value in draft.data.get("session", {}).items():
        pointer = child("/session", name)
        if (why := _OWN_SETTINGS.get(name.lower())) is not None:
            draft.complain(pointer, f"`{name}` is set by the engine", why, at_key=True)
        if name.lower() in (known.lower() for known, _ in settings):
            draft.complain(
                pointer, f"the setting `{name}` is there twice", "leave one of them out", at_key=True
            )
        text = draft.sql(pointer, value)
        if text is not None:
            settings.append((name, text))
    return tuple(settings)
