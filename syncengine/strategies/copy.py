"""copy: COPY straight into the target, where no row can conflict."""

from __future__ import annotations

from syncengine.model.plan import Fit, Misfit, Unit, Verdict
from syncengine.model.task import Task
from syncengine.protocols import Mode
from syncengine.sql import publish, steps, streams
from syncengine.values import replace


class Copy:
    name = "copy"
    stages = False

    def judge(self, task: Task) -> Verdict:
        reason = _obstacle(task)
        if reason:
            return Misfit(strategy=self.name, reason=reason)
        rows = task.rows if task.rows is not None else 1_000_000
        return Fit(strategy=self.name, cost=2 * rows, reasons=("no row can conflict: mode is insert",))

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]:
        task = _straight(task)
        title = f"COPY {len(task.stage)} columns into {task.table}"
        copy = steps.copy_in(task, task.target, title, counts="inserted")
        created = publish.created(task)
        reopenable = task.source.reopenable
        if not task.chunked:
            whole = (*steps.hold(task), *created, copy, *publish.limited(task))
            done = steps.record(task, "run")
            return (Unit(name="publish", steps=whole, closing=done, publishes=True, repeatable=reopenable),)
        chunks = Unit(
            name="publish",
            steps=(*steps.hold_chunk(task), *created, steps.cut(task, copy)),
            closing=steps.record(task, "publish"),
            chunks="source",
            workers=streams.workers(task, streams.into_staging(task) or streams.into_target(task)),
            repeatable=reopenable,
        )
        return (chunks, steps.finish(task))


def _straight(task: Task) -> Task:
    """Return the task with its fields going to the columns themselves, and not to those that staging adds."""
    names = {column.as_read: column.name for column in task.loaded}
    stage = (
        replace(
            item,
            column=replace(item.column, column=names.get(item.column.column, item.column.column), rounded=""),
        )
        for item in task.stage
    )
    return replace(task, stage=tuple(stage))


def _obstacle(task: Task) -> str:
    """Return why COPY into the target won't do, or an empty text."""
    if task.spec.quarantines:
        return "bad rows are kept apart, which takes staging"
    if task.spec.mode != "insert":
        return f"straight COPY cannot resolve conflicts (mode is {task.spec.mode})"
    if task.untyped:
        return "types are inferred from the whole source in staging"
    if task.chunked and not task.ledgered:
        return steps.NO_LEDGER
    if task.chunked and publish.limited(task):
        return "limits must be known before the first chunk"
    if task.keys:
        return "duplicates of the conflict keys must be looked for in staging first"
    if task.spec.returning is not None:
        return "COPY returns no rows"
    if task.converts:
        return "columns are computed by expressions or read as another type"
    if intervals := [item for item in task.roundings if item.casts[-1].startswith("interval")]:
        return f"whether {intervals[0].type} rounds a value of {intervals[0].column} is seen in staging"
    task = _straight(task)
    if {staged.column.column for staged in task.stage} != set(task.columns):
        return "some fields are ignored"
    if task.table.relation not in ("table", "partitioned"):
        return f"{task.table} is a {task.table.kind_text}"
    return ""


PLUGIN = Copy()
