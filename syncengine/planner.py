"""Task + strategies -> Plan: judge, choose, explain.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncengine.errors import NoStrategyFits
from syncengine.lossy import lossy_casts
from syncengine.model.masking import masked_names
from syncengine.model.plan import Fit, Misfit, Plan, Unit, Verdict
from syncengine.model.spec import Spec
from syncengine.model.steps import CheckResult, RunSql, Step
from syncengine.model.task import Task
from syncengine.protocols import Mode, Strategy
from syncengine.sql import steps, streams
from syncengine.values import replace

# What the join of the classification may use of the server's memory, a hash table at a time.
WORK_MEM = "128MB"
# ANALYZE of staging samples 300 rows for each of these: enough to tell how many rows and keys there are.
SAMPLE = "20"
# docs/spec.md §2, `session`.  The texts of rows are read and written by these, so no setting of the database or the
# role may change them; the last two are for speed alone.
DEFAULT_SESSION = (
    ("TimeZone", "UTC"),
    # ISO alone would leave the order of day and month to the database.
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("xmloption", "content"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("work_mem", WORK_MEM),
    # Most rows that are classified go no further, which the server can't know: at its own price for handing rows from
    # one process to another it would not share the work.
    ("parallel_tuple_cost", "0.01"),
    # At the server's own price for looking a key up, which is that of a disk with arms, it reads the whole target where
    # a hundredth of its rows may change (docs/benchmarks.md).
    ("random_page_cost", "1.1"),
    ("default_statistics_target", SAMPLE),
)


def choose(task: Task, strategies: Sequence[Strategy]) -> tuple[Fit, tuple[Verdict, ...]]:
    """Return the cheapest fit, or the one that `execution.method` asks for, and every verdict."""
    verdicts = tuple(strategy.judge(task) for strategy in strategies)
    method = task.spec.execution.method
    fits = [verdict for verdict in verdicts if isinstance(verdict, Fit)]
    if method != "auto":
        fits = [verdict for verdict in fits if verdict.strategy == method]
    if not fits:
        raise _nothing_fits(task, method, verdicts)
    return min(fits, key=lambda fit: (fit.cost, fit.strategy)), verdicts


def _nothing_fits(task: Task, method: str, verdicts: Sequence[Verdict]) -> NoStrategyFits:
    refused = [verdict for verdict in verdicts if isinstance(verdict, Misfit)]
    if method != "auto":
        refused = [verdict for verdict in refused if verdict.strategy == method]
        return NoStrategyFits(
            f"strategy {method} can't do it: {refused[0].reason}",
            hint="leave `execution.method` out, and the planner picks one that can",
            location=task.spec.mark("/execution/method"),
        )
    detail = "; ".join(f"{verdict.strategy}: {verdict.reason}" for verdict in refused)
    return NoStrategyFits("no strategy can do it", detail=detail, location=task.spec.mark("/target"))


def plan(task: Task, mode: Mode, strategies: Sequence[Strategy], *, connection: str) -> Plan:
    """Return all that will be done, and why."""
    fit, verdicts = choose(task, strategies)
    strategy = next(strategy for strategy in strategies if strategy.name == fit.strategy)
    units = (*steps.ledger(task), *(_with_hooks(unit, task) for unit in strategy.units(task, mode)))
    others = (v for v in verdicts if isinstance(v, Fit) and v.strategy != fit.strategy)
    return Plan(
        name=task.spec.name,
        mode=task.spec.mode,
        strategy=fit.strategy,
        source=task.source.label,
        target=str(task.table),
        connection=connection,
        cost=fit.cost,
        reasons=(*_arbiter(task), *fit.reasons, *task.source.notes),
        refused=tuple(verdict for verdict in verdicts if isinstance(verdict, Misfit)),
        alternatives=tuple(others),
        checks=tuple(_checks(task)),
        warnings=(*_warnings(task), *_one_stream(task, units), *lossy_casts(task)),
        units=units,
        search_path=task.server.search_path,
        settings=_settings(task),
        retries=task.spec.execution.retries,
        rows=task.source.rows,
        bytes=task.source.bytes,
        sensitive=masked_names(task),
        ledger=task.spec.ledger_schema if task.ledgered else None,
    )


def rehearsal(task: Task, mode: Mode, strategies: Sequence[Strategy], *, connection: str) -> Plan:
    """Return the plan for a task that is rehearsed: the same, but by a strategy that classifies before it writes."""
    staging = [strategy for strategy in strategies if strategy.stages]
    execution = task.spec.execution
    if execution.method not in {strategy.name for strategy in staging}:
        execution = replace(execution, method="auto")
    spec = replace(task.spec, execution=execution)
    return plan(replace(task, spec=spec), mode, staging, connection=connection)


def _with_hooks(unit: Unit, task: Task) -> Unit:
    """Return a unit with the user's statements before and after its own, and the checks at its end."""
    if not unit.publishes:
        return unit
    spec = task.spec
    before = tuple(_hook("before", number, sql) for number, sql in enumerate(spec.before))
    after: list[Step] = [_hook("after", number, sql) for number, sql in enumerate(spec.after)]
    if spec.checks:
        names = ", ".join(check.name for check in spec.checks)
        places = tuple(spec.mark(f"/checks/{number}/sql") for number in range(len(spec.checks)))
        after.append(CheckResult(title=f"checks: {names}", checks=spec.checks, locations=places))
    return replace(unit, steps=(*before, *unit.steps, *after))


