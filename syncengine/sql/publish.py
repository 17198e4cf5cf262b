"""Steps from staging to the target that several modes take: classify, limit, apply, return."""

from __future__ import annotations

from psycopg.sql import Composed

from syncengine.model.steps import Check, CheckLimits, Classify, Counter, RunSql, Step, WriteFile
from syncengine.model.task import Task
from syncengine.sql import apply, changes, gone, outcome, returned, samples, staging
from syncengine.sql.steps import text

Settings = tuple[tuple[str, str], ...]

# Rows that are updated are sorted whole, by their keys, so that writers don't wait for one another in a circle.
SORTING: Settings = (("work_mem", "512MB"),)
# At this price the server goes along two indexes only where the rows of both sides lie in their order.
ALONG_INDEXES: Settings = (("random_page_cost", "2"),)
# Rows whose places are known are gone to one by one: that has to be done anyway.
BY_PLACE: Settings = (("enable_hashjoin", "off"), ("enable_mergejoin", "off"))


def classified(task: Task, *, new: changes.New) -> tuple[Step, ...]:
    """Return the steps that put every staged row into its class, and count and limit the classes."""
    return (
        *(_locked(task) if task.assignments and not task.locks else ()),
        classify(task, "classify: join with the target, keep what changes", new=new),
        *counted(task),
    )


def classify(task: Task, title: str, *, new: changes.New) -> RunSql:
    """Return the step that puts every staged row into its class."""
    settings = _unstated(task, ALONG_INDEXES) if changes.in_key_order(task) else ()
    return keep(title, changes.classify(task, new=new), settings)


def keep(title: str, statement: Composed, settings: Settings = ()) -> RunSql:
    """Return the step of a statement that fills the engine's own tables."""
    return RunSql(title=title, sql=text(statement), settings=settings)


def mark_gone(task: Task, title: str, only: Composed | None = None) -> tuple[Step, ...]:
    """Return the steps that add the stored rows to delete to the changes."""
    return (
        keep(f"find {title}", gone.find(task, only)),
        keep("add them to the changes", gone.mark(task)),
    )


def counted(task: Task) -> tuple[Step, ...]:
    """Return the steps that count the classes and stop where a limit is broken."""
    # With the classes' shares the server sees whether few or most rows are updated, and joins accordingly.
    columns = [*(part.column for part in task.keys if part.column is not None), changes.op_column(task)]
    analyze = text(staging.analyze(changes.CHANGES, columns))
    return (
        RunSql(title="analyze the changes", sql=analyze),
        Classify(title="count the classes", sql=text(changes.count_classes(task))),
        *samples.of_changes(task, deletes=task.locks),
        *foreseen(task),
        *limited(task),
    )


def foreseen(task: Task) -> tuple[Step, ...]:
    """Return the step of a rehearsal that makes what checks look at: the target as it would be."""
    if not (task.rehearsed and task.spec.checks):
        return ()
    return (keep("the target as it would be", outcome.create_view(task)),)


def limited(task: Task) -> tuple[Step, ...]:
    """Return the step that stops where a limit is broken, if the spec or its mode has one."""
    limits = task.spec.limits
    known = {
        "min_rows": limits.min_rows,
        "max_deletes": limits.max_deletes,
        "max_updates": limits.max_updates,
        "max_inserts": limits.max_inserts,
    }
    said = [f"{name} {limit}" for name, limit in known.items() if limit is not None]
    if not said:
        return ()
    count = text(changes.count_target(task)) if limits.shares else ""
    location = task.spec.mark("/limits" if "/limits" in task.spec.marks else "/mode")
    return (CheckLimits(title=f"limits: {', '.join(said)}", sql=count, limits=limits, location=location),)


def applied(task: Task, *, deletes: bool = False) -> tuple[Step, ...]:
    """Return the steps that write the classes to the target.

    What is deleted goes first, for new rows may take its place in another unique index; where rows of the table refer
    to one another, new ones go first and deletes last.
    """
    writes: list[Step] = [
        *([delete_gone(task)] if deletes else ()),
        *([update_changed(task)] if task.assignments or task.soft is not None else ()),
        insert_new(task),
    ]
    if task.table.refers_to_itself:
        writes.reverse()
    return (*(_no_cascade(task) if deletes else ()), *writes)


