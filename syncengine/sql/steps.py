"""Steps that bring the source into staging and leave one row a key there."""

from __future__ import annotations

from psycopg.sql import Composed

from syncengine.model.facts import Handover
from syncengine.model.plan import Unit
from syncengine.model.steps import Check, Claim, CopyIn, Counter, Hold, Part, Phase, Record, RunSql, Step
from syncengine.model.task import Joined, QualifiedName, Task
from syncengine.sql import claims, convert, keys, sifting, staging
from syncengine.sql import ledger as ledger_sql
from syncengine.values import replace

# Where a source is cut, unless `execution.chunk_rows` says so: what a transaction costs is little beside that.
CHUNK_BYTES = 4 * 1024 * 1024
CHUNK_ROWS = 100_000
# The same where a bad row may stand among them, for which a part of them is sent again.
SIFTED_ROWS = 20_000
ROUND_ON_PURPOSE = "mend the source or the column's type, or round on purpose by an expression"
NO_LEDGER = "the role may not use the engine's tables, in which chunks are noted"


def text(statement: Composed) -> str:
    """Return a composed statement as text; names are quoted without asking a server."""
    return statement.as_string()


def room_for_staging(task: Task) -> tuple[Unit, ...]:
    """Return the unit that makes the engine's schema, if it is not there."""
    if task.server.engine_schema_exists:
        return ()
    schema = task.spec.ledger_schema
    lock = RunSql(title="one at a time", sql=text(staging.lock_name(f"schema {schema}")))
    create = RunSql(title=f"create schema {schema}", sql=text(staging.create_engine_schema(schema)))
    return (Unit(name="prepare", steps=(lock, create)),)


def ledger(task: Task) -> tuple[Unit, ...]:
    """Return the unit that makes the ledger, or brings it to this version, if that is to be done."""
    found = task.server.ledger_version
    if not task.ledgered or found == ledger_sql.VERSION:
        return ()
    schema = task.spec.ledger_schema
    lock = RunSql(title="one at a time", sql=text(staging.lock_name(f"schema {schema}")))
    make = [RunSql(title=f"create schema {schema}", sql=text(staging.create_engine_schema(schema)))]
    make = [] if task.server.engine_schema_exists else make
    make += [RunSql(title=title, sql=text(sql)) for title, sql in ledger_sql.migrations(schema, found)]
    title = (
        f"another session may have made the ledger meanwhile: then the next {len(make)} steps are left out"
    )
    known = RunSql(title=title, sql=text(ledger_sql.is_there(schema)), spares=len(make))
    return (Unit(name="ledger", steps=(lock, known, *make)),)


def hold(task: Task) -> tuple[Step, ...]:
    """Return the step by which a transaction makes sure that the run is still this process's."""
    if not task.ledgered:
        return ()
    query = ledger_sql.hold(task.spec.ledger_schema, task.run, task.holder or task.run)
    return (Hold(title="hold the run: no other process writes for it", sql=text(query)),)


def hold_chunk(task: Task) -> tuple[Step, ...]:
    """Return the same for the transaction of a chunk, beside which those of other chunks may be open."""
    if not task.ledgered:
        return ()
    query = ledger_sql.hold_chunk(task.spec.ledger_schema, task.run, task.holder or task.run)
    return (Hold(title="hold the run: no other process writes for it", sql=text(query)),)


def finish(task: Task) -> Unit:
    """Return the unit that ends a run of which each chunk was committed by itself."""
    return Unit(name="finish", steps=hold(task), closing=record(task, "run"), publishes=True)


def record(task: Task, phase: Phase, parts: QualifiedName | None = None) -> tuple[Record, ...]:
    """Return the step that notes in the ledger what the transaction commits."""
    if not task.ledgered:
        return ()
    schema = task.spec.ledger_schema
    given: tuple[str, ...]
    if phase == "run":
        sql, given = ledger_sql.record(schema, task.run, task.holder or task.run), ledger_sql.COUNTERS
        title = "note in the ledger that the run is done"
    elif parts is not None:
        sql = ledger_sql.record_parts(schema, task.run, parts, staging.part_column(task))
        given = ledger_sql.PARTED
        title = "note the parts in the ledger"
    else:
        sql = ledger_sql.record_chunk(schema, task.run, phase)
        given = (*ledger_sql.COUNTERS, *ledger_sql.PLACE)
        title = "note the chunk in the ledger"
    return (Record(title=title, sql=text(sql), phase=phase, parameters=given),)


