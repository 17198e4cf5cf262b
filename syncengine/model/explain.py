"""A plan in words and as a document; both hold no time, no host and no secret, so equal plans give equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncengine.model.plan import InsertRows
from syncengine.model.report import COUNTERS

if TYPE_CHECKING:
    from syncengine.model.plan import Plan, Unit

FORMAT = 1


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


def _unit_lines(unit: Unit, sql: bool) -> Iterator[str]:
    transaction = (
        "one transaction, repeatable read" if unit.isolation == "repeatable read" else "own transaction"
    )
    when = ", whatever happened before" if unit.always else ""
    yield f"  {unit.name:<8} {transaction}{when}"
    if not sql:
        yield from (_flat(f"    - {step.title}") for step in unit.steps if not _is_last(step))
        return
    for step in unit.steps:
        last = " (only in the last attempt, when other writers were in the way)" if _is_last(step) else ""
        yield _flat(f"    -- {step.title}{last}")
        yield f"    {step.sql}{' …' if isinstance(step, InsertRows) else ''};"


def _flat(line: str) -> str:
    """Return a line without the line breaks that names may hold: what follows would not be a comment in SQL."""
    return " ".join(line.splitlines())


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
    """Return a plan as JSON values (docs/spec.md §6); the counters are null, for nothing was counted."""
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
            for step in unit.steps
        ],
        **dict.fromkeys(COUNTERS),
        "error": None,
    }