def _hook(key: str, number: int, sql: str) -> RunSql:
    return RunSql(
        title=f"{key}: statement {number + 1} of the spec", sql=sql, own_path=True, writes=True, hook=True
    )


def _arbiter(task: Task) -> tuple[str, ...]:
    if task.arbiter is None:
        return ()
    keys = ", ".join(key.text for key in task.keys)
    return (f"{keys} is covered by {task.arbiter.name}",)


def session(spec: Spec) -> tuple[tuple[str, str], ...]:
    """Return the settings that a spec states, and the engine's own for those that it does not."""
    given = {name.lower() for name, _ in spec.session}
    return (*((name, value) for name, value in DEFAULT_SESSION if name.lower() not in given), *spec.session)


def _settings(task: Task) -> tuple[tuple[str, str], ...]:
    """Return what is set for each transaction; nothing outlives it, so poolers may share the connection."""
    execution = task.spec.execution
    return (
        *session(task.spec),
        ("row_security", "off"),
        *((("client_connection_check_interval", "1s"),) if task.server.notices_dead_clients else ()),
        ("lock_timeout", execution.lock_timeout),
        ("statement_timeout", execution.statement_timeout or "0"),
    )


def _one_stream(task: Task, units: Sequence[Unit]) -> Iterator[str]:
    """Say why more workers would change nothing, if the spec asks for some."""
    wanted = task.spec.execution.workers or 1
    if wanted > 1 and all(unit.workers == 1 for unit in units):
        why = streams.into_staging(task) or streams.into_target(task) or "all of it is one transaction"
        yield f"execution.workers: {wanted} are allowed, one stream carries the rows: {why}"


def _checks(task: Task) -> Iterator[str]:
    """Yield what was verified at plan time, in words."""
    if not task.table.exists:
        yield f"{task.table} does not exist and will be created"
    else:
        columns = len(task.table.columns)
        yield f"{task.table} is a {task.table.kind_text} with {columns} column{'s' * (columns != 1)}"
    one = len(task.loaded) == 1
    yield f"{len(task.loaded)} column{' is' if one else 's are'} loaded: {', '.join(task.columns)}"
    if task.locks and task.table.exists:
        yield (
            f"{task.table} is locked in SHARE ROW EXCLUSIVE mode while it is published: reading goes on, writing waits,"
            " so that no row comes in that is then missed"
        )
    if task.arbiter is not None:
        yield f"conflicts are arbitrated by {task.arbiter}"
    for index in task.table.indexes:
        if task.arbiter is not None and index.name != task.arbiter.name and index.unique:
            yield f"{index} may refuse a row as well"
    if not task.lacking:
        yield f"{task.server.role} has the rights it needs"


def _warnings(task: Task) -> Iterator[str]:
    if task.table.inherited:
        yield f"tables inherit from {task.table}: their rows are left alone, as its indexes do not cover them"
    yield from (f"the run would be refused: {reason}" for reason in task.lacking)
    for trigger in task.table.triggers:
        events = {"INSERT", "UPDATE"} & set(trigger.events)
        if trigger.timing == "BEFORE" and trigger.row and events:
            yield (
                f"trigger {trigger.name} runs before {' and '.join(sorted(events))}: it may change rows, which then"
                " differ again in the next run; a row it drops counts as skipped"
            )
    deletes = task.soft is None and task.locks and task.versions is None
    for key in task.table.referenced_by if deletes else ():
        if key.on_delete in ("set null", "set default"):
            other = f"{key.schema}.{key.table}"
            yield f"deleting a row changes rows of {other} that refer to it ({key.name}: {key.on_delete})"
        elif key.on_delete == "cascade" and task.spec.delete.cascade:
            yield f"deleting a row deletes rows of {key.schema}.{key.table} that refer to it ({key.name})"
    if not task.ledgered and not task.rehearsed:
        yield (
            f"{task.server.role} may not use the tables of schema {task.spec.ledger_schema}: the run leaves no record,"
            " is not resumed, and nothing keeps a second one from running at the same time"
        )
    if task.chunked and not task.source.reopenable and task.repeats:
        yield "the source can be read only once: a run that stops between two chunks can't be gone on with"
    if task.tolerant and not task.source.reopenable:
        yield (
            "the source can be read only once: to keep bad rows apart each record is read by itself and kept until the"
            " end, which takes several times as long"
        )
    if task.spec.before or task.spec.after:
        yield "the statements under before and after are not part of a preview: what they change is not counted"
    if task.spec.mode in ("upsert", "ignore", "mirror"):
        set_by_mode = [task.soft.column] if task.soft is not None and task.soft.stated else []
        for name in task.table.unfilled([*task.columns, *set_by_mode]):
            yield f"column {name} is NOT NULL without a default and not loaded: a new key will fail"
    summed = [item.column for item in task.assignments if item.accumulates]
    if summed:
        yield (
            f"{', '.join(summed)} accumulate{'s' if len(summed) == 1 else ''}: a source with the same contents is"
            " published once, then it is nothing to do (--again does it all the same)"
        )
