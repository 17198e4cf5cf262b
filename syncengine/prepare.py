"""Gather the facts of a spec, resolve it and plan it: spec + connection -> Plan.  Reads, never writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from syncengine import catalog, planner, registry
from syncengine.arbiter import pick_inferred
from syncengine.errors import Location, SpecErrors
from syncengine.model.facts import ColumnFacts, IndexFacts, ServerFacts, SourceFacts, TableFacts
from syncengine.model.plan import Plan
from syncengine.model.spec import BadRows, Execution, Expression, Spec
from syncengine.model.task import Key, Task
from syncengine.protocols import Source, Whereabouts
from syncengine.resolve import in_order, operators, resolve
from syncengine.resolve.columns import undeclared
from syncengine.resolve.joins import taken_columns
from syncengine.resolve.operators import extension_types, qualify
from syncengine.resolve.rights import with_all_rights, with_all_rights_there
from syncengine.spec import expressions
from syncengine.spec.expressions import of_catalog, parse, with_operators
from syncengine.spec.grammar import redirected
from syncengine.sql import clauses, outcome, probes
from syncengine.tls import weakness
from syncengine.values import replace

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

# A plan that is only shown names its staging table so; a run puts its own id there.
SHOWN_RUN = "run"


class Prepared(Struct, frozen=True, kw_only=True):
    """A plan with what it takes to carry it out.  `untyped` are the columns of a target to be created whose types
    are yet to be inferred from the source; until then the plan takes them for text.
    """

    spec: Spec
    source: Source
    facts: SourceFacts
    task: Task
    plan: Plan
    untyped: tuple[str, ...] = ()

    def named(self, run: str, holder: str = "") -> Prepared:
        """Return the same for another run's staging tables and entry in the ledger, which `holder` has."""
        task = replace(self.task, run=run, holder=holder)
        fresh = planner.plan(
            task, registry.mode(self.spec.mode), registry.strategies(), connection=self.plan.connection
        )
        return replace(self, task=task, plan=replace(self.plan, units=fresh.units))

    def tolerant(self) -> Prepared:
        """Return the same for a run that numbers its rows, and keeps those apart that can't be loaded."""
        return replace(self, task=replace(self.task, tolerant=True)).named(self.task.run, self.task.holder)

    def searched(self, run: str) -> Prepared:
        """Return the same for another run that only looks for bad rows."""
        spec = replace(self.task.spec, bad_rows=BadRows(quarantine=True), execution=Execution())
        task = replace(self.task, spec=spec, tolerant=True, rehearsed=True)
        return replace(self, task=task).named(run)

    def rehearsal(self) -> Prepared:
        """Return the same as it is rehearsed; its checks look at what the target would hold."""
        mode, strategies = registry.mode(self.spec.mode), registry.strategies()
        checks = tuple(
            replace(check, sql=redirected(check.sql, self.task.target, outcome.OUTCOME))
            for check in self.task.spec.checks
        )
        task = replace(self.task, spec=replace(self.task.spec, checks=checks), rehearsed=True)
        plan = planner.rehearsal(task, mode, strategies, connection=self.plan.connection)
        return replace(self, task=task, plan=plan)


def open_source(spec: Spec) -> Source:
    """Return the source that a spec names."""
    where = Whereabouts(folder=spec.folder, roots=spec.roots, expected=expected_fields(spec))
    return registry.source(spec.source.type).open_source(spec.source, where)


def expected_fields(spec: Spec) -> tuple[str, ...]:
    """Return the fields that a spec names itself."""
    fields = [item.field or item.column for item in spec.columns if item.expression is None]
    return tuple(dict.fromkeys(fields))


