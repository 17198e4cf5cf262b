"""insert: every row is new; a key that is there already is the database's error, and nothing is loaded."""

from __future__ import annotations

from syncengine.model.plan import Classify, RunSql, Step
from syncengine.model.task import Task
from syncengine.sql import staging, statements, steps


class Insert:
    name = "insert"
    needs_keys = False
    needs_arbiter = False
    privileges = ("INSERT",)

    def publish(self, task: Task) -> tuple[Step, ...]:
        count = steps.text(staging.count_staged(task.relation))
        insert = steps.text(statements.insert_all(task))
        return (
            *steps.collecting(task),
            Classify(title="count the rows", sql=count),
            RunSql(title="insert the rows", sql=insert, counts="inserted", own_path=True),
            *steps.returned(task),
        )


PLUGIN = Insert()
