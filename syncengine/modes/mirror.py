"""mirror: as upsert, and rows whose keys are gone from the source are deleted, or softly so."""

from __future__ import annotations

from syncengine.model.steps import Step
from syncengine.model.task import Task
from syncengine.sql import publish


class Mirror:
    name = "mirror"
    needs_keys = True
    needs_arbiter = True
    locks = True
    resets = False
    versions = False
    privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        return (
            *publish.collecting(task),
            publish.classify(task, "classify: join with the target", new="insert"),
            *publish.mark_gone(task, "the stored rows that are gone"),
            *publish.counted(task),
            *publish.applied(task, deletes=True),
            *publish.handed_out(task),
        )


PLUGIN = Mirror()
