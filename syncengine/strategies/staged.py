"""staged: COPY into a staging table, then classify and apply in one transaction."""

from __future__ import annotations

from dataclasses import replace

from syncengine.model.facts import Handover
from syncengine.model.plan import Fit, Misfit, RunSql, Step, Unit, Verdict
from syncengine.model.task import QualifiedName, Task
from syncengine.protocols import Mode
from syncengine.sql import publish, sifting, staging, steps

# What two transactions more and a table to make and drop cost, in rows moved.
FIXED_COST = 2_000


class Staged:
    name = "staged"
    stages = True

    def judge(self, task: Task) -> Verdict:
        if not task.server.engine_schema and not task.server.temporary:
            schema, database = task.spec.ledger_schema, f"DATABASE {task.server.database}"
            where = f"SCHEMA {schema}" if task.server.engine_schema_exists else database
            reason = (
                f"{task.server.role} may make no tables in schema {schema} nor temporary ones:"
                f" GRANT CREATE ON {where}, or GRANT TEMPORARY ON {database}"
            )
            return Misfit(strategy=self.name, reason=reason)
        if task.spec.quarantines and not task.rehearsed and not task.server.engine_schema:
            schema, database = task.spec.ledger_schema, f"DATABASE {task.server.database}"
            where = f"SCHEMA {schema}" if task.server.engine_schema_exists else database
            reason = f"the quarantine is in schema {schema}, where {task.server.role} may make no tables"
            return Misfit(strategy=self.name, reason=f"{reason}: GRANT CREATE ON {where}")
        if (task.keys or task.locks) and not task.server.temporary:
            reason = f"{task.server.role} may not make temporary tables: GRANT TEMPORARY ON DATABASE"
            return Misfit(strategy=self.name, reason=reason)
        rows = task.rows if task.rows is not None else 1_000_000
        return Fit(strategy=self.name, cost=4 * rows + FIXED_COST, reasons=_reasons(task))

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]:
        stage, load = staging.relations(task)
        task = replace(task, relation=load)
        if staging.is_temporary(task):
            return (*steps.ledger(task), _whole(task, mode, stage, load))
        tidy = tuple(
            RunSql(title=f"drop {'.'.join(relation)}", sql=steps.text(staging.drop(relation)))
            for relation in dict.fromkeys((stage, load))
        )
        tidy += sifting.tidied(task)
        typed = _typed(task, stage, load)
        # What is looked up may be published in the same transaction, by another spec.
        early, late = ((), typed) if task.lookups else (typed, ())
        return (
            *(() if task.staged_rows is not None else steps.room_for_staging(task)),
            *steps.ledger(task),
            *sifting.room(task),
            Unit(
                name="stage",
                steps=(*_filled(task, stage, load), *early),
                repeatable=task.source.reopenable,
            ),
            Unit(
                name="publish",
                steps=(
                    *publish.created(task),
                    *steps.claimed(task, stage),
                    *late,
                    *steps.one_row_a_key(task),
                    *(sifting.kept(task) if task.tolerant else ()),
                    *mode.publish(task),
                ),
                opening=publish.opening(task),
                isolation="repeatable read",
                publishes=True,
                exact=task.exact,
                probe=sifting.probe(task, mode),
            ),
            Unit(name="tidy", steps=tidy, always=True),
        )


def _whole(task: Task, mode: Mode, stage: QualifiedName, load: QualifiedName) -> Unit:
    """Return everything in one transaction, on temporary tables, where no others may be made."""
    return Unit(
        name="publish",
        steps=(
            *publish.created(task),
            *_filled(task, stage, load),
            *steps.claimed(task, stage),
            *_typed(task, stage, load),
            *steps.one_row_a_key(task),
            *(sifting.kept(task) if task.tolerant else ()),
            *mode.publish(task),
        ),
        opening=publish.opening(task),
        isolation="repeatable read",
        publishes=True,
        repeatable=task.source.reopenable,
        exact=task.exact,
        probe=sifting.probe(task, mode),
    )


def _reasons(task: Task) -> tuple[str, ...]:
    rows = "an unknown number of rows" if task.rows is None else f"about {task.rows:,} rows"
    reasons = [f"{rows}, {len(task.loaded)} columns"]
    if Handover.CSV_BYTES in task.source.handovers:
        reasons.append("the source hands over CSV bytes")
    reasons += [_about_bad_rows(task)] if task.spec.quarantines else []
    return tuple(reasons)


def _about_bad_rows(task: Task) -> str:
    """Say what happens with bad rows."""
    where = f"{task.spec.ledger_schema}.quarantine"
    if task.tolerant:
        return f"bad rows go to {where}; each record is read by itself, as the source can't be read again for them"
    return f"bad rows go to {where}: once one is met, the source is read again record by record"


def _filled(task: Task, stage: QualifiedName, load: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that bring the source into staging and make room for computed columns."""
    copied = steps.copied(task, stage) if task.staged_rows is None else ()
    if not task.converts:
        return copied
    create = steps.text(staging.create_load(task, load))
    aside = sifting.with_keys_aside(task) if task.tolerant else ()
    return (*copied, RunSql(title="create the typed staging table", sql=create), *aside)


def _typed(task: Task, stage: QualifiedName, load: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that fill the relation which the mode reads."""
    converted = steps.converted(task, stage, load) if task.converts else ()
    keys = [part.column for part in task.keys if part.column is not None]
    analyze = RunSql(title="analyze the staged keys", sql=steps.text(staging.analyze(load, keys)))
    if task.tolerant:
        return (*sifting.without_rounded(task, stage), *converted, *steps.not_rounded(task, stage), analyze)
    return (*converted, *steps.not_rounded(task, stage), analyze)


PLUGIN = Staged()
