"""upsert: new keys are inserted, existing rows updated where the guard holds and something changes."""

from __future__ import annotations

from syncengine.model.steps import Step
from syncengine.model.task import Task
from syncengine.sql import publish


class Upsert:
    name = "upsert"
    needs_keys = True
    needs_arbiter = True
    locks = False
    resets = False
    versions = False
    privileges = ("SELECT", "INSERT", "UPDATE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        return (
            *publish.collecting(task),
            *publish.classified(task, new="insert"),
            *publish.applied(task),
            *publish.handed_out(task),
        )


PLUGIN = Upsert()