def prepare(
    spec: Spec,
    source: Source,
    connection: psycopg.Connection[TupleRow],
    *,
    target: str,
    run: str = SHOWN_RUN,
    inferred: Mapping[str, str] | None = None,
    staged_rows: int | None = None,
    facts: SourceFacts | None = None,
    tolerant: bool = False,
) -> Prepared:
    """Plan a spec; raises SyncError with everything that stands against it.

    `inferred` and `staged_rows` speak of a source that is in the staging table already, as text; `facts` saves
    describing the source again.  A `tolerant` run keeps bad rows apart from the start, as one does whose source
    can't be read again for them.
    """
    task, declared = resolved(
        spec,
        facts or source.describe(),
        connection,
        run=run,
        inferred=inferred or {},
        staged_rows=staged_rows,
        tolerant=tolerant,
    )
    untyped = undeclared(task, declared)
    if not untyped:
        # Over columns whose types are yet to be inferred the server can't judge; it is asked once they are.
        _check_expressions(task, connection)
    mode = registry.mode(spec.mode)
    plan = planner.plan(task, mode, registry.strategies(), connection=target)
    if (warning := weakness(connection.pgconn)) is not None:
        plan = replace(plan, warnings=(*plan.warnings, warning))
    if untyped:
        note = f"the types of {', '.join(untyped)} are inferred from the whole source when it runs; shown as text"
        plan = replace(plan, warnings=(*plan.warnings, note))
    return Prepared(spec=spec, source=source, facts=task.source, task=task, plan=plan, untyped=untyped)


def resolved(
    spec: Spec,
    facts: SourceFacts,
    connection: psycopg.Connection[TupleRow],
    *,
    run: str,
    inferred: Mapping[str, str],
    staged_rows: int | None = None,
    allowed: bool = False,
    tolerant: bool = False,
) -> tuple[Task, Mapping[str, ColumnFacts]]:
    """Return the task of a spec, and the types of columns that it states or that were inferred.  Raises SpecErrors.

    `allowed`: for a role that had every right, whoever is connected.
    """
    table, server, looked_up = _found(spec, connection)
    if allowed:
        table, server = with_all_rights(table), with_all_rights_there(server)
        looked_up = {column: with_all_rights(other) for column, other in looked_up.items()}
    facts = _with_fields(facts, table, spec)
    declared = _declared(spec, connection, inferred)
    if not table.exists:
        declared |= taken_columns(spec.lookups, table, looked_up)
        declared = {**_by_nature(spec, facts, connection), **declared}

    mode = registry.mode(spec.mode)

    def infer_arbiter(keys: tuple[Key, ...]) -> IndexFacts | None:
        found = _inferred_arbiter(spec, table, keys, connection)
        # The server gives no answer to a role that may not insert.
        assumed = IndexFacts(name="", keys=tuple(key.text for key in keys))
        return found or (assumed if allowed and mode.needs_arbiter else None)

    task = resolve(
        spec,
        facts,
        table,
        server,
        mode=mode,
        run=run,
        declared=declared,
        unstable=_unstable(spec, connection),
        staged_rows=staged_rows,
        parse=parse_index,
        read_default=of_catalog,
        infer_arbiter=infer_arbiter,
        looked_up=looked_up,
    )
    # Chunks that are published can't be taken back once a bad row is met; a pipe can't be read again for one.
    once = spec.quarantines and (not facts.reopenable or spec.execution.transaction == "chunk")
    task = replace(task, tolerant=tolerant or once or spec.retries)
    task = qualify(task, catalog.operators(connection, extension_types(task.table)), with_operators)
    return operators.in_full(task, expressions.in_full), declared


def _found(
    spec: Spec, connection: psycopg.Connection[TupleRow]
) -> tuple[TableFacts, ServerFacts, dict[str, TableFacts]]:
    """Return the target, the server, and the tables that the spec looks up values in, by column."""
    table = catalog.table_facts(
        connection, spec.target.schema, spec.target.table, lock_timeout=spec.execution.lock_timeout
    )
    server = catalog.server_facts(connection, engine_schema=spec.ledger_schema)
    return table, server, _looked_up(spec, connection)


def _looked_up(spec: Spec, connection: psycopg.Connection[TupleRow]) -> dict[str, TableFacts]:
    """Return the tables of a spec's lookups, by column."""
    timeout = spec.execution.lock_timeout
    return {
        lookup.column: catalog.table_facts(
            connection, lookup.table.schema, lookup.table.table, lock_timeout=timeout
        )
        for lookup in spec.lookups
    }


