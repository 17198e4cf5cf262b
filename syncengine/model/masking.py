"""Which names stand for values of a spec's `sensitive` columns, wherever such values could be shown."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.model.task import Key, Task


def hides(task: Task, key: Key) -> bool:
    """Tell whether a part of the key is a sensitive column or an expression over one."""
    refs = key.expression.columns if key.expression is not None else ()
    return not {key.column, *(ref.name for ref in refs)}.isdisjoint(task.spec.sensitive)


def masked_names(task: Task) -> tuple[str, ...]:
    """Return the columns of target, staging and looked-up tables, and the keys, whose values are not to be shown."""
    return tuple(sorted(set(_names(task)))) if task.spec.sensitive else ()


def _names(task: Task) -> Iterator[str]:
    sensitive = task.spec.sensitive
    yield from sensitive
    staged = {name for column in task.loaded if column.name in sensitive for name in _read(task, column.name)}
    for item in task.stage:
        if item.column.column in staged:
            yield from (item.column.column, item.column.field)
    yield from (key.text for key in task.keys if hides(task, key))
    for joined in task.lookups:
        for match in joined.match:
            if joined.column in sensitive or any(ref.name in staged for ref in match.value.columns):
                yield match.column


def _read(task: Task, name: str) -> Iterator[str]:
    """Return the staging columns that a loaded column is made of."""
    value = next(column.value for column in task.loaded if column.name == name)
    yield from (name,) if value is None else (ref.name for ref in value.columns)
    for joined in task.lookups:
        if joined.column == name:
            yield from (ref.name for match in joined.match for ref in match.value.columns)
