"""What was found out about a source, a table and a server before anything is decided."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

Relation = Literal["table", "partitioned", "view", "foreign", "other"]


# The field in which a partial row lists the names of the fields that it lacks.
ABSENT = "(absent)"


class Handover(enum.Flag):
    """The forms in which a source lets data go."""

    ROWS = enum.auto()
    CSV_BYTES = enum.auto()
    ARROW = enum.auto()


class CsvFormat(Struct, frozen=True, kw_only=True):
    """The dialect of a CSV as COPY knows it; each mark is one ASCII character, `null` a text."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    null: str = ""


class SourceFacts(Struct, frozen=True, kw_only=True):
    """A source, looked at but not read.

    `fields` keep the source's order; `named` is False where they are only numbered ("1", "2", …) and map by
    position.  `rows` is exact if `exact`, else an estimate, None if nothing is known.  `reopenable`: it can be read
    more than once.  `json_values`: values come from JSON or YAML, so that a text bound for a json column is a JSON
    string and not JSON itself.  `partial`: rows need not have every field; one more field at their end (ABSENT) lists
    the names of those that a row lacks, or is None.  `types` are the PostgreSQL types that the fields have by nature,
    where the source is typed.
    """

    label: str
    fields: tuple[str, ...]
    handovers: Handover
    named: bool = True
    rows: int | None = None
    exact: bool = False
    bytes: int | None = None
    reopenable: bool = True
    json_values: bool = False
    partial: bool = False
    types: tuple[str, ...] = ()
    csv: CsvFormat | None = None
    notes: tuple[str, ...] = ()


class ColumnFacts(Struct, frozen=True, kw_only=True):
    """One column.  `type` carries its modifiers (`numeric(12,2)`), `base_type` does not (`numeric`); for a
    domain `base_type` is that of its base, without modifiers.

    `identity_equal` tells that the type's `=` holds only between values of the same image (docs/spec.md §11, rule 2).
    `equality` is the schema and name of the type's default btree `=` operator, None if it has none.
    `default` is the expression that fills the column where it is not loaded, as the server deparses it; None for
    generated and identity columns as well.
    `collation` is the schema and name of a collation other than the type's own.
    `kind` is what a structured Python value becomes: json, array (of json values or others) or plain text.
    `input_type` is the base type with its modifiers, those within a domain too: what reads a text.  `spelt`: its binary
    form is its text, as that of enumerations is.  `rounds` tells
    that they may round a value without an error; `rounds_inside` that a part of it may, of a composite or of an array
    of domains.
    `identity` is "" or always or default; `privileges` are the role's on this column.
    """

    name: str
    type: str
    base_type: str
    not_null: bool = False
    has_default: bool = False
    default: str | None = None
    generated: bool = False
    identity: Literal["", "always", "default"] = ""
    identity_equal: bool = False
    equality: tuple[str, str] | None = ("pg_catalog", "=")
    collation: tuple[str, str] | None = None
    kind: Literal["plain", "json", "array", "json array"] = "plain"
    input_type: str = ""
    spelt: bool = False
    rounds: bool = False
    rounds_inside: bool = False
    privileges: frozenset[str] = frozenset()


class IndexFacts(Struct, frozen=True, kw_only=True):
    """A unique or exclusion index.  `keys` are column names, or the text of an expression as the server deparses
    it (`expressions` tells which), in index order without INCLUDE columns.  `equality` holds each key's
    equality operator, `collations` its collation where that decides what is equal and is not the column's own.
    `predicate` is the deparsed WHERE of a partial index.  `correlation` tells how far the rows lie in the order of the
    first key: 1 if they do, -1 if backwards, None if it was never analyzed, or has less than one value for ten rows.
    """

    name: str
    keys: tuple[str, ...]
    expressions: tuple[bool, ...] = ()
    equality: tuple[tuple[str, str], ...] = ()
    collations: tuple[tuple[str, str] | None, ...] = ()
    predicate: str | None = None
    unique: bool = True
    primary: bool = False
    immediate: bool = True
    valid: bool = True
    nulls_not_distinct: bool = False
    constraint: str | None = None
    exclusion: bool = False
    correlation: float | None = None

    def __str__(self) -> str:
        where = f" WHERE {self.predicate}" if self.predicate else ""
        flags = [] if self.valid else ["invalid"]
        flags += [] if self.immediate else ["deferrable"]
        flags += ["NULLS NOT DISTINCT"] if self.nulls_not_distinct else []
        return f"{self.name} ({', '.join(self.keys)}){where}" + (f" [{', '.join(flags)}]" if flags else "")


