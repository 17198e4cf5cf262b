"""One spec with all names found: what the modes and strategies turn into statements."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from syncengine.model.facts import IndexFacts, ServerFacts, SourceFacts, TableFacts
from syncengine.model.spec import Expression, Spec
from syncengine.model.steps import StagedColumn

QualifiedName = tuple[str, str]


class Staged(Struct, frozen=True, kw_only=True):
    """One column of the staging table."""

    column: StagedColumn
    type: str
    collation: QualifiedName | None = None


class Rounding(Struct, frozen=True, kw_only=True):
    """A cast on a field's way into a column that may round; no value of the source may be changed by it.

    The staging column's value goes through `casts` in turn, and then into `type`.
    """

    column: str
    field: str
    staged: str
    casts: tuple[str, ...]
    type: str


class Loaded(Struct, frozen=True, kw_only=True):
    """One target column that the source loads; `field` is the source's where the column is that field as it was read.

    `value` is an expression over `source` (the staging table), None where the staging column has the same name
    and type.  `type` has its modifiers, `base_type` has none.  `stable`: the value depends on the run's time.
    `as_read` is the staging column that receives the field where the type's modifiers may round it; the column itself
    is generated from that.
    """

    name: str
    type: str
    base_type: str
    identity_equal: bool
    collation: QualifiedName | None = None
    field: str | None = None
    value: Expression | None = None
    stable: bool = False
    as_read: str | None = None


class Key(Struct, frozen=True, kw_only=True):
    """One part of the conflict target: a column, or an expression over unqualified columns.

    `equality` is the operator of the arbiter index, else of the type, `collation` the index's where it decides what is
    equal; until the arbiter is found, the one that the spec asks for.  `match_nulls`: NULLs meet each other here
    (`null_keys: match`).
    """

    text: str
    column: str | None
    expression: Expression | None
    equality: QualifiedName = ("pg_catalog", "=")
    collation: tuple[str, ...] | None = None
    match_nulls: bool = False


class Assignment(Struct, frozen=True, kw_only=True):
    """One column that an update sets; without an expression, to the incoming value.

    `compared`: it decides whether a row changes (docs/spec.md §11, rule 2).  `accumulates`: a second run with the same
    source would count it twice (rule 6).
    """

    column: str
    type: str
    base_type: str
    identity_equal: bool
    expression: Expression | None = None
    compared: bool = True
    accumulates: bool = False


class SoftDelete(Struct, frozen=True, kw_only=True):
    """The column that is set in place of deleting a row: to `value`, and back to `live` when its key returns.

    `stated`: the spec says what a live row holds, so that new rows get it as well.
    """

    column: str
    type: str
    base_type: str
    identity_equal: bool
    value: Expression
    live: Expression
    stated: bool = False


class Versions(Struct, frozen=True, kw_only=True):
    """The columns that hold a row's versions; `from_type` has its modifiers, for times are compared as they are stored.

    `since` is the time from which a version holds, over `excluded`; None: the run's.  `tracked` are the columns whose
    change makes a version.
    """

    valid_from: str
    from_type: str
    valid_to: str
    to_type: str
    current: str | None
    since: Expression | None
    tracked: tuple[Loaded, ...]


class MatchColumn(Struct, frozen=True, kw_only=True):
    """A column of a looked-up table, and what it must equal."""

    column: str
    base_type: str
    equality: QualifiedName
    value: Expression


class Joined(Struct, frozen=True, kw_only=True):
    """A table that a column's value is looked up in; `alias` stands for it beside `source`.

    `fields` are the source's fields that are compared, where each is compared as it was read.
    """

    column: str
    alias: str
    table: QualifiedName
    match: tuple[MatchColumn, ...]
    missing: str
    fields: tuple[str, ...] = ()


class Task(Struct, frozen=True, kw_only=True):
    """`relation` is what the mode reads: columns named as in the target, one row per source row.

    `stage` lists the staging columns; `converts` tells that they differ from the loaded columns, so that a second
    relation with the target's columns is made of them.  For a target that is to be created, `table` already holds
    the columns it will have; `infers` tells that their types are yet to be inferred from the staged source.
    `absent` is the column of `relation` that names the fields which a partial row lacks.  `locks`: no other writer
    gets to the target while the mode does its work, so that a row keeps its place.  `rehearsed`: nothing of it stays.
    `run` names the staging tables and the ledger's entry, `holder` is the process that has it, if not of the same name.
    `predicate` tells which rows meet conflicts: the arbiter's, which is `conflict_where` or wider; None for all.
    `tolerant`: staging numbers its rows as the source does, and those that can't be loaded are kept apart.
    `lacking` says which rights the role has not that a run needs, where it is only to be previewed.
    """

    spec: Spec
    source: SourceFacts
    table: TableFacts
    server: ServerFacts
    run: str
    stage: tuple[Staged, ...]
    loaded: tuple[Loaded, ...]
    lookups: tuple[Joined, ...] = ()
    absent: str | None = None
    keys: tuple[Key, ...] = ()
    roundings: tuple[Rounding, ...] = ()
    arbiter: IndexFacts | None = None
    predicate: Expression | None = None
    assignments: tuple[Assignment, ...] = ()
    null_keys: Literal["error", "quarantine", "insert", "match"] = "error"
    relation: QualifiedName = ("pg_temp", "stage")
    resets: tuple[Assignment, ...] = ()
    soft: SoftDelete | None = None
    versions: Versions | None = None
    locks: bool = False
    rehearsed: bool = False
    holder: str = ""
    staged_rows: int | None = None
    infers: bool = False
    lacking: tuple[str, ...] = ()
    tolerant: bool = False

    @property
    def target(self) -> QualifiedName:
        return self.table.schema, self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the loaded columns' names in order."""
        return tuple(column.name for column in self.loaded)

    @property
    def exact(self) -> bool:
        """Tell that no trigger can drop a row; partitions may have triggers of their own."""
        return self.table.relation == "table" and not any(t.timing == "BEFORE" for t in self.table.triggers)

    @property
    def accumulates(self) -> bool:
        """Tell that the same source must not be published twice."""
        return any(item.accumulates for item in self.assignments)

    @property
    def repeats(self) -> bool:
        """Tell whether rows that were published would be published once more by a second run."""
        return self.accumulates or self.spec.mode == "insert"

    @property
    def ledgered(self) -> bool:
        """Tell whether the run is entered in the ledger."""
        return self.server.ledger and not self.rehearsed

    @property
    def chunked(self) -> bool:
        """Tell whether chunks are published one by one."""
        return self.spec.execution.transaction == "chunk" and not self.rehearsed

    @property
    def converts(self) -> bool:
        return any(column.value is not None for column in self.loaded)

    @property
    def untyped(self) -> bool:
        """Tell whether the source is staged as text, for its types are inferred from that, or were."""
        return self.infers or self.staged_rows is not None

    @property
    def rows(self) -> int | None:
        return self.staged_rows if self.staged_rows is not None else self.source.rows
