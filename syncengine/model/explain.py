"""A plan in words and as a document; both hold no time, no host and no secret, so equal plans give equal bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncengine.model.report import COUNTERS
from syncengine.model.steps import InsertRows, RunSql

if TYPE_CHECKING:
    from syncengine.model.plan import Plan, Unit
    from syncengine.model.preview import Preview, Row, SampleRow

FORMAT = 1
_TRANSACTIONS = {
    "": "one transaction",
    "source": "a transaction for each chunk of the source",
    "parts": "a transaction for each part",
}
_SIGNS = {"insert": "+", "update": "~", "delete": "-"}
_LONGEST = 60
_UNCLEAR = re.compile(r"[\s,=\"]|->")


def explain(plan: Plan, *, sql: bool = False) -> str:
    """Return what a plan does and why, for people; with `sql` each step shows its statement."""
    return "\n".join(_lines(plan, sql)) + "\n"


def _lines(plan: Plan, sql: bool) -> Iterator[str]:
    yield from map(_flat, _facts(plan))
    for unit in plan.units:
        yield from _unit_lines(unit, sql)


def _facts(plan: Plan) -> Iterator[str]:
    cost = f"cost {quantity(plan.cost)} rows"
    yield f"{plan.name}: {plan.mode} {plan.source} into {plan.target} by {plan.strategy} ({cost})"
    if plan.preview is not None:
        yield from _preview_lines(plan.preview)
    yield f"  target   {plan.connection}"
    for wait in plan.after:
        yield f"  after    {wait.name} ({wait.reason})"
    for warning in plan.warnings:
        yield f"  warning  {warning}"
    yield f"  because  {'; '.join(plan.reasons)}"
    for fit in plan.alternatives:
        yield f"  or else  {fit.strategy}: fits too, cost {quantity(fit.cost)} rows"
    for misfit in plan.refused:
        yield f"  refused  {misfit.strategy}: {misfit.reason}"
    for check in plan.checks:
        yield f"  checked  {check}"


def _preview_lines(preview: Preview) -> Iterator[str]:
    """Yield the exact numbers; what stops the run and what it deletes come first."""
    counts, error = preview.counts, preview.error
    if error is not None:
        yield f"  BLOCKED  {error.message}{'; ' + error.detail if error.detail else ''} [{error.code}]"
        yield f"           {error.hint}"
    if counts.deleted or counts.to_delete:
        yield f"  - delete     {counts.deleted:>12,}"
    yield f"  + insert     {counts.inserted:>12,}"
    yield f"  ~ update     {counts.updated:>12,}"
    yield f"  = unchanged  {counts.unchanged:>12,}"
    yield f"  | skipped    {counts.skipped:>12,}"
    if counts.duplicates:
        yield f"  2 duplicates {counts.duplicates:>12,}"
    if counts.quarantined:
        yield f"  ! quarantine {counts.quarantined:>12,}"
    yield f"  rows read    {counts.rows_read:>12,}"
    yield from (f"  bad row  {visible(str(sample))}" for sample in preview.bad_rows)
    if preview.unchecked:
        yield f"  not checked before a run: {', '.join(preview.unchecked)}"
    for sample in preview.samples:
        yield f"  sample   {_SIGNS[sample.op]} {_cells(sample.key)}{_changes(sample)}"


def _changes(sample: SampleRow) -> str:
    """Return what a sampled row holds, of an update only what changes."""
    if sample.old is not None and sample.new is not None:
        changes = (f"{name} {_cell(old)} -> {_cell(new)}" for name, (old, new) in sample.changes.items())
        return ": " + ", ".join(changes)
    row = {name: text for name, text in (sample.new or sample.old or {}).items() if name not in sample.key}
    return f": {_cells(row)}" if row and sample.key else _cells(row)


def _cells(row: Row) -> str:
    return ", ".join(f"{name}={_cell(text)}" for name, text in row.items())


def _cell(text: str | None) -> str:
    """Return a value as it is told apart from its neighbours: quoted where that is needed, and not too long."""
    if text is None:
        return "NULL"
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    clear = text.isprintable() and not _UNCLEAR.search(text) and text not in ("", "NULL")
    return text if clear else visible(json.dumps(text, ensure_ascii=False))


def visible(text: str) -> str:
    r"""Return a text whose characters can all be seen, but for line breaks: none tells a terminal what to do.

    >>> print(visible("red \x1b[31m"))
    red \x1b[31m
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def _unit_lines(unit: Unit, sql: bool) -> Iterator[str]:
    transaction = _TRANSACTIONS[unit.chunks]
    transaction += ", repeatable read" if unit.isolation == "repeatable read" else ""
    if not (unit.chunks or unit.publishes):
        transaction = "own transaction"
    if unit.chunks and unit.workers != 1:
        transaction += f", {unit.workers or 'several'} at a time"
    when = ", whatever happened before" if unit.always else ""
    yield f"  {unit.name:<8} {transaction}{when}"
    if not sql:
        yield from (_flat(f"    - {step.title}") for step in unit.of_run if not _is_last(step))
        return
    for step in unit.of_run:
        last = " (only in the last attempt, when other writers were in the way)" if _is_last(step) else ""
        yield _flat(f"    -- {step.title}{_under(step)}{last}")
        if step.sql:
            yield f"    {step.sql}{' …' if isinstance(step, InsertRows) else ''};"


def _flat(line: str) -> str:
    """Return a line without the line breaks that names may hold: what follows would not be a comment in SQL."""
    return " ".join(line.splitlines())


def _under(step: object) -> str:
    """Say under which settings of its own a statement is carried out."""
    settings = step.settings if isinstance(step, RunSql) else ()
    return f", under {', '.join(f'{name} = {value}' for name, value in settings)}" if settings else ""


def _is_last(step: object) -> bool:
    return bool(getattr(step, "last_resort", False))


def quantity(number: int) -> str:
    """Return a number as people read it.

    >>> quantity(999), quantity(2_400_000), quantity(12_000)
    ('999', '2.4M', '12k')
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            text = f"{number / size:.1f}".removesuffix(".0")
            return f"{text}{letter}"
    return str(number)


def document(plan: Plan) -> dict[str, object]:
    """Return a plan as JSON values (docs/spec.md §6); the counters are null where nothing was counted."""
    preview = plan.preview
    counts = dict.fromkeys(COUNTERS) if preview is None else {n: getattr(preview.counts, n) for n in COUNTERS}
    error = preview.error if preview is not None else None
    return {
        "name": plan.name,
        "mode": plan.mode,
        "strategy": plan.strategy,
        "source": plan.source,
        "target": plan.target,
        "connection": plan.connection,
        "after": [{"name": wait.name, "reason": wait.reason} for wait in plan.after],
        "cost": plan.cost,
        "estimated_rows": plan.rows,
        "reasons": list(plan.reasons),
        "refused": [{"strategy": item.strategy, "reason": item.reason} for item in plan.refused],
        "alternatives": [{"strategy": item.strategy, "cost": item.cost} for item in plan.alternatives],
        "checks": list(plan.checks),
        "warnings": list(plan.warnings),
        "steps": [
            {"unit": unit.name, "isolation": unit.isolation, "title": step.title, "sql": step.sql}
            for unit in plan.units
            for step in unit.of_run
        ],
        **counts,
        "samples": [_sample(sample) for sample in preview.samples] if preview is not None else None,
        "bad_rows": [sample.document() for sample in preview.bad_rows] if preview is not None else None,
        "unchecked": list(preview.unchecked) if preview is not None else None,
        "error": error.document() if error is not None else None,
    }


def _sample(sample: SampleRow) -> dict[str, object]:
    return {"op": sample.op, "key": sample.key, "old": sample.old, "new": sample.new}
