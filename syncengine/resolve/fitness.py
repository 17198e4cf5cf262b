"""Whether a server and a table can take the rows at all, and which rights the role lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncengine.arbiter import quote_if_needed
from syncengine.errors import MissingPrivilege, SpecError, SyncError, TargetError
from syncengine.model.facts import ServerFacts, TableFacts
from syncengine.model.rights import Right
from syncengine.model.spec import Spec
from syncengine.model.task import Task
from syncengine.protocols import Mode
from syncengine.resolve.lookup import in_sql
from syncengine.resolve.rights import cascaded, grant, of_lookup, on_target, reads_places

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
    problems: list[SyncError] = []
    for right in on_target(task, mode):
        if right.privilege not in of:
            continue
        if not right.columns:
            held = right.privilege in task.table.privileges
            problems += [] if held else [_denied(task, right.privilege, [])]
            continue
        lacking = [name for name in right.columns if not _granted(task.table, name, right.privilege)]
        if lacking:
            problems.append(_denied(task, right.privilege, lacking))
    return [*problems, *(_cascades_unseen(task, mode) if "SELECT" in of else ())]


def _cascades_unseen(task: Task, mode: Mode) -> Iterable[SyncError]:
    """Yield a problem for each table that deletes may cascade to, and that the role can't look into."""
    looked_into, role = set(cascaded(task, mode)), task.server.role
    for key in task.table.referenced_by:
        if (key.schema, key.table) in looked_into and not key.readable:
            usage = Right(privilege="USAGE", kind="schema", name=key.schema)
            select = Right(privilege="SELECT", kind="table", schema=key.schema, name=key.table)
            yield MissingPrivilege(
                f"{role} may not read {key.schema}.{key.table}, whose rows a delete would take along",
                hint=f"{grant(usage, role)} {grant(select, role)}",
                location=task.spec.mark("/target"),
            )


def unseen_lookups(task: Task, looked_up: Iterable[TableFacts]) -> list[SyncError]:
    """Return a problem for each table that values are looked up in, and that the role may not read."""
    problems: list[SyncError] = []
    tables, role = {(table.schema, table.name): table for table in looked_up}, task.server.role
    for joined in task.lookups:
        table, select = tables[joined.table], of_lookup(task, joined)
        lacking = [] if table.schema_usage else [Right(privilege="USAGE", kind="schema", name=table.schema)]
        if not all(_granted(table, name, "SELECT") for name in select.columns):
            lacking.append(select)
        if lacking:
            problems.append(
                MissingPrivilege(
                    f"{role} may not read {table}, which {joined.column} is looked up in",
                    hint=" ".join(grant(right, role) for right in lacking),
                    location=task.spec.mark(f"/lookups/{joined.column}/table"),
                )
            )
    return problems


def unplaced(task: Task, mode: Mode) -> list[SyncError]:
    """Return the problem that a view has no place for each row, where rows must be found by theirs."""
    if task.table.relation != "view" or not (mode.needs_keys and reads_places(task)):
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


def untyped_chunks(task: Task) -> list[SyncError]:
    """Return the problem that types are inferred for a table which a resumed run would find with its own."""
    if not (task.infers and task.chunked):
        return []
    return [
        SpecError(
            "the types of the new table must be stated, where chunks are published one by one",
            hint="state them: `columns: {name: {type: …}}`, or make the table first",
            location=task.spec.mark("/execution/transaction"),
        )
    ]


def of_strangers(task: Task) -> list[SyncError]:
    """Return the problem that a stranger owns the engine's tables, whose triggers would have the role's rights."""
    stranger = task.server.ledger_stranger
    if stranger is None:
        return []
    schema = quote_if_needed(task.spec.ledger_schema)
    return [
        TargetError(
            f"schema {task.spec.ledger_schema}, or a table of the engine's in it, belongs to {stranger}",
            detail="what its owner puts there, such as triggers, would run with the rights of"
            f" {task.server.role}; it may belong to a superuser, to the database's owner, or to a role of its own",
            hint=f"see what is in it, then ALTER SCHEMA {schema} OWNER TO {quote_if_needed(task.server.role)};"
            " or name another schema: ledger_schema in syncengine.yaml",
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
