"""The steps of a plan (model/plan.py), as plain data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from syncengine.errors import Location
from syncengine.model.facts import CsvFormat, Handover
from syncengine.model.spec import CheckSpec, Limit, Limits, Returning

Counter = Literal["inserted", "updated", "unchanged", "skipped", "duplicates", "quarantined", "deleted"]
Failure = Literal[
    "null-keys", "duplicate-keys", "ambiguous-key", "unresolved-lookup", "would-cascade", "rounded-values"
]
Kind = Literal["plain", "json", "json value", "array", "json array", "json value array"]
Written = Literal["insert", "update", "delete"]
Phase = Literal["run", "stage", "arrange", "publish"]


class StagedColumn(Struct, frozen=True, kw_only=True):
    """Where a field of the source goes.

    `kind` is that of the receiving column (facts.ColumnFacts.kind); `json value` is json for sources whose texts are
    JSON strings.  `reads` are the types that its texts end as (facts.ColumnFacts.input_type): those that lose
    something on the way are refused.  `wire` is the type that the receiving column reads in a binary COPY.
    `rounded` is the target's column that a value of this one is rounded into, which staging then refuses.
    """

    field: str
    column: str
    kind: Kind = "plain"
    wire: str = "text"
    reads: tuple[str, ...] = ()
    rounded: str = ""


class Part(Struct, frozen=True, kw_only=True):
    """A statement that does the share of one column; `location` is where the spec says how."""

    column: str
    sql: str
    location: Location | None = None


class RunSql(Struct, frozen=True, kw_only=True):
    """One statement; the rows it affects count as `counts`.

    `own_path`: it can fire triggers, defaults and checks, so it runs under the role's own search_path
    (docs/spec.md §11, rule 14); all other statements run under the pinned one.  `writes`: it changes the target
    or is the user's own, so that a preview leaves it out.  `last_resort`: it runs only in a
    unit's final, READ COMMITTED attempt.  `parts` are run only where a value makes the whole fail, to learn which
    column is to blame.  `spares`: the statement is a short cut; if it succeeds, so many of the steps after it are left
    out, if it fails it leaves no trace and they are carried out.  `settings` hold for this statement only.  `hook`: it
    is the user's own, and no row is to blame where it fails.
    """

    title: str
    sql: str
    counts: Counter | None = None
    own_path: bool = False
    writes: bool = False
    last_resort: bool = False
    parts: tuple[Part, ...] = ()
    spares: int = 0
    settings: tuple[tuple[str, str], ...] = ()
    hook: bool = False


class CopyIn(Struct, frozen=True, kw_only=True):
    """COPY the source into a table; `sql` is the statement for the fields in the described order.

    `may_drop_rows`: a trigger may keep rows out, so that the server takes fewer than the source gives.  `observes`:
    the kinds of a typed source's values are noted, for inference.  `chunk_bytes` and `chunk_rows` say where the source
    is cut in a unit of which each chunk commits; None: nowhere.
    """

    title: str
    sql: str
    schema: str
    table: str
    columns: tuple[StagedColumn, ...]
    handover: Handover
    csv: CsvFormat | None = None
    counts: Counter | None = None
    own_path: bool = False
    may_drop_rows: bool = False
    observes: bool = False
    chunk_bytes: int | None = None
    chunk_rows: int | None = None


class Sieve(Struct, frozen=True, kw_only=True):
    """How a row that can't be loaded is taken out: `note` tells of it by its number, `move` takes all that are noted
    out of staging.
    """

    note: str
    move: str


class Pieces(Struct, frozen=True, kw_only=True):
    """How rows are staged many at a time, and numbered all the same: `copy` takes them, once `number` has said which
    one is the first; `place` notes where that stands in the source.
    """

    copy: CopyIn
    number: str
    place: str


class RawRecords(Struct, frozen=True, kw_only=True):
    """Where records are kept as they stand in the source: `copy` takes them, `head` the header of their file, once.

    `wanted` lists the numbers of the bad ones that are not there yet, and `places` from which number on which place in
    the source is to be read for them, and whether the server has taken as a whole what stands there.
    """

    copy: str
    head: str
    wanted: str
    places: str


class StageRecords(Struct, frozen=True, kw_only=True):
    """Bring the source into staging with the numbers of its rows; bad ones are taken out.

    `sql` copies the texts of single records.  Where there are `pieces`, that is done only around rows that are refused,
    and of the records only the bad ones are kept in `raw`; else all.  What can be read of a bad one's `keys` goes by
    `aside`, where that matters.  `tolerates` False: the first one fails; beyond `most` no more are read.
    `observes` as in CopyIn.
    """

    title: str
    sql: str
    raw: RawRecords
    sieve: Sieve
    columns: tuple[StagedColumn, ...]
    pieces: Pieces | None = None
    keys: tuple[str, ...] = ()
    aside: str = ""
    tolerates: bool = True
    observes: bool = False
    most: Limit | None = None
    location: Location | None = None


class RunSegments(Struct, frozen=True, kw_only=True):
    """A statement over the staged rows.  If a value makes it fail, it is run by segments of them, and what can't be
    done for one row alone is taken out by `sieve`; without one, that row is left out.

    `numbers` lists the rows' numbers, `segment` is the statement for those between two of them.
    """

    title: str
    sql: str
    segment: str
    numbers: str
    sieve: Sieve | None = None
    parts: tuple[Part, ...] = ()


class KeepBadRows(Struct, frozen=True, kw_only=True):
    """Count the bad rows, stop if there are more than `most` or if `strict` and a key among them can't be read, and
    keep them (`sql`, empty in a preview).

    `count` gives (rows, those with an unreadable key), `sample` the first ones: (place, line, number, column, SQLSTATE,
    constraint, message).  Those that are not kept in `raw` yet are read once more.
    """

    title: str
    raw: RawRecords
    sql: str
    count: str
    sample: str
    most: Limit | None = None
    strict: bool = False
    location: Location | None = None


class Probe(Struct, frozen=True, kw_only=True):
    """How to find the rows that the target refuses: `prepare` makes a segment of the rows, `writes` reads it.

    `numbers` lists the rows' numbers.
    """

    prepare: tuple[str, ...]
    numbers: str
    writes: tuple[RunSql, ...]
    sieve: Sieve


class InsertRows(Struct, frozen=True, kw_only=True):
    """Send the source as multi-row INSERTs into a table; `sql` is the statement up to VALUES."""

    title: str
    sql: str
    schema: str
    table: str
    columns: tuple[StagedColumn, ...]


class Check(Struct, frozen=True, kw_only=True):
    """A query that must return no row.  Its rows are samples of what is wrong: (JSON of the key, how many in all).

    `message` names, in the plural, what is counted; the number follows it.  `fields` are the source's fields that
    make the key, where it can be looked for there.
    """

    title: str
    sql: str
    failure: Failure
    message: str
    hint: str
    location: Location | None = None
    fields: tuple[str, ...] = ()


class Classify(Struct, frozen=True, kw_only=True):
    """A query returning one row of counts: (insert, update, unchanged, skipped, delete)."""

    title: str
    sql: str


class Claim(Struct, frozen=True, kw_only=True):
    """A statement that gives a row unless the staged contents were published before; then the unit has nothing to do.

    `again`: it goes on all the same.
    """

    title: str
    sql: str
    again: bool = False


class Hold(Struct, frozen=True, kw_only=True):
    """A query that gives the run's state in the ledger if this process still has it, and keeps others off.

    It comes before anything else in a transaction.  A run that is done already is not done again.
    """

    title: str
    sql: str


class Record(Struct, frozen=True, kw_only=True):
    """A statement that notes in the ledger what its transaction commits; `parameters` names what it is given.

    It comes after everything else.  `phase` tells whether it is that of the whole run, or of a chunk that is staged or
    published, or of the chunks that staging was cut into.
    """

    title: str
    sql: str
    phase: Phase
    parameters: tuple[str, ...] = ()


class CheckLimits(Struct, frozen=True, kw_only=True):
    """Stop where the classes break a limit; `sql` counts the target's rows, and is empty where no limit is a share."""

    title: str
    sql: str
    limits: Limits
    location: Location | None = None


class CheckResult(Struct, frozen=True, kw_only=True):
    """Stop where one of the user's queries on the changed target is false or NULL; each has its place."""

    title: str
    checks: tuple[CheckSpec, ...]
    locations: tuple[Location, ...] = ()

    @property
    def sql(self) -> str:
        return ";\n    ".join(check.sql for check in self.checks)


class Sample(Struct, frozen=True, kw_only=True):
    """A query for a few rows of one class, in key order: (key, stored row, new row), each a JSON object of texts.

    Only a preview runs it.
    """

    title: str
    sql: str
    op: Written


class WriteFile(Struct, frozen=True, kw_only=True):
    """Write the rows of a query to a file, which appears under its name once the unit has committed."""

    title: str
    sql: str
    returning: Returning


Step = (
    RunSql
    | CopyIn
    | StageRecords
    | RunSegments
    | KeepBadRows
    | InsertRows
    | Check
    | Classify
    | Claim
    | Hold
    | Record
    | CheckLimits
    | CheckResult
    | Sample
    | WriteFile
)
