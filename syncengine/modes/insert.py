"""insert: every row is new; a key that is there already is the database's error, and nothing is loaded."""

from __future__ import annotations

from syncengine.model.steps import Classify, Step
from syncengine.model.task import Task
from syncengine.sql import apply, publish, samples, staging, steps


class Insert:
    name = "insert"
    needs_keys = False
    needs_arbiter = False
    locks = False
    resets = False
    versions = False
    privileges = ("INSERT",)

    def publish(self, task: Task) -> tuple[Step, ...]:
        count = steps.text(staging.count_staged(task.relation))
        return (
            *publish.collecting(task),
            Classify(title="count the rows", sql=count),
            *samples.of_staged(task),
            *publish.foreseen(task),
            *publish.limited(task),
            publish.write("insert the rows", apply.insert_all(task), "inserted"),
            *publish.handed_out(task),
        )


PLUGIN = Insert()
