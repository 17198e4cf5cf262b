"""What a user declared: one spec, checked for shape, with the place of every value.

Nothing here knows a file, a server or a plug-in; names are as written, not yet found in any table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import ClassVar, Literal

from msgspec import Struct

from syncengine.errors import Location
from syncengine.redact import Redacted

ModeName = str
NullKeys = Literal["error", "quarantine", "insert", "match"]
RuleName = Literal["coalesce", "greatest", "least", "sum", "append", "jsonb_merge"]
Volatility = Literal["immutable", "stable"]


class ColumnRef(Struct, frozen=True, kw_only=True):
    """A column named in an expression; `relation` is target, excluded, source, or None if unqualified.

    `name` is as SQL reads it: unquoted names are folded to lower case.
    """

    relation: str | None
    name: str
    quoted: bool = False


class Expression(Redacted, frozen=True, kw_only=True):
    """An SQL expression, parsed, allow-listed and deparsed; cut where it names a column.

    `parts` alternate between SQL text and column references, so that whoever renders it can quote the
    columns and choose the relation's alias.  `volatility` is stable when the value depends on the time
    of the run (`now()`), which makes it written but never compared (docs/spec.md §11, rule 2).
    """

    text: str
    parts: tuple[str | ColumnRef, ...]
    functions: tuple[str, ...] = ()
    volatility: Volatility = "immutable"
    location: Location | None = None

    @property
    def columns(self) -> tuple[ColumnRef, ...]:
        return tuple(part for part in self.parts if isinstance(part, ColumnRef))

    def reads(self, relation: str) -> bool:
        return any(ref.relation == relation for ref in self.columns)

    def renamed(self, rename: Callable[[ColumnRef], ColumnRef]) -> Expression:
        """Return the same expression with every column reference passed through `rename`."""
        parts = tuple(rename(p) if isinstance(p, ColumnRef) else p for p in self.parts)
        return Expression(
            text=self.text,
            parts=parts,
            functions=self.functions,
            volatility=self.volatility,
            location=self.location,
        )


class SourceSpec(Redacted, frozen=True, kw_only=True):
    """`type` names a source plug-in; `options` hold what its OPTIONS schema allows."""

    type: str
    options: Mapping[str, object]


class TargetSpec(Struct, frozen=True, kw_only=True):
    """`schema` is None for an unqualified name, which the role's search_path resolves."""

    schema: str | None
    table: str
    connection: str | None = None
    create: bool = False

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


class ColumnSpec(Struct, frozen=True, kw_only=True):
    """One entry of `columns`: exactly one of `field` and `expression` is set, or neither (type only)."""

    column: str
    field: str | None = None
    expression: Expression | None = None
    type: str | None = None


class KeySpec(Struct, frozen=True, kw_only=True):
    """One item of `conflict_keys`: a column if `name` is one's name, else the expression.

    `collation` is what a COLLATE around it names: only indexes of this collation arbitrate.
    """

    text: str
    name: str | None
    expression: Expression | None
    collation: tuple[str, ...] = ()


class AllColumns(Struct, frozen=True, kw_only=True):
    """The item `"*"`: every loaded column but the keys."""


class Assign(Struct, frozen=True, kw_only=True):
    """`column: expression`; without an expression the incoming value."""

    column: str
    expression: Expression | None = None


class Keep(Struct, frozen=True, kw_only=True):
    """The rule `keep`: leave the stored value alone."""

    column: str


class Rule(Struct, frozen=True, kw_only=True):
    """`column: rule`: the stored and the incoming value make the new one; a NULL on one side leaves the other."""

    column: str
    rule: RuleName


UpdateItem = AllColumns | Assign | Keep | Rule


class Duplicates(Struct, frozen=True, kw_only=True):
    """Which of several source rows with one key wins; `by` only for max and min."""

    keep: Literal["error", "first", "last", "max", "min"] = "error"
    by: str | None = None


class Delete(Struct, frozen=True, kw_only=True):
    """Which rows that are gone are deleted, and how.

    `soft` is set in place of deleting; a row is live while that column holds `live` (None: the column's default).
    """

    scope: Expression | None = None
    soft: Assign | None = None
    live: Expression | None = None
    cascade: bool = False


class History(Struct, frozen=True, kw_only=True):
    """The columns that hold the versions; without `since` a version holds from the run's time.

    `track` None: a change of any loaded column makes a version.
    """

    valid_from: str = "valid_from"
    since: Expression | None = None
    valid_to: str = "valid_to"
    current: str | None = None
    track: tuple[str, ...] | None = None


class Lookup(Struct, frozen=True, kw_only=True):
    """A column's value found in another table: the row whose `match` columns hold the values of these expressions.

    `select` is the column taken from there; None: the one that a foreign key of the target names, else its primary key.
    """

    column: str
    table: TargetSpec
    match: tuple[Assign, ...]
    select: str | None = None
    missing: Literal["error", "quarantine", "null"] = "error"


