"""rows: multi-row INSERTs into a temporary table, then classify and apply, all in one transaction.

For small inputs: nothing to make or drop in the engine's schema, and no COPY to start.
"""

from __future__ import annotations

from syncengine.model.facts import Handover
from syncengine.model.plan import Fit, Misfit, Unit, Verdict
from syncengine.model.steps import InsertRows, RunSql, Step
from syncengine.model.task import QualifiedName, Task
from syncengine.protocols import Mode
from syncengine.sql import publish, staging, steps
from syncengine.values import replace

STAGE: QualifiedName = ("pg_temp", "stage")
LOAD: QualifiedName = ("pg_temp", "load")
MOST_ROWS = 100_000


class Rows:
    name = "rows"
    stages = True

    def judge(self, task: Task) -> Verdict:
        reason = _obstacle(task)
        if reason:
            return Misfit(strategy=self.name, reason=reason)
        assert task.rows is not None
        reasons = (f"{task.rows:,} rows, {len(task.loaded)} columns: few enough for multi-row statements",)
        return Fit(strategy=self.name, cost=6 * task.rows, reasons=reasons)

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]:
        relation = LOAD if task.converts else STAGE
        task = replace(task, relation=relation)
        columns = tuple(staged.column for staged in task.stage)
        create: list[Step] = [
            RunSql(title="create staging", sql=steps.text(staging.create_stage(task, STAGE)))
        ]
        if task.converts:
            load = steps.text(staging.create_load(task, LOAD))
            create.append(RunSql(title="create the typed staging table", sql=load))
        head = staging.insert_rows(STAGE, [column.column for column in columns])
        schema, table = STAGE
        send = InsertRows(
            title="send the rows", sql=steps.text(head), schema=schema, table=table, columns=columns
        )
        fill: list[Step] = [send, *steps.claimed(task, STAGE)]
        if task.converts:
            fill += steps.converted(task, STAGE, LOAD)
        fill += steps.not_rounded(task, STAGE)
        unit = Unit(
            name="publish",
            steps=(
                *steps.hold(task),
                *publish.created(task),
                *create,
                *fill,
                *steps.one_row_a_key(task),
                *mode.publish(task),
            ),
            opening=publish.opening(task),
            closing=steps.record(task, "run"),
            isolation="repeatable read",
            publishes=True,
            exact=task.exact,
        )
        return (unit,)


def _obstacle(task: Task) -> str:
    """Return why multi-row statements won't do, or an empty text."""
    if task.chunked:
        return "chunks are cut from staging (transaction: chunk)"
    if task.spec.quarantines:
        return "bad rows are kept apart, which takes numbered staging"
    if Handover.ROWS not in task.source.handovers:
        return "the source hands over no rows"
    if task.untyped:
        return "types are inferred from the whole source in staging"
    if not task.source.reopenable:
        return "the source can be read only once, and a conflict with another writer would ask for it again"
    if not task.server.temporary:
        return f"{task.server.role} may not make temporary tables: GRANT TEMPORARY ON DATABASE"
    if task.rows is None or not task.source.exact:
        return "the number of rows is not known to be small"
    if task.rows > MOST_ROWS:
        return f"{task.rows:,} rows are too many for multi-row statements"
    return ""


PLUGIN = Rows()
