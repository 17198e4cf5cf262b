"""upsert: new keys are inserted, existing rows updated where the guard holds and something changes."""

from __future__ import annotations

from syncengine.model.plan import Step
from syncengine.model.task import Task
from syncengine.sql import steps


class Upsert:
    name = "upsert"
    needs_keys = True
    needs_arbiter = True
    privileges = ("SELECT", "INSERT", "UPDATE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        updates = bool(task.assignments)
        return (
            *steps.collecting(task),
            *steps.classified(task, new="insert", update=updates),
            *(steps.update_changed(task) if updates else ()),
            *steps.insert_new(task),
            *steps.returned(task),
        )


PLUGIN = Upsert()
