"""What a user declared: one spec, checked for shape, with the place of every value.

Nothing here knows a file, a server or a plug-in; names are as written, not yet found in any table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from syncengine.errors import Location

ModeName = str
NullKeys = Literal["error", "insert", "match"]
Volatility = Literal["immutable", "stable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRef:
    """A column named in an expression; `relation` is target, excluded, source, or None if unqualified.

    `name` is as SQL reads it: unquoted names are folded to lower case.
    """

    relation: str | None
    name: str
    quoted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """`type` names a source plug-in; `options` hold what its OPTIONS schema allows."""

    type: str
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """`schema` is None for an unqualified name, which the role's search_path resolves."""

    schema: str | None
    table: str
    connection: str | None = None
    create: bool = False

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """One entry of `columns`: exactly one of `field` and `expression` is set, or neither (type only)."""

    column: str
    field: str | None = None
    expression: Expression | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """One item of `conflict_keys`: a column if `name` is one's name, else the expression."""

    text: str
    name: str | None
    expression: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllColumns:
    """The item `"*"`: every loaded column but the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """`column: expression`; without an expression the incoming value."""

    column: str
    expression: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The rule `keep`: leave the stored value alone."""

    column: str


UpdateItem = AllColumns | Assign | Keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Which of several source rows with one key wins; `by` only for max and min."""

    keep: Literal["error", "first", "last", "max", "min"] = "error"
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """Rows to write to a file after the commit; `path` is absolute."""

    columns: tuple[str, ...]
    path: str
    format: Literal["csv", "jsonl"]
    rows: Literal["written", "all"] = "written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How to carry the spec out; durations are PostgreSQL's own words, such as `5s`."""

    method: str = "auto"
    lock_timeout: str = "10s"
    statement_timeout: str | None = None
    retries: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One declared sync.  `marks` maps JSON pointers (`/conflict_keys/0`) to places in the file.

    `conflict_keys` is empty where the spec gives none or names a `conflict_constraint`.
    `allow_functions` and `roots` come from the project file.
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
    returning: Returning | None = None
    execution: Execution = Execution()
    depends_on: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    ledger_schema: str = "syncengine"
    marks: Mapping[str, Location] = field(default_factory=dict, repr=False, compare=False)

    def mark(self, pointer: str) -> Location:
        """Return the place of the value at `pointer`, or of its nearest parent that has one."""
        while pointer not in self.marks and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.marks.get(pointer, Location(self.file))
