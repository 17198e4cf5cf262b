"""Make a Spec of values that have the right shape: names, expressions, paths and defaults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from syncengine.errors import Location, SpecError
from syncengine.model.spec import (
    ColumnSpec,
    Duplicates,
    Execution,
    Expression,
    Returning,
    Spec,
    TargetSpec,
)
from syncengine.spec import expressions
from syncengine.spec.conflict import CONFLICT, read_conflict_keys, read_update_columns
from syncengine.spec.draft import Draft
from syncengine.spec.lookups import read_lookups
from syncengine.spec.names import qualified, unquoted
from syncengine.spec.origin import read_source
from syncengine.spec.paths import resolve_path
from syncengine.spec.positions import child
from syncengine.spec.problems import shown
from syncengine.spec.publishing import (
    read_bad_rows,
    read_checks,
    read_delete,
    read_history,
    read_hooks,
    read_limits,
    read_session,
)
from syncengine.spec.rules import check_rules
from syncengine.spec.words import nearest

_SOURCE = frozenset({"source"})
_DURATION = re.compile(r"\s*([0-9.]+)\s*([a-z]*)\s*")
_MILLISECONDS = {"": 1, "us": 0.001, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_MAX_MILLISECONDS = 2**31 - 1


def build(draft: Draft, *, name: str, file: str) -> Spec | None:
    """Return the spec, or None after noting every problem in the draft."""
    data = draft.data
    source = read_source(draft)
    target = _target(draft)
    columns = _columns(draft)
    ignore_fields, ignore_rest = _ignore_fields(draft)
    keys = read_conflict_keys(draft)
    updates = read_update_columns(draft)
    constraint = _constraint(draft)
    predicate = _expression(draft, "conflict_where", frozenset())
    guard = _expression(draft, "where", CONFLICT)
    lookups = read_lookups(draft)
    delete, history, limits = read_delete(draft), read_history(draft), read_limits(draft)
    checks, session = read_checks(draft), read_session(draft)
    before, after = read_hooks(draft, "before"), read_hooks(draft, "after")
    returning = _returning(draft)
    execution = _execution(draft)
    _refuse_twice(draft, "/depends_on", data.get("depends_on", ()))
    check_rules(draft)
    if draft.problems or source is None or target is None:
        return None
    return Spec(
        name=name,
        source=source,
        target=target,
        mode=draft.mode or "",
        file=file,
        folder=str(draft.folder),
        description=data.get("description"),
        owner=data.get("owner"),
        tags=tuple(data.get("tags", ())),
        columns=columns,
        ignore_fields=ignore_fields,
        ignore_rest=ignore_rest,
        conflict_keys=keys,
        conflict_constraint=constraint,
        conflict_where=predicate,
        update_columns=updates,
        where=guard,
        touch_unchanged=data.get("touch_unchanged", False),
        null_keys=data.get("null_keys"),
        duplicates=_duplicates(data.get("duplicates", "error")),
        lookups=lookups,
        bad_rows=read_bad_rows(draft),
        delete=delete,
        history=history,
        limits=limits,
        checks=checks,
        before=before,
        after=after,
        session=session,
        sensitive=tuple(unquoted(name) for name in data.get("sensitive", ())),
        returning=returning,
        execution=execution,
        depends_on=tuple(data.get("depends_on", ())),
        roots=tuple(str(root) for root in draft.roots),
        ledger_schema=draft.project.ledger_schema,
        marks=_marks(draft),
    )


def _target(draft: Draft) -> TargetSpec | None:
    value = draft.data.get("target")
    if value is None:
        return None
    options: dict[str, Any] = {"table": value} if isinstance(value, str) else value
    pointer = "/target" if isinstance(value, str) else "/target/table"
    connection = options.get("connection")
    if connection is not None:
        _check_connection(draft, connection)
    try:
        schema, table = qualified(options["table"], draft.document.at(pointer))
    except SpecError as error:
        draft.problems.append(error)
        return None
    return TargetSpec(schema=schema, table=table, connection=connection, create=options.get("create", False))


def _check_connection(draft: Draft, name: str) -> None:
    known = draft.project.connections
    if name in known:
        return
    if "://" in name:
        message, hint = "`connection` is a name, not a URL", "name it under `connections:` in syncengine.yaml"
    else:
        message, near = f"there is no connection `{shown(name)}`", nearest(name, known)
        listed = (
            f"known: {', '.join(sorted(known))}"
            if known
            else "name it under `connections:` in syncengine.yaml"
        )
        hint = f"did you mean `{near}`?" if near else listed
    draft.complain("/target/connection", message, hint)


def _constraint(draft: Draft) -> str | None:
    value = draft.data.get("conflict_constraint")
    return draft.name("/conflict_constraint", unquoted(value)) if value is not None else None


def _expression(draft: Draft, key: str, relations: frozenset[str]) -> Expression | None:
    return draft.expression(f"/{key}", draft.data[key], relations) if key in draft.data else None


def _columns(draft: Draft) -> tuple[ColumnSpec, ...]:
    columns = [_column(draft, key, value) for key, value in draft.data.get("columns", {}).items()]
    names = [column.column for column in columns]
    for key, name in zip(draft.data.get("columns", {}), names, strict=True):
        if name != key and name in draft.data["columns"]:
            draft.complain(child("/columns", key), f"the column `{name}` is there twice", at_key=True)
    return tuple(columns)


def _column(draft: Draft, key: str, value: str | dict[str, Any]) -> ColumnSpec:
    pointer = child("/columns", key)
    name = draft.name(pointer, unquoted(key))
    if isinstance(value, str):
        return ColumnSpec(column=name, field=value)
    if "field" in value and "expression" in value:
        hint = "an expression names its fields as source.field"
        draft.complain(pointer, f"the column `{name}` has both a field and an expression", hint, at_key=True)
    expression = None
    if "expression" in value:
        expression = draft.expression(child(pointer, "expression"), value["expression"], _SOURCE)
    stated = _sql_type(draft, child(pointer, "type"), value["type"]) if "type" in value else None
    return ColumnSpec(column=name, field=value.get("field"), expression=expression, type=stated)


def _sql_type(draft: Draft, pointer: str, text: str) -> str | None:
    try:
        return expressions.parse_type(text, location=draft.document.at(pointer))
    except SpecError as error:
        draft.problems.append(error)
        return None


def _ignore_fields(draft: Draft) -> tuple[tuple[str, ...], bool]:
    value = draft.data.get("ignore_fields", [])
    if isinstance(value, str):
        if value != "*":
            draft.complain(
                "/ignore_fields", '`ignore_fields` must be a list, or "*"', f"write [{shown(value)}]"
            )
        return (), True
    _refuse_twice(draft, "/ignore_fields", value)
    return tuple(field for field in value if field != "*"), "*" in value


def _refuse_twice(draft: Draft, pointer: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            draft.complain(child(pointer, number), f"`{shown(name)}` is there twice")


def _duplicates(value: Any) -> Duplicates:
    if isinstance(value, dict):
        return Duplicates(keep=value["keep"], by=unquoted(value["by"]) if "by" in value else None)
    return Duplicates(keep=value)


def _returning(draft: Draft) -> Returning | None:
    value = draft.data.get("returning")
    if value is None:
        return None
    columns = [unquoted(name) for name in value["columns"]]
    _refuse_twice(draft, "/returning/columns", columns)
    suffix = Path(value["to"]).suffix.lower()
    if suffix not in (".csv", ".jsonl"):
        draft.complain("/returning/to", f"`{shown(value['to'])}` is neither a .csv nor a .jsonl file")
        return None
    try:
        path = resolve_path(value["to"], draft.folder, draft.roots, draft.document.at("/returning/to"))
    except SpecError as error:
        draft.problems.append(error)
        return None
    return Returning(
        columns=tuple(columns),
        path=str(path),
        format="csv" if suffix == ".csv" else "jsonl",
        rows=value.get("rows", "written"),
    )


def _execution(draft: Draft) -> Execution:
    value = draft.data.get("execution", {})
    for key in ("lock_timeout", "statement_timeout"):
        if key in value and _milliseconds(value[key]) > _MAX_MILLISECONDS:
            draft.complain(f"/execution/{key}", f"`{shown(value[key])}` is too long", "at most 24d")
    known = ("method", "transaction", "chunk_rows", "workers", "lock_timeout", "statement_timeout", "retries")
    return Execution(**{key: _stripped(value[key]) for key in known if key in value})


def _milliseconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _MILLISECONDS[match[2]] if match else 0


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _marks(draft: Draft) -> dict[str, Location]:
    """Return the places of all values; a column's also under its name without quotes and escapes."""
    marks = {**draft.document.values, **draft.places}
    for key in draft.data.get("columns", {}):
        marks.setdefault(f"/columns/{unquoted(key)}", draft.document.at(child("/columns", key)))
    return marks
