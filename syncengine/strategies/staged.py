"""staged: COPY into a staging table, then classify and apply in one transaction."""

from __future__ import annotations

from dataclasses import replace

from syncengine.model.facts import Handover
from syncengine.model.plan import Fit, Misfit, RunSql, Step, Unit, Verdict
from syncengine.model.task import QualifiedName, Task
from syncengine.protocols import Mode
from syncengine.sql import names, publish, staging, steps

# What two transactions more and a table to make and drop cost, in rows moved.
FIXED_COST = 2_000


class Staged:
    name = "staged"

    def judge(self, task: Task) -> Verdict:
        if not task.server.engine_schema:
            schema = task.spec.ledger_schema
            reason = f"{task.server.role} may not make tables in schema {schema}: GRANT CREATE ON DATABASE or SCHEMA"
            return Misfit(strategy=self.name, reason=reason)
        if task.keys and not task.server.temporary:
            reason = f"{task.server.role} may not make temporary tables: GRANT TEMPORARY ON DATABASE"
            return Misfit(strategy=self.name, reason=reason)
        rows = task.rows if task.rows is not None else 1_000_000
        return Fit(strategy=self.name, cost=4 * rows + FIXED_COST, reasons=_reasons(task))

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]:
        schema = task.spec.ledger_schema
        stage = (schema, names.stage_name(task.run))
        load = (schema, f"{names.stage_name(task.run)}_load") if task.converts else stage
        task = replace(task, relation=load)
        tidy = tuple(
            RunSql(title=f"drop {'.'.join(relation)}", sql=steps.text(staging.drop(relation)))
            for relation in dict.fromkeys((stage, load))
        )
        return (
            *(() if task.staged_rows is not None else steps.room_for_staging(task)),
            Unit(name="stage", steps=_stage(task, stage, load), repeatable=task.source.reopenable),
            Unit(
                name="publish",
                steps=(*publish.created(task), *steps.one_row_a_key(task), *mode.publish(task)),
                opening=publish.opening(task),
                isolation="repeatable read",
                publishes=True,
                exact=task.exact,
            ),
            Unit(name="tidy", steps=tidy, always=True),
        )


def _reasons(task: Task) -> tuple[str, ...]:
    rows = "an unknown number of rows" if task.rows is None else f"about {task.rows:,} rows"
    reasons = [f"{rows}, {len(task.loaded)} columns"]
    if Handover.CSV_BYTES in task.source.handovers:
        reasons.append("the source hands over CSV bytes")
    return tuple(reasons)


def _stage(task: Task, stage: QualifiedName, load: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that bring the source into the relation that the mode reads."""
    result: list[Step] = []
    if task.staged_rows is None:
        result += steps.copied(task, stage)
    if task.converts:
        result.append(
            RunSql(title="create the typed staging table", sql=steps.text(staging.create_load(task, load)))
        )
        result.append(steps.converted(task, stage, load))
    result += steps.not_rounded(task, stage)
    keys = [part.column for part in task.keys if part.column is not None]
    result.append(RunSql(title="analyze the staged keys", sql=steps.text(staging.analyze(load, keys))))
    return tuple(result)


PLUGIN = Staged()