class TriggerFacts(Struct, frozen=True, kw_only=True):
    """A user trigger that is enabled; `events` of INSERT, UPDATE, DELETE, TRUNCATE."""

    name: str
    timing: Literal["BEFORE", "AFTER", "INSTEAD OF"]
    events: tuple[str, ...]
    row: bool = True


class ForeignKeyFacts(Struct, frozen=True, kw_only=True):
    """A foreign key from or to the table at hand; `schema` and `table` name the other one.

    `columns` are the referencing columns, `referenced` those they name, in the same order.  `readable`: the role may
    read the other table.
    """

    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    referenced: tuple[str, ...]
    on_delete: Literal["no action", "restrict", "cascade", "set null", "set default"] = "no action"
    readable: bool = True


class TableFacts(Struct, frozen=True, kw_only=True):
    """A target as the catalog shows it.  `exists` False: `create` will make it, and only the names are set.

    `rows` is the server's estimate, None if it was never analysed.  `privileges` are the role's on the whole
    table; `row_security` tells that policies apply to the role.  `insertable`, `updatable` speak of views and
    foreign tables; `inherited` tells that other tables, not partitions, inherit from it.  A missing table has the
    privilege CREATE if the role may make tables in its schema.
    """

    schema: str
    name: str
    exists: bool = True
    relation: Relation = "table"
    kind_text: str = "table"
    columns: tuple[ColumnFacts, ...] = ()
    indexes: tuple[IndexFacts, ...] = ()
    triggers: tuple[TriggerFacts, ...] = ()
    rules: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKeyFacts, ...] = ()
    referenced_by: tuple[ForeignKeyFacts, ...] = ()
    privileges: frozenset[str] = frozenset()
    schema_exists: bool = True
    schema_usage: bool = True
    row_security: bool = False
    rows: int | None = None
    inherited: bool = False
    insertable: bool = True
    updatable: bool = True

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def refers_to_itself(self) -> bool:
        """Tell whether a foreign key leads from the table to itself, as in a tree."""
        return any((key.schema, key.table) == (self.schema, self.name) for key in self.foreign_keys)

    def column(self, name: str) -> ColumnFacts | None:
        return next((column for column in self.columns if column.name == name), None)

    def unfilled(self, loaded: Collection[str]) -> tuple[str, ...]:
        """Return the NOT NULL columns that an insert of only the `loaded` ones would leave NULL."""
        return tuple(
            column.name
            for column in self.columns
            if column.not_null
            and column.name not in loaded
            and not (column.has_default or column.generated or column.identity)
        )


class ServerFacts(Struct, frozen=True, kw_only=True):
    """The server and what the role may do there.  `version` is server_version_num (180006).

    `engine_schema` tells that the role can put staging tables there (it exists and is writable, or can be made).
    `ledger`: the engine's own tables can be used, or made; `ledger_version` is 0 where they are not there yet;
    `ledger_stranger` owns some of them, or their schema, and is neither the role, nor one that it belongs to, nor the
    database's owner, nor a superuser.
    `notices_dead_clients`: it can be told to look whether its client is still there.
    `search_path` is the role's own, as `current_setting` gives it.
    """

    version: int
    version_text: str
    database: str
    role: str
    search_path: str = '"$user", public'
    read_only: bool = False
    in_recovery: bool = False
    engine_schema: bool = True
    engine_schema_exists: bool = False
    ledger: bool = True
    ledger_version: int = 0
    ledger_stranger: str | None = None
    notices_dead_clients: bool = False
    temporary: bool = True
    encoding: str = "UTF8"
