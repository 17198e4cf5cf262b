"""Whether a server and a table can take the rows at all, and which rights the role lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncengine.arbiter import quote_if_needed
from syncengine.errors import MissingPrivilege, SyncError, TargetError
from syncengine.model.facts import ServerFacts, TableFacts
from syncengine.model.spec import Spec
from syncengine.model.task import Task
from syncengine.protocols import Mode
from syncengine.resolve.lookup import in_sql

# docs/spec.md §11, rule 15: a preview needs the first only.
READING = ("SELECT",)
WRITING = ("INSERT", "UPDATE", "DELETE")


def misfits(spec: Spec, table: TableFacts, server: ServerFacts, mode: Mode) -> list[SyncError]:
    """Return what makes a server or a table unfit whatever the columns are."""
    location = spec.mark("/target")
    if server.in_recovery or server.read_only:
        what = "is a hot standby" if server.in_recovery else "only allows reading"
        hint = "connect to the primary" if server.in_recovery else "SET default_transaction_read_only = off;"
        message = f"the server {what}, so {table} can't be written"
        return [TargetError(message, hint=hint, location=location)]
    if not table.schema_usage:
        hint = f"GRANT USAGE ON SCHEMA {quote_if_needed(table.schema)} TO {quote_if_needed(server.role)};"
        message = f"{server.role} may not look into schema {table.schema}"
        return [MissingPrivilege(message, hint=hint, location=location)]
    if not table.exists:
        return _obstacles_to_create(spec, table, server)
    found = [
        TargetError(message, hint=hint, location=location) for message, hint in _unfit(table, server, mode)
    ]
    return list(found)


def _obstacles_to_create(spec: Spec, table: TableFacts, server: ServerFacts) -> list[SyncError]:
    location = spec.mark("/target")
    schema = quote_if_needed(table.schema)
    if not table.schema_exists:
        message = f"schema {table.schema} does not exist"
        return [TargetError(message, hint=f"CREATE SCHEMA {schema};", location=location)]
    if not spec.target.create:
        return [_missing(spec, table)]
    if "CREATE" not in table.privileges:
        message = f"{server.role} may not create tables in schema {table.schema}"
        hint = f"GRANT CREATE ON SCHEMA {schema} TO {quote_if_needed(server.role)};"
        return [MissingPrivilege(message, hint=hint, location=location)]
    return []


def _missing(spec: Spec, table: TableFacts) -> TargetError:
    hint = f"create it, or let the first run do so: `target: {{table: {spec.target}, create: true}}`"
    return TargetError(f"table {table} does not exist", hint=hint, location=spec.mark("/target"))


def _unfit(table: TableFacts, server: ServerFacts, mode: Mode) -> Iterable[tuple[str, str | None]]:
    """Yield each obstacle with its remedy."""
    if table.relation == "other":
        article = "an" if table.kind_text[0] in "aeiou" else "a"
        yield f"{table} is {article} {table.kind_text}, which takes no rows", "name a table as target"
        return
    if table.rules:
        names = ", ".join(table.rules)
        yield (
            f"{table} has rewrite rules ({names}), which COPY passes by and which change what is written",
            (f"DROP RULE {quote_if_needed(table.rules[0])} ON {in_sql(table)}; a trigger can do the same"),
        )
    if table.row_security:
        yield (
            f"row-level security of {table} applies to {server.role}, which may not see every row it would change",
            (f"run as the table's owner, or ALTER ROLE {quote_if_needed(server.role)} BYPASSRLS;"),
        )
    instead = {
        event for trigger in table.triggers if trigger.timing == "INSTEAD OF" for event in trigger.events
    }
    if mode.locks and table.relation not in ("table", "partitioned"):
        message = f"{table} is a {table.kind_text}; mode `{mode.name}` locks its target, which takes a table"
        yield message, "sync its base table, or write `mode: upsert`"
        return
    if "INSERT" in mode.privileges and not (table.insertable or "INSERT" in instead):
        yield f"{table} is a {table.kind_text} that can't be inserted into", "sync its base table"
    if "UPDATE" in mode.privileges and not (table.updatable or "UPDATE" in instead):
        yield f"{table} is a {table.kind_text} that can't be updated", "sync its base table"


def missing_rights(task: Task, mode: Mode, of: Collection[str]) -> list[SyncError]:
    """Return one error with the GRANT for each right among `of` that the role lacks."""
    if not task.table.exists:
        return []
    needed = {
        "SELECT": _read(task, mode),
        "INSERT": [*task.columns, *_set_in_new_rows(task)],
        "UPDATE": [*(a.column for a in task.assignments), *_set_in_stored_rows(task)],
        "DELETE": (),
    }
    problems: list[SyncError] = []
    rights = [right for right in needed if right in mode.privileges]
    if task.spec.returning is not None and "SELECT" not in rights:
        rights.append("SELECT")
    if task.soft is not None and "DELETE" in rights:
        rights.remove("DELETE")
    for right in (right for right in rights if right in of):
        # LOCK TABLE takes a right to the whole table, be it this or that.
        lock = task.locks and "DELETE" not in rights
        whole = {"SELECT": _reads_places(task), "UPDATE": lock, "DELETE": True}
        if whole.get(right):
            problems += [] if right in task.table.privileges else [_denied(task, right, [])]
            continue
        lacking = [name for name in needed[right] if not _granted(task.table, name, right)]
        if lacking:
            problems.append(_denied(task, right, lacking))
    return [*problems, *(_cascades_unseen(task) if "DELETE" in rights else ())]


def _cascades_unseen(task: Task) -> Iterable[SyncError]:
    """Yield a problem for each table that deletes may cascade to, and that the role can't look into."""
    if task.spec.delete.cascade:
        return
    role = quote_if_needed(task.server.role)
    for key in task.table.referenced_by:
        if key.on_delete == "cascade" and not key.readable:
            schema, table = quote_if_needed(key.schema), quote_if_needed(key.table)
            yield MissingPrivilege(
                f"{task.server.role} may not read {key.schema}.{key.table}, whose rows a delete would take along",
                hint=f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {schema}.{table} TO {role};",
                location=task.spec.mark("/target"),
            )