class Limit(Struct, frozen=True, kw_only=True):
    """A number of rows, or a share of the target's; exactly one is set."""

    count: int | None = None
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> Limit | None:
        """Return the limit that a text holds, None if it holds none.

        >>> str(Limit.parse("1200")), str(Limit.parse(" 2.5 %")), Limit.parse("-1"), Limit.parse("1.5")
        ('1,200', '2.5%', None, None)
        """
        number, percent, rest = text.strip().partition("%")
        number = number.strip()
        if rest or not number.isascii() or not number.replace(".", "" if percent else ".", 1).isdigit():
            return None
        return cls(share=Fraction(number) / 100) if percent else cls(count=int(number))

    def of(self, rows: int) -> Fraction:
        """Return the limit in rows for a target of so many."""
        return Fraction(self.count) if self.count is not None else (self.share or Fraction(0)) * rows

    def __str__(self) -> str:
        return f"{self.count:,}" if self.count is not None else f"{float((self.share or 0) * 100):g}%"


class Limits(Struct, frozen=True, kw_only=True):
    """What stops a run before it publishes anything; None: no limit."""

    min_rows: Limit | None = None
    max_deletes: Limit | None = None
    max_updates: Limit | None = None
    max_inserts: Limit | None = None

    @property
    def shares(self) -> bool:
        """Tell whether any of them is a share of the target's rows."""
        every = (self.min_rows, self.max_deletes, self.max_updates, self.max_inserts)
        return any(limit is not None and limit.share is not None for limit in every)


class BadRows(Struct, frozen=True, kw_only=True):
    """What happens to rows that can't be read or that the target refuses; `max` is a number of rows, or a share of
    those read, beyond which nothing is published.
    """

    quarantine: bool = False
    max: Limit | None = None


class CheckSpec(Redacted, frozen=True, kw_only=True):
    """A boolean query on the target as it would be published; false and NULL roll back."""

    name: str
    sql: str
    message: str | None = None


class Returning(Struct, frozen=True, kw_only=True):
    """Rows to write to a file after the commit; `path` is absolute."""

    columns: tuple[str, ...]
    path: str
    format: Literal["csv", "jsonl"]
    rows: Literal["written", "all"] = "written"


class Execution(Struct, frozen=True, kw_only=True):
    """How to carry the spec out; durations are PostgreSQL's own words, such as `5s`.

    `chunk_rows`, `workers` None: as the planner finds best.
    """

    method: str = "auto"
    transaction: Literal["all", "chunk"] = "all"
    chunk_rows: int | None = None
    workers: int | None = None
    lock_timeout: str = "10s"
    statement_timeout: str | None = None
    retries: int = 5


class Spec(Redacted, frozen=True, kw_only=True):
    """One declared sync.  `marks` maps JSON pointers (`/conflict_keys/0`) to places in the file.

    `conflict_keys` is empty where the spec gives none or names a `conflict_constraint`.
    `allow_functions` and `roots` come from the project file; `again`, `restart`, `wait`, `approved`, `previewed` and
    `retries` from the call: publish a source once more; start an unfinished run over; wait for another run; limits
    lifted; only count and show what would change; the source is what was quarantined before.
    """

    name: str
    source: SourceSpec
    target: TargetSpec
    mode: ModeName
    file: str = "<spec>"
    folder: str = "."
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    columns: tuple[ColumnSpec, ...] = ()
    ignore_fields: tuple[str, ...] = ()
    ignore_rest: bool = False
    conflict_keys: tuple[KeySpec, ...] = ()
    conflict_constraint: str | None = None
    conflict_where: Expression | None = None
    update_columns: tuple[UpdateItem, ...] = (AllColumns(),)
    where: Expression | None = None
    touch_unchanged: bool = False
    null_keys: NullKeys | None = None
    duplicates: Duplicates = Duplicates()
    lookups: tuple[Lookup, ...] = ()
    bad_rows: BadRows = BadRows()
    delete: Delete = Delete()
    history: History = History()
    limits: Limits = Limits()
    checks: tuple[CheckSpec, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    session: tuple[tuple[str, str], ...] = ()
    sensitive: tuple[str, ...] = ()
    returning: Returning | None = None
    execution: Execution = Execution()
    again: bool = False
    restart: bool = False
    wait: bool = False
    approved: tuple[tuple[str, str], ...] = ()
    previewed: bool = False
    retries: bool = False
    depends_on: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    ledger_schema: str = "syncengine"
    marks: Mapping[str, Location] = {}

    not_shown: ClassVar = frozenset({"marks"})

    @property
    def quarantines(self) -> bool:
        """Tell whether a row that can't be loaded is kept apart, for whatever reason."""
        missing = any(lookup.missing == "quarantine" for lookup in self.lookups)
        return self.bad_rows.quarantine or self.null_keys == "quarantine" or missing or self.retries

    def mark(self, pointer: str) -> Location:
        """Return the place of the value at `pointer`, or of its nearest parent that has one."""
        while pointer not in self.marks and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.marks.get(pointer, Location(self.file))
