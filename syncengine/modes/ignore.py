"""ignore: new keys are inserted, existing rows stay as they are."""

from __future__ import annotations

from syncengine.model.steps import Step
from syncengine.model.task import Task
from syncengine.sql import publish


class Ignore:
    name = "ignore"
    needs_keys = True
    needs_arbiter = True
    locks = False
    resets = False
    versions = False
    privileges = ("SELECT", "INSERT")

    def publish(self, task: Task) -> tuple[Step, ...]:
        return (
            *publish.collecting(task),
            *publish.classified(task, new="insert"),
            publish.insert_new(task),
            *publish.handed_out(task),
        )


PLUGIN = Ignore()
