"""How many chunks of a run may be under way at the same time, and what makes the result hang on their order."""

from __future__ import annotations

from syncengine.model.facts import Handover
from syncengine.model.task import Task
from syncengine.sql import staging

MOST_ROWS = 100_000


def into_staging(task: Task) -> str:
    """Return why the source is staged by one stream, or an empty text."""
    if not task.source.handovers & (Handover.CSV_BYTES | Handover.ARROW):
        return "the source hands over rows one by one"
    if staging.keeps_order(task):
        return "staged rows are numbered as they come"
    if (task.spec.execution.chunk_rows or 0) > MOST_ROWS:
        return f"chunks of more than {MOST_ROWS:,} rows are not read ahead, for they would fill the memory"
    return ""


def into_target(task: Task) -> str:
    """Return why chunks that write the target come one after the other, or an empty text."""
    if task.tolerant:
        return "bad rows are counted as they are met"
    if task.table.triggers or task.table.rules:
        return f"triggers of {task.table} fire" if task.table.triggers else f"{task.table} has rules"
    if task.table.refers_to_itself:
        return f"rows of {task.table} refer to one another"
    unloaded = [column for column in task.table.columns if column.name not in task.columns]
    counting = [column.name for column in unloaded if column.identity or "nextval(" in (column.default or "")]
    if counting:
        return f"the order of the rows numbers them ({', '.join(counting)})"
    if len([index for index in task.table.indexes if index.unique or index.exclusion]) > 1:
        return f"{task.table} has more than one unique index"
    return ""


def workers(task: Task, reason: str) -> int | None:
    """Return how many chunks are under way at most, None for as many as pay."""
    return 1 if reason else task.spec.execution.workers
