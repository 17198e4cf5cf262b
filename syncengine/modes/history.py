"""history: a change closes the current version and inserts a new one; a key that is gone is closed."""

from __future__ import annotations

from syncengine.model.steps import Check, Step
from syncengine.model.task import Task
from syncengine.sql import publish, steps, versions


class History:
    name = "history"
    needs_keys = True
    needs_arbiter = False
    locks = True
    resets = False
    versions = True
    privileges = ("SELECT", "INSERT", "UPDATE")

    def publish(self, task: Task) -> tuple[Step, ...]:
        current = versions.current(task)
        return (
            *publish.one_stored_row(task, current),
            *_every_version_begins(task),
            *publish.collecting(task),
            publish.keep("classify: join with the current versions", versions.classify(task)),
            *publish.mark_gone(task, "the current versions whose keys are gone", current),
            *publish.counted(task),
            publish.write("close the versions of keys that are gone", versions.close_gone(task), "deleted"),
            publish.write("close the versions that change", versions.close_changed(task), None),
            *_corrected(task),
            publish.write(
                "insert the versions of changed keys", versions.insert_versions(task, "update"), "updated"
            ),
            *_reopened(task),
            publish.write(
                "insert the versions of new keys", versions.insert_versions(task, "insert"), "inserted"
            ),
            *publish.handed_out(task),
        )


def _every_version_begins(task: Task) -> tuple[Step, ...]:
    if task.versions is None or task.versions.since is None:
        return ()
    return (
        Check(
            title="every version has a beginning",
            sql=steps.text(versions.check_begins(task)),
            failure="null-keys",
            message="rows without a time from which they hold (history.valid_from)",
            hint="mend the source, or give a time: `valid_from: {column: coalesce(excluded.…, now())}`",
            location=task.spec.mark("/history/valid_from"),
        ),
    )


def _corrected(task: Task) -> tuple[Step, ...]:
    """A version that begins when the stored one does takes its place: two of them would overlap."""
    if {part.column for part in task.keys} >= set(task.columns):
        return ()
    title = "write over versions that begin at the same time"
    return (publish.write(title, versions.correct(task), "updated"),)


def _reopened(task: Task) -> tuple[Step, ...]:
    """A key that returns at the time when it went: a second version of the same beginning can't be."""
    if not versions.looks_back(task):
        return ()
    title = "go on with versions that ended when they began"
    return (publish.write(title, versions.reopen(task), "inserted"),)


PLUGIN = History()
