"""ignore: new keys are inserted, existing rows stay as they are."""

from __future__ import annotations

from syncengine.model.plan import Step
from syncengine.model.task import Task
from syncengine.sql import steps


class Ignore:
    name = "ignore"
    needs_keys = True
    needs_arbiter = True
    privileges = ("SELECT", "INSERT")

    def publish(self, task: Task) -> tuple[Step, ...]:
        return (
            *steps.collecting(task),
            *steps.classified(task, new="insert", update=False),
            *steps.insert_new(task),
            *steps.returned(task),
        )


PLUGIN = Ignore()
