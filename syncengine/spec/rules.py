"""Combinations of keys that cannot be meant, as far as the spec alone tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from syncengine.spec.draft import Draft

_KEYS = "write `conflict_keys: [column, …]`"
_UPDATING = frozenset({"upsert", "update", "mirror"})
_KEYED = frozenset({"upsert", "update", "ignore", "mirror", "history"})


def check_rules(draft: Draft) -> None:
    """Note every impossible combination in the draft, each at the key that is too much."""
    for pointer, message, hint in (
        *_conflict_target(draft),
        *_updates(draft),
        *_keys_needed(draft),
        *_of_other_modes(draft),
        *_fields(draft),
        *_chunks(draft),
    ):
        draft.complain(pointer, message, hint, at_key=True)


Problem = tuple[str, str, str | None]


def _conflict_target(draft: Draft) -> Iterator[Problem]:
    given, mode = draft.given, draft.data.get("mode")
    if {"conflict_keys", "conflict_constraint"} <= given:
        yield (
            "/conflict_constraint",
            "`conflict_constraint` stands beside `conflict_keys`",
            "leave one of them out",
        )
    if "conflict_where" in given and "conflict_keys" not in given:
        yield "/conflict_where", "`conflict_where` needs `conflict_keys`", _KEYS
    if mode in _KEYED and not draft.has_conflict_target:
        yield "/mode", f"mode `{mode}` needs a conflict target", f"{_KEYS}, or `conflict_constraint: name`"


def _updates(draft: Draft) -> Iterator[Problem]:
    given, data = draft.given, draft.data
    mode = draft.mode
    if mode in ("insert", "ignore"):
        reason = f"mode `{mode}` updates no row"
        hint = "write `mode: upsert`" if draft.has_conflict_target else f"{_KEYS}: with it the mode is upsert"
        for key in ("update_columns", "where"):
            if key in given:
                yield f"/{key}", f"`{key}` has no effect: {reason}", hint
        if data.get("touch_unchanged"):
            yield "/touch_unchanged", f"`touch_unchanged` has no effect: {reason}", hint
    elif mode in _UPDATING and data.get("update_columns") == []:
        for key in ("where", "touch_unchanged"):
            if data.get(key):
                hint = "leave one of them out"
                yield f"/{key}", f"`{key}` has no effect: `update_columns: []` leaves the row alone", hint


def _of_other_modes(draft: Draft) -> Iterator[Problem]:
    """Yield keys that only other modes know."""
    given, mode, data = draft.given, draft.mode, draft.data
    deletes = data.get("delete", {})
    if mode not in ("mirror", "replace", None) and "delete" in given:
        yield "/delete", f"`delete` has no effect: mode `{mode}` deletes no row", "write `mode: mirror`"
    if mode == "replace":
        for key in ("scope", "soft"):
            if key in deletes:
                hint = "write `mode: mirror`"
                yield f"/delete/{key}", f"`{key}` can't be: `replace` leaves only the source's rows", hint
        for key in ("update_columns", "where"):
            if key in given:
                hint = "leave it out, or write `mode: mirror`"
                yield (
                    f"/{key}",
                    f"`{key}` has no effect: `replace` leaves the table as the source has it",
                    hint,
                )
    if mode != "history" and mode is not None and "history" in given:
        yield "/history", f"`history` has no effect in mode `{mode}`", "write `mode: history`"
    if mode == "history":
        for key in ("update_columns", "touch_unchanged"):
            if data.get(key):
                hint = "say which changes count: `history: {track: [column, …]}`"
                yield f"/{key}", f"`{key}` has no effect: mode `history` writes new versions", hint
        if data.get("null_keys") == "insert":
            yield "/null_keys", "`null_keys: insert` can't be: a version needs a key", "mend the source"
    if mode in ("replace", "history") and _keeps_absent(data):
        hint = "leave it out, or write `mode: upsert`"
        yield "/source/absent", f"`absent: keep` has no effect in mode `{mode}`", hint


def _keeps_absent(data: Mapping[str, Any]) -> bool:
    source = data.get("source")
    return isinstance(source, Mapping) and source.get("absent") == "keep"


def _keys_needed(draft: Draft) -> Iterator[Problem]:
    data = draft.data
    duplicates = data.get("duplicates", "error")
    if not draft.has_conflict_target:
        for key in ("duplicates", "null_keys"):
            if data.get(key, "error") != "error":
                yield (
                    f"/{key}",
                    f"`{key}` needs a conflict target",
                    f"{_KEYS}, or `conflict_constraint: name`",
                )
    if isinstance(duplicates, dict) and "by" not in duplicates:
        hint = f"write `{{keep: {duplicates['keep']}, by: column}}`"
        yield "/duplicates", f"`keep: {duplicates['keep']}` needs `by`", hint


def _chunks(draft: Draft) -> Iterator[Problem]:
    """Yield what can't be published chunk by chunk (docs/spec.md §11, rule 10)."""
    execution = draft.data.get("execution")
    if not isinstance(execution, Mapping) or execution.get("transaction") != "chunk":
        return
    hint = "write `transaction: all`, or leave it out"
    if draft.mode in ("mirror", "replace", "history"):
        message = f"mode `{draft.mode}` can't be published in chunks"
        yield "/execution/transaction", message, hint
    for key in ("checks", "before", "after", "returning"):
        if draft.data.get(key):
            yield "/execution/transaction", f"`{key}` can't be, where chunks are published one by one", hint
    if draft.project.group:
        message = "specs that are published together can't be published in chunks"
        yield "/execution/transaction", message, "leave `transaction: group` out of syncengine.yaml"


def _fields(draft: Draft) -> Iterator[Problem]:
    columns, ignored = draft.data.get("columns", {}), draft.data.get("ignore_fields", [])
    fields = {value if isinstance(value, str) else value.get("field") for value in columns.values()}
    for number, field in enumerate(ignored if isinstance(ignored, list) else []):
        if field in fields:
            yield f"/ignore_fields/{number}", f"the field `{field}` is ignored and loaded by `columns`", None