def unplaced(task: Task, mode: Mode) -> list[SyncError]:
    """Return the problem that a view has no place for each row, where rows must be found by theirs."""
    if task.table.relation != "view" or not (mode.needs_keys and _reads_places(task)):
        return []
    message = f"{task.table} is a view, whose rows are found by plain key columns only"
    return [TargetError(message, hint="sync its base table", location=task.spec.mark("/target"))]


def one_version_only(task: Task) -> list[SyncError]:
    """Return the problem that an index takes a key once, where each of its versions is a row."""
    index = task.arbiter
    if task.versions is None or index is None or index.predicate is not None or not task.table.exists:
        return []
    return [
        TargetError(
            f"{task.table} can hold one version of a key only: {index} is unique",
            hint=f"make it unique over ({', '.join((*index.keys, task.versions.valid_from))})",
            location=task.spec.mark("/target"),
        )
    ]


def unremembered(task: Task) -> list[SyncError]:
    """Return the problem that it can't be kept in mind what was published, where that has to be."""
    schema, role = task.spec.ledger_schema, task.server.role
    if not task.accumulates or task.server.ledger:
        return []
    return [
        MissingPrivilege(
            f"{role} may make no tables in schema {schema}, where it is kept which sources were published",
            hint=f"GRANT CREATE ON DATABASE {quote_if_needed(task.server.database)} TO {quote_if_needed(role)};",
            location=task.spec.mark("/update_columns"),
        )
    ]


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


def _reads_places(task: Task) -> bool:
    """Tell whether stored rows are found by their ctid, which a right to columns does not cover."""
    by_column = all(part.column is not None and not part.match_nulls for part in task.keys)
    return task.locks or task.predicate is not None or not by_column


def _read(task: Task, mode: Mode) -> list[str]:
    """Return the columns that a run reads: returned ones, and where it compares, keys, compared and guarded ones."""
    refs = [*task.spec.returning.columns] if task.spec.returning else []
    if "SELECT" in mode.privileges:
        values = [item.expression for item in task.assignments] + [task.spec.where]
        refs += [ref.name for value in values if value for ref in value.columns if ref.relation == "target"]
        refs += [part.column for part in task.keys if part.column]
        refs += [item.column for item in task.assignments]
        refs += [] if any(item.compared for item in task.assignments) else task.columns
    columns = [column.name for column in task.table.columns]
    return [name for name in dict.fromkeys(refs) if name in columns]


def _granted(table: TableFacts, column: str, right: str) -> bool:
    facts = table.column(column)
    return right in table.privileges or (facts is not None and right in facts.privileges)


def _denied(task: Task, right: str, lacking: list[str]) -> MissingPrivilege:
    """Return the error for columns that lack a right, or for the whole table if none are named."""
    role, table = task.server.role, task.table
    names = ", ".join(quote_if_needed(name) for name in lacking)
    what = f"{right} ({names})" if 0 < len(lacking) < len(table.columns) else right
    return MissingPrivilege(
        f"{role} lacks the right to {right} on {table}",
        detail=f"columns: {', '.join(lacking)}" if lacking else None,
        hint=f"GRANT {what} ON {in_sql(table)} TO {quote_if_needed(role)};",
        location=task.spec.mark("/target"),
    )