def _with_fields(facts: SourceFacts, table: TableFacts, spec: Spec) -> SourceFacts:
    """Take a source without a row, which can't show its fields, for one with all that the table has and it may load."""
    if facts.fields or facts.rows != 0:
        return facts
    names = (c.name for c in table.columns if not c.generated and c.identity != "always")
    set_by_mode = {name.casefold() for name in _set_by_mode(spec)}
    return replace(facts, fields=tuple(name for name in names if name.casefold() not in set_by_mode))


def _set_by_mode(spec: Spec) -> Iterator[str]:
    """Yield the columns that the mode sets, which no source may load."""
    if spec.delete.soft is not None:
        yield spec.delete.soft.column
    if spec.mode == "history":
        yield spec.history.valid_to
        yield from () if spec.history.current is None else (spec.history.current,)
        yield from () if spec.history.since is not None else (spec.history.valid_from,)


def _declared(
    spec: Spec, connection: psycopg.Connection[TupleRow], inferred: Mapping[str, str]
) -> dict[str, ColumnFacts]:
    known = {name: clauses.built_in(text) for name, text in inferred.items()}
    texts = {**known, **{item.column: item.type for item in spec.columns if item.type is not None}}
    return catalog.types(connection, texts) if texts else {}


def _by_nature(
    spec: Spec, facts: SourceFacts, connection: psycopg.Connection[TupleRow]
) -> dict[str, ColumnFacts]:
    """Return the types of the columns of a target to be created that are fields of a typed source."""
    types = dict(zip(facts.fields, facts.types, strict=False))
    columns = {item.field or item.column: item.column for item in spec.columns if item.expression is None}
    return catalog.types(connection, {columns.get(name, name): text for name, text in types.items()})


def _unstable(spec: Spec, connection: psycopg.Connection[TupleRow]) -> frozenset[str]:
    """Return the functions that project files allow and that are not immutable."""
    values = [item.expression for item in spec.columns] + [
        item.expression for item in spec.update_columns if hasattr(item, "expression")
    ]
    names = sorted({name for value in values if value is not None for name in value.functions})
    if not names:
        return frozenset()
    found = catalog.function_volatility(connection, names)
    return frozenset(name for name, volatility in found.items() if volatility != "immutable")


def parse_index(text: str) -> Expression:
    """Parse the key of an index, as the server deparses it."""
    return parse(
        text, location=Location("the index's definition"), allowed=frozenset(), allow_functions=frozenset()
    )


def _inferred_arbiter(
    spec: Spec, table: TableFacts, keys: tuple[Key, ...], connection: psycopg.Connection[TupleRow]
) -> IndexFacts | None:
    """Ask the server which index it would take, for keys that only it can match."""
    if table.relation not in ("table", "partitioned", "view"):
        return None
    probe = probes.arbiter((table.schema, table.name), keys, spec.conflict_where)
    names = catalog.server_arbiter(connection, probe, lock_timeout=spec.execution.lock_timeout)
    if not names:
        return None
    if table.relation == "view":
        return IndexFacts(name=names[0], keys=tuple(key.text for key in keys))
    return pick_inferred(names, table.indexes)


def _check_expressions(task: Task, connection: psycopg.Connection[TupleRow]) -> None:
    found = [
        (value.location or task.spec.mark(pointer), value.text, statement)
        for pointer, value, statement in probes.of_task(task)
    ]
    problems = catalog.check_settings(
        connection,
        [(task.spec.mark(f"/session/{name}"), name, value) for name, value in task.spec.session],
    )
    settings = planner.session(task.spec) if not problems else ()
    problems += catalog.check_expressions(connection, found, settings=settings)
    if task.table.exists and not task.spec.before:
        # What `before` makes, a check may ask about.
        checks = [
            (task.spec.mark(f"/checks/{number}/sql"), item.sql, probes.check(item.sql))
            for number, item in enumerate(task.spec.checks)
        ]
        problems += catalog.check_expressions(connection, checks, settings=settings, as_role=True)
    if problems:
        raise SpecErrors(in_order(problems))
