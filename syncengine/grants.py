"""The rights that the specs of a call need, and which of them a role lacks: jobs -> Grants.  Reads, never writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from syncengine import catalog, registry
from syncengine.arbiter import quote_if_needed
from syncengine.errors import OptionError, SpecErrors, SyncError
from syncengine.job import Job
from syncengine.jobs import look_at_source
from syncengine.model.rights import Grant, Grants, Right
from syncengine.model.task import Task
from syncengine.prepare import SHOWN_RUN, resolved
from syncengine.resolve.rights import grant, needed, numbered
from syncengine.schedule import schedule
from syncengine.spec.grammar import relations
from syncengine.values import replace

if TYPE_CHECKING:
    from syncengine.targets import Target, Targets

_KINDS = ("database", "schema", "table", "sequence")
_ON_LEDGER = ("SELECT", "INSERT", "UPDATE", "DELETE")


class _Work(Struct, frozen=True, kw_only=True):
    """A spec as a role with all rights would carry it out, and where."""

    task: Task
    target: Target

    @property
    def name(self) -> str:
        return self.task.spec.name


def grants(jobs: Sequence[Job], targets: Targets, role: str | None, select: Sequence[str]) -> Grants:
    """Return what a role needs for the jobs that are selected, None: the connected one.  Raises SyncError."""
    works = _resolve_each(schedule(jobs, targets, select).jobs, targets)
    if not works:
        raise OptionError("there is no spec to look at", hint="name a file or folder that holds one")
    target = _only_database(works)
    name = catalog.role_named(target.connection, role)
    by_right: dict[Right, list[str]] = {}
    for work in works:
        for right in _needed(work, name):
            for single in _singly(right):
                names = by_right.setdefault(single, [])
                names += [work.name] if work.name not in names else []
    found = catalog.held(target.connection, name, by_right)
    had = dict(zip(by_right, found, strict=True))
    info = target.connection.info
    return Grants(
        role=name,
        database=info.dbname,
        place=target.name,
        grants=tuple(_joined(by_right, had, name, works[0].task.spec.ledger_schema)),
        notes=tuple(dict.fromkeys(note for work in works for note in _notes(work, name))),
    )


def _resolve_each(jobs: Sequence[Job], targets: Targets) -> list[_Work]:
    found: list[_Work] = []
    problems: list[SyncError] = []
    for job in jobs:
        try:
            _, facts = look_at_source(job, targets)
            target = targets.connect(job.spec, job.project)
            task, _ = resolved(job.spec, facts, target.connection, run=SHOWN_RUN, inferred={}, allowed=True)
            found.append(_Work(task=task, target=target))
        except SyncError as error:
            problems += error.each()
    if problems:
        raise SpecErrors(problems)
    return found


def _only_database(works: Sequence[_Work]) -> Target:
    """Return the database of all specs: a GRANT works in the one that it is run in.  Raises OptionError."""
    named = {work.target.url: work for work in works}
    if len(named) > 1:
        some = ", ".join(f"{work.name} ({work.target.name})" for work in named.values())
        raise OptionError(
            f"the specs go to {len(named)} databases, and a GRANT works in the one that it is run in: {some}",
            hint="ask for the specs of each database by itself, with --select",
        )
    return works[0].target


def _needed(work: _Work, role: str) -> Iterator[Right]:
    task, connection = work.task, work.target.connection
    yield from needed(task, registry.mode(task.spec.mode))
    if task.table.exists and "INSERT" in registry.mode(task.spec.mode).privileges:
        for schema, name in catalog.default_sequences(connection, task.target, numbered(task)):
            yield Right(privilege="USAGE", kind="sequence", schema=schema, name=name)
    named = [relation for check in task.spec.checks for relation in relations(check.sql)]
    for schema, name in catalog.existing(connection, named) if named else ():
        if schema not in ("pg_catalog", "information_schema"):
            yield Right(privilege="USAGE", kind="schema", name=schema)
            yield Right(privilege="SELECT", kind="table", schema=schema, name=name)
    if task.server.engine_schema_exists:
        ledger = task.spec.ledger_schema
        for name in catalog.tables_in(connection, ledger):
            for privilege in _ON_LEDGER:
                yield Right(privilege=privilege, kind="table", schema=ledger, name=name)


def _singly(right: Right) -> list[Right]:
    """Return a right to columns as one to each: some may be granted already, others not."""
    return [replace(right, columns=(column,)) for column in right.columns] or [right]


def _joined(
    by_right: dict[Right, list[str]], had: dict[Right, bool], role: str, ledger: str
) -> Iterator[Grant]:
    """Yield the statements, one for each privilege on each thing, with all its columns."""
    whole = {replace(right, columns=()) for right in by_right if not right.columns}
    columns: dict[tuple[Right, bool], list[str]] = {}
    specs: dict[tuple[Right, bool], list[str]] = {}
    for right in sorted(by_right, key=lambda right: _KINDS.index(right.kind)):
        plain = replace(right, columns=())
        if right.columns and plain in whole:
            by_right[plain] += [name for name in by_right[right] if name not in by_right[plain]]
            continue
        place = plain, had[right]
        columns.setdefault(place, []).extend(right.columns)
        names = specs.setdefault(place, [])
        names += [name for name in by_right[right] if name not in names]
    for (plain, held), names in columns.items():
        right = replace(plain, columns=tuple(names))
        instead = _instead(right, role, ledger)
        yield Grant(
            right=right,
            statement=grant(right, role),
            held=held,
            specs=tuple(specs[plain, held]),
            instead=instead,
        )


def _instead(right: Right, role: str, ledger: str) -> str | None:
    """Return what does as well as a right to make schemas, of which one only is to be made."""
    if (right.privilege, right.kind) != ("CREATE", "database"):
        return None
    return f"CREATE SCHEMA {quote_if_needed(ledger)} AUTHORIZATION {quote_if_needed(role)};"


def _notes(work: _Work, role: str) -> Iterator[str]:
    """Yield what no GRANT gives, or what can't be foreseen."""
    spec, table = work.task.spec, work.task.table
    if table.exists and catalog.is_secured(work.target.connection, role, work.task.target):
        bypass = f"ALTER ROLE {quote_if_needed(role)} BYPASSRLS;"
        yield f"row-level security of {table} applies to {role}: {bypass} or run as the table's owner"
    for trigger in table.triggers:
        yield f"trigger {trigger.name} of {table} runs with the rights of {role}, whatever it needs"
    if spec.before or spec.after:
        yield f"{spec.name}: the statements under before and after run with the rights of {role}"
