"""update: existing rows are updated where the guard holds and something changes; new keys are skipped."""

from __future__ import annotations

from syncengine.model.steps import Step
from syncengine.model.task import Task
from syncengine.sql import publish


class Update:
    name = "update"
    needs_keys = True
    needs_arbiter = False
    locks = False
    resets = False
    versions = False
    privileges = ("SELECT", "UPDATE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        return (
            *publish.one_stored_row(task),
            *publish.collecting(task),
            *publish.classified(task, new="skipped"),
            *([publish.update_changed(task)] if task.assignments else ()),
            *publish.handed_out(task),
        )


PLUGIN = Update()
