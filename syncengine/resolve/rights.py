"""Which rights a task needs: on its target, what it looks into, the database and the engine's schema.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from syncengine.arbiter import quote_if_needed
from syncengine.model.facts import ServerFacts, TableFacts
from syncengine.model.rights import Right
from syncengine.model.task import Joined, Task
from syncengine.protocols import Mode
from syncengine.values import replace

_ON_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE")
# The schema of a type that is not built in, as the catalog spells it.
_SCHEMA = re.compile(r'(?:"((?:[^"]|"")+)"|([^\s".(\[]+))\.')


def with_all_rights(table: TableFacts) -> TableFacts:
    """Return a table as a role sees it that may do everything there."""
    columns = tuple(replace(column, privileges=frozenset(_ON_TABLES)) for column in table.columns)
    return replace(
        table,
        columns=columns,
        privileges=frozenset((*_ON_TABLES, "CREATE")),
        schema_usage=True,
        row_security=False,
        referenced_by=tuple(replace(key, readable=True) for key in table.referenced_by),
    )


def with_all_rights_there(server: ServerFacts) -> ServerFacts:
    """Return a server as a role sees it that may do everything there."""
    return replace(server, engine_schema=True, temporary=True, read_only=False, in_recovery=False)


def grant(right: Right, role: str) -> str:
    """Return the statement that grants a right.

    >>> grant(Right(privilege="UPDATE", kind="table", schema="shop", name="Users", columns=("id", "v")), "loader")
    'GRANT UPDATE (id, v) ON shop."Users" TO loader;'
    """
    columns = f" ({', '.join(map(quote_if_needed, right.columns))})" if right.columns else ""
    kind = "" if right.kind == "table" else f"{right.kind.upper()} "
    name = ".".join(quote_if_needed(part) for part in (right.schema, right.name) if part is not None)
    return f"GRANT {right.privilege}{columns} ON {kind}{name} TO {quote_if_needed(role)};"


def needed(task: Task, mode: Mode) -> Iterator[Right]:
    """Yield all rights that a task needs, those that hooks, checks and triggers may need left out."""
    yield Right(privilege="CONNECT", kind="database", name=task.server.database)
    yield Right(privilege="TEMPORARY", kind="database", name=task.server.database)
    yield from of_engine(task)
    looked_into = [*(joined.table for joined in task.lookups), *cascaded(task, mode)]
    schemas = (task.table.schema, *(schema for schema, _ in looked_into), *_of_types(task))
    for schema in dict.fromkeys(schemas):
        yield Right(privilege="USAGE", kind="schema", name=schema)
    if not task.table.exists:
        yield Right(privilege="CREATE", kind="schema", name=task.table.schema)
    yield from on_target(task, mode)
    yield from (of_lookup(task, joined) for joined in task.lookups)
    for schema, name in cascaded(task, mode):
        yield Right(privilege="SELECT", kind="table", schema=schema, name=name)


def of_lookup(task: Task, joined: Joined) -> Right:
    """Return the right to read what a lookup reads."""
    schema, name = joined.table
    columns = dict.fromkeys((*_taken(task, joined), *(item.column for item in joined.match)))
    return Right(privilege="SELECT", kind="table", schema=schema, name=name, columns=tuple(columns))


def _taken(task: Task, joined: Joined) -> Iterator[str]:
    """Yield the columns that a lookup takes from its table."""
    for column in task.loaded:
        refs = column.value.columns if column.value is not None else ()
        yield from (ref.name for ref in refs if ref.relation == joined.alias)


def of_engine(task: Task) -> Iterator[Right]:
    """Yield the rights to make the engine's own tables."""
    schema = task.spec.ledger_schema
    if not task.server.engine_schema_exists:
        yield Right(privilege="CREATE", kind="database", name=task.server.database)
        return
    yield Right(privilege="USAGE", kind="schema", name=schema)
    yield Right(privilege="CREATE", kind="schema", name=schema)


