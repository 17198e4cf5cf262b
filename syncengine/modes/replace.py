"""replace: the table ends with exactly the source's rows, and stays the same table: only differences are written."""

from __future__ import annotations

from syncengine.model.steps import Step
from syncengine.model.task import Task
from syncengine.sql import contents, publish


class Replace:
    name = "replace"
    needs_keys = False
    needs_arbiter = False
    locks = True
    resets = True
    versions = False
    privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        return (
            *(publish.one_stored_row(task) if task.keys else ()),
            *publish.collecting(task),
            *(_by_key(task) if task.keys else _by_contents(task)),
            *publish.counted(task),
            *publish.applied(task, deletes=True),
            *publish.handed_out(task),
        )


def _by_key(task: Task) -> tuple[Step, ...]:
    return (
        publish.classify(task, "classify: join with the target", new="insert"),
        *publish.mark_gone(task, "the stored rows that are gone"),
    )


def _by_contents(task: Task) -> tuple[Step, ...]:
    title = "compare staging and target as multisets of rows; without TRUNCATE, so that reading goes on"
    return (publish.keep(title, contents.compare(task)),)


PLUGIN = Replace()