def claimed(task: Task, stage: QualifiedName) -> tuple[Step, ...]:
    """Return the step that keeps a source from being published twice, where that would count it twice."""
    known = task.server.ledger_version == ledger_sql.VERSION
    if not task.accumulates or (task.rehearsed and not known):
        return ()
    make = claims.is_new if task.rehearsed else claims.claim
    # A table that is only made now can't hold what was published.
    again = task.spec.again or not task.table.exists
    return (Claim(title="claim the source: it is published once", sql=text(make(task, stage)), again=again),)


def copied(task: Task, stage: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that make the staging table in the engine's schema and COPY the source into it."""
    copy = copy_in(task, stage, f"COPY {len(task.stage)} fields into staging")
    if task.tolerant:
        return sifting.copied(task, stage, cut(task, copy))
    create = RunSql(title=f"create {'.'.join(stage)}", sql=text(staging.create_stage(task, stage)))
    return create, copy


def cut(task: Task, copy: CopyIn) -> CopyIn:
    """Return the COPY so that chunks of the source commit one by one."""
    rows = task.spec.execution.chunk_rows
    if task.tolerant and Handover.CSV_BYTES not in copy.handover:
        return replace(copy, chunk_rows=rows or SIFTED_ROWS)
    if Handover.ROWS in copy.handover:
        return replace(copy, chunk_rows=rows or CHUNK_ROWS)
    return replace(copy, chunk_rows=rows, chunk_bytes=None if rows else CHUNK_BYTES)


def converted(task: Task, stage: QualifiedName, load: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that compute the loaded columns from the staged fields and from the tables of the lookups."""
    parts = tuple(
        Part(
            column=column.name,
            sql=text(convert.convert_one(task, column, stage, load)),
            location=task.spec.mark(f"/columns/{column.name}"),
        )
        for column in task.loaded
        if column.value is not None
    )
    sql = text(convert.convert(task, stage, load))
    checks = (check for joined in task.lookups for check in _resolved(task, joined, stage))
    if task.tolerant:
        sifted = sifting.without_unresolved(task, stage)
        return (*sifted, *checks, sifting.computed(task, stage, load, parts))
    return (*checks, RunSql(title="compute the columns", sql=sql, parts=parts))


def _resolved(task: Task, joined: Joined, stage: QualifiedName) -> tuple[Check, ...]:
    """Return the checks that a lookup finds one row for each natural key."""
    table = ".".join(joined.table)
    location = task.spec.mark(f"/lookups/{joined.column}")
    ambiguous = Check(
        title=f"{joined.column}: no natural key comes twice in {table}",
        sql=text(convert.check_ambiguous_lookup(joined, stage)),
        failure="unresolved-lookup",
        message=f"natural keys that several rows of {table} have",
        hint=f"match more columns, or make them unique in {table}",
        location=location,
    )
    if joined.missing == "null":
        return (ambiguous,)
    unresolved = Check(
        title=f"{joined.column}: each natural key is found in {table}",
        sql=text(convert.check_unresolved(joined, stage)),
        failure="unresolved-lookup",
        message=f"natural keys that no row of {table} has",
        hint=f"add them to {table} first, or let the column be NULL: `missing: null`",
        location=location,
        fields=joined.fields if task.source.reopenable else (),
    )
    return (ambiguous, unresolved)


def not_rounded(task: Task, stage: QualifiedName) -> tuple[Check, ...]:
    """Return the check that the source's values fit their columns' scale or precision as they are."""
    if not task.roundings or staging.refuses_rounded(task):
        return ()
    columns = ", ".join(f"{item.column} {item.type}" for item in task.roundings)
    return (
        Check(
            title=f"no value is rounded ({columns})",
            sql=text(convert.check_rounding(task.roundings, stage)),
            failure="rounded-values",
            message="rows with values that would be rounded",
            hint=ROUND_ON_PURPOSE,
            fields=tuple(item.field for item in task.roundings) if task.source.reopenable else (),
        ),
    )


def copy_in(task: Task, relation: QualifiedName, title: str, *, counts: Counter | None = None) -> CopyIn:
    """Return the step that copies the source into a relation; `counts` if that is the target itself."""
    columns = tuple(staged.column for staged in task.stage)
    csv = task.source.csv if Handover.CSV_BYTES in task.source.handovers else None
    arrow = Handover.ARROW in task.source.handovers
    handover = Handover.CSV_BYTES if csv else Handover.ARROW if arrow else Handover.ROWS
    names = [column.column for column in columns]
    sql = staging.copy_binary(relation, names) if arrow else staging.copy_in(relation, names, csv)
    drops = any(trigger.timing == "BEFORE" for trigger in task.table.triggers)
    return CopyIn(
        title=title,
        sql=text(sql),
        schema=relation[0],
        table=relation[1],
        columns=columns,
        handover=handover,
        csv=csv,
        counts=counts,
        own_path=counts is not None,
        may_drop_rows=counts is not None and drops,
    )


def one_row_a_key(task: Task) -> tuple[Step, ...]:
    """Return the steps after which staging holds each key once, and no NULL key that it must not hold.

    The index goes first: where it can be made it finds the NULL keys as well.
    """
    if not task.keys:
        return ()
    fields = _key_fields(task)
    look = _looking_for_duplicates(task, fields)
    title = (
        f"index the keys: it proves that each comes once, or the next {len(look)} steps look for duplicates"
    )
    index = RunSql(title=title, sql=text(keys.index_keys(task)), spares=len(look))
    null_keys = keys.check_null_keys(task)
    sifted = sifting.without_null_keys(task) if task.tolerant else ()
    index_and_look = (*sifted, index, *look)
    if null_keys is None:
        return index_and_look
    check = Check(
        title="no row without a key",
        sql=text(null_keys),
        failure="null-keys",
        message="rows whose conflict key is NULL, or that lie outside conflict_where",
        hint=_null_keys_hint(task),
        location=task.spec.mark("/conflict_keys"),
        fields=fields,
    )
    return (*index_and_look, check)


def _looking_for_duplicates(task: Task, fields: tuple[str, ...]) -> tuple[Step, ...]:
    named = ", ".join(part.text for part in task.keys)
    find = text(keys.find_repeated_keys(task))
    steps: list[Step] = [RunSql(title=f"find keys that come twice ({named})", sql=find)]
    if task.spec.duplicates.keep == "error":
        steps.append(
            Check(
                title="no key with two different rows",
                sql=text(keys.check_duplicate_keys(task)),
                failure="duplicate-keys",
                message="keys that come more than once in the source, with different rows",
                hint="mend the source, or say which row wins: `duplicates: last`",
                location=task.spec.mark("/conflict_keys"),
                fields=fields,
            )
        )
    delete = text(keys.delete_duplicates(task))
    return (*steps, RunSql(title="take duplicates out", sql=delete, counts="duplicates"))


def _null_keys_hint(task: Task) -> str:
    columns = [task.table.column(part.column) for part in task.keys if part.column is not None]
    never = [column.name for column in columns if column is not None and column.not_null]
    if never:
        return f"mend the source: {', '.join(never)} must not be NULL"
    return "mend the source, or say what to do with them: `null_keys: insert`"


def _key_fields(task: Task) -> tuple[str, ...]:
    """Return the fields of the key's columns, if each is a field as it was read and the source can be read again."""
    if not task.source.reopenable:
        return ()
    fields = {staged.column.column: staged.column.field for staged in task.stage}
    values = {column.name: column.value for column in task.loaded}
    as_read = {column.name: column.as_read or column.name for column in task.loaded}
    found = []
    for part in task.keys:
        value = values.get(part.column) if part.column is not None else None
        ref = value.columns[0] if value is not None and value.parts == value.columns else None
        name = ref.name if ref is not None else as_read.get(part.column or "") if value is None else None
        found.append(fields.get(name or ""))
    return tuple(field for field in found if field) if all(found) else ()