def on_target(task: Task, mode: Mode) -> Iterator[Right]:
    """Yield the rights that a task needs on its target, if that exists."""
    if not task.table.exists:
        return
    columns = {
        "SELECT": _read(task, mode),
        "INSERT": [*task.columns, *_set_in_new_rows(task)],
        "UPDATE": [*(item.column for item in task.assignments), *_set_in_stored_rows(task)],
        "DELETE": [],
    }
    rights = [right for right in _ON_TABLES if right in mode.privileges]
    if task.soft is not None and "DELETE" in rights:
        rights.remove("DELETE")
    if "SELECT" not in rights and columns["SELECT"]:
        rights.insert(0, "SELECT")
    # LOCK TABLE takes a right to the whole table, be it this or that.
    lock = task.locks and "DELETE" not in rights
    whole = {"SELECT": _reads_places(task, mode), "UPDATE": lock, "DELETE": True}
    for right in rights:
        names = () if whole.get(right) else tuple(dict.fromkeys(columns[right]))
        if names or whole.get(right):
            schema, name = task.target
            yield Right(privilege=right, kind="table", schema=schema, name=name, columns=names)


def cascaded(task: Task, mode: Mode) -> Iterator[tuple[str, str]]:
    """Yield the tables that deletes may cascade to, which are looked into so that none does."""
    if task.spec.delete.cascade or task.soft is not None or "DELETE" not in mode.privileges:
        return
    for key in task.table.referenced_by:
        if key.on_delete == "cascade":
            yield key.schema, key.table


def numbered(task: Task) -> tuple[str, ...]:
    """Return the columns of the target that new rows get their defaults in."""
    loaded = () if task.absent is not None else task.columns
    return tuple(column.name for column in task.table.columns if column.name not in loaded)


def _of_types(task: Task) -> Iterator[str]:
    """Yield the schemas of the types, operators and collations that statements name."""
    texts = [text for column in task.loaded for text in (column.type, column.base_type)]
    texts += [staged.type for staged in task.stage]
    texts += [text for item in task.assignments for text in (item.type, item.base_type)]
    texts += [item.base_type for joined in task.lookups for item in joined.match]
    found = [schema for text in texts if (schema := _schema_of(text)) is not None]
    found += [key.equality[0] for key in task.keys]
    found += [item.equality[0] for joined in task.lookups for item in joined.match]
    named = [key.collation for key in task.keys if key.collation and len(key.collation) > 1]
    found += [collation[0] for collation in named]
    found += [column.collation[0] for column in task.loaded if column.collation]
    found += [staged.collation[0] for staged in task.stage if staged.collation]
    yield from (schema for schema in found if schema != "pg_catalog")


def _schema_of(type_name: str) -> str | None:
    """Return the schema that a type's name begins with.

    >>> _schema_of('"My Types".mood[]'), _schema_of("numeric(12,2)")
    ('My Types', None)
    """
    match = _SCHEMA.match(type_name)
    if match is None:
        return None
    return match[1].replace('""', '"') if match[1] is not None else match[2]


def _set_in_new_rows(task: Task) -> list[str]:
    """Return the columns that the mode sets by itself in rows that it inserts."""
    versions, soft = task.versions, task.soft
    columns = [soft.column] if soft is not None and soft.stated else []
    if versions is not None:
        columns += [versions.valid_from, *([versions.current] if versions.current else [])]
    return columns


def _set_in_stored_rows(task: Task) -> list[str]:
    versions, soft = task.versions, task.soft
    columns = [soft.column] if soft is not None else []
    if versions is not None:
        columns += [versions.valid_to, *([versions.current] if versions.current else [])]
    return columns


def reads_places(task: Task) -> bool:
    """Tell whether stored rows are found by their ctid, which a right to columns does not cover."""
    by_column = all(part.column is not None and not part.match_nulls for part in task.keys)
    return task.locks or task.predicate is not None or not by_column


def _reads_places(task: Task, mode: Mode) -> bool:
    return "SELECT" in mode.privileges and reads_places(task)


def _read(task: Task, mode: Mode) -> list[str]:
    """Return the columns that a run reads: returned ones, and where it compares, keys, compared and guarded ones."""
    refs = [*task.spec.returning.columns] if task.spec.returning else []
    if "SELECT" in mode.privileges:
        values = [item.expression for item in task.assignments] + [task.spec.where]
        refs += [ref.name for value in values if value for ref in value.columns if ref.relation == "target"]
        refs += [part.column for part in task.keys if part.column]
        refs += [item.column for item in task.assignments]
        refs += [] if any(item.compared for item in task.assignments) else task.columns
    # A share is one of the stored rows, and to count those takes the right to some column.
    refs += task.columns[:1] if task.spec.limits.shares else []
    columns = [column.name for column in task.table.columns]
    return [name for name in dict.fromkeys(refs) if name in columns]