def update_changed(task: Task) -> RunSql:
    found = changes.updates_by_place(task) and not task.table.triggers
    settings = (*SORTING, *(BY_PLACE if found else ()))
    return write(
        "update the rows that change", apply.update_changes(task), "updated", _unstated(task, settings)
    )


def insert_new(task: Task) -> RunSql:
    return write("insert the new rows", apply.insert_changes(task), "inserted")


def delete_gone(task: Task) -> RunSql:
    how = "delete" if task.soft is None else f"set {task.soft.column} of"
    # What a delete sets off elsewhere is to be joined as the server likes.
    alone = not (task.table.triggers or task.table.referenced_by)
    settings = _unstated(task, BY_PLACE if alone else ())
    return write(f"{how} the rows that are gone", apply.delete_changes(task), "deleted", settings)


def _unstated(task: Task, settings: Settings) -> Settings:
    """Return settings but for those that the spec states itself."""
    stated = {name.lower() for name, _ in task.spec.session}
    return tuple((name, value) for name, value in settings if name not in stated)


def write(title: str, statement: Composed, counts: Counter | None, settings: Settings = ()) -> RunSql:
    """Return the step of a statement that writes to the target, where it can fire triggers."""
    sql = text(statement)
    return RunSql(title=title, sql=sql, counts=counts, own_path=True, writes=True, settings=settings)


def _no_cascade(task: Task) -> tuple[Step, ...]:
    """Return the checks that no delete takes rows of other tables along."""
    if task.soft is not None or task.spec.delete.cascade:
        return ()
    pointer = "/delete" if "/delete" in task.spec.marks else "/mode"
    return tuple(
        Check(
            title=f"no delete cascades to {key.schema}.{key.table} ({key.name})",
            sql=text(gone.check_cascade(task, key)),
            failure="would-cascade",
            message=f"rows of {key.schema}.{key.table} that would be deleted with those they refer to ({key.name})",
            hint="say that this is meant: `delete: {cascade: true}`, or keep the rows: `delete: {soft: …}`",
            location=task.spec.mark(pointer),
        )
        for key in task.table.referenced_by
        if key.on_delete == "cascade"
    )


def one_stored_row(task: Task, only: Composed | None = None) -> tuple[Step, ...]:
    """Return the check that each key matches one stored row at most; a unique index makes it unnecessary."""
    if task.arbiter is not None:
        return ()
    return (
        Check(
            title="each key matches one stored row at most",
            sql=text(changes.check_ambiguous_keys(task, only)),
            failure="ambiguous-key",
            message="keys that match more than one stored row",
            hint="name the columns that identify a row in conflict_keys, or make a unique index over them",
            location=task.spec.mark("/conflict_keys"),
        ),
    )


def collecting(task: Task) -> tuple[Step, ...]:
    """Return the step that makes room for `returning`, if the spec asks for it."""
    if task.spec.returning is None:
        return ()
    return (keep("make room for the rows to return", returned.create_returned(task)),)


def handed_out(task: Task) -> tuple[Step, ...]:
    """Return the step that writes the file of `returning`, if the spec asks for it."""
    if task.spec.returning is None:
        return ()
    statement = text(returned.returned_rows(task))
    return (WriteFile(title="write the returned rows", sql=statement, returning=task.spec.returning),)


def _locked(task: Task) -> tuple[Step, ...]:
    lock = text(changes.lock_rows(task))
    return (RunSql(title="lock the stored rows in key order", sql=lock, last_resort=True),)


def created(task: Task) -> tuple[Step, ...]:
    """Return the steps that make a target which is missing."""
    if task.table.exists:
        return ()
    create = text(apply.create_target(task))
    lock = RunSql(title="one at a time", sql=text(staging.lock_name(f"table {task.table}")))
    return (lock, RunSql(title=f"create {task.table}", sql=create, own_path=True))


def opening(task: Task) -> tuple[RunSql, ...]:
    """Return the lock that keeps other writers off the target until the commit, if the mode wants it."""
    if not (task.locks and task.table.exists):
        return ()
    title = f"lock {task.table} in SHARE ROW EXCLUSIVE mode: nobody writes until the commit, reading goes on"
    return (RunSql(title=title, sql=text(changes.lock_table(task.target)), writes=True),)
