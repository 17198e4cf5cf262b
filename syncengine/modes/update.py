"""update: existing rows are updated where the guard holds and something changes; new keys are skipped."""

from __future__ import annotations

from syncengine.model.plan import Check, Step
from syncengine.model.task import Task
from syncengine.sql import statements, steps


class Update:
    name = "update"
    needs_keys = True
    needs_arbiter = False
    privileges = ("SELECT", "UPDATE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        updates = bool(task.assignments)
        return (
            *_one_stored_row(task),
            *steps.collecting(task),
            *steps.classified(task, new="skipped", update=updates),
            *(steps.update_changed(task) if updates else ()),
            *steps.returned(task),
        )


def _one_stored_row(task: Task) -> tuple[Step, ...]:
    """Without a unique index, a key may match several stored rows; that is an error."""
    if task.arbiter is not None:
        return ()
    return (
        Check(
            title="each key matches one stored row at most",
            sql=steps.text(statements.check_ambiguous_keys(task)),
            failure="ambiguous-key",
            message="keys that match more than one stored row",
            hint="name the columns that identify a row in conflict_keys, or make a unique index over them",
            location=task.spec.mark("/conflict_keys"),
        ),
    )


PLUGIN = Update()
