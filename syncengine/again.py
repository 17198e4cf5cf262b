"""What is in the quarantine: list it, hand out its rows as they were, and have a spec read them once more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from syncengine import registry
from syncengine.errors import SourceError
from syncengine.job import Job
from syncengine.model.spec import BadRows, Limits, Spec
from syncengine.prepare import expected_fields
from syncengine.protocols import Whereabouts
from syncengine.sources._kept import Kept, KeptSource, literal_rows
from syncengine.sql import quarantine
from syncengine.sql.ledger import QUARANTINE
from syncengine.sql.names import ident
from syncengine.values import replace

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from syncengine.protocols import Source


_NOT_SHOWN = ("raw", "head", "row", "at", "retried", "sensitive")


class KeptRow(Struct, frozen=True, kw_only=True):
    """A row of the quarantine with all that is known of it; the text of one with `sensitive` columns is not shown."""

    id: int
    run: str
    spec: str
    target: str
    place: str
    line: int | None
    number: int
    byte_from: int | None
    byte_to: int | None
    column: str | None
    sqlstate: str | None
    constraint: str | None
    message: str
    raw: bytes | None
    head: bytes | None
    row: object
    at: datetime
    retried: str | None
    sensitive: bool

    def document(self) -> dict[str, object]:
        """Return the row as JSON values."""
        names = [name for name in self.__struct_fields__ if name not in _NOT_SHOWN]
        known = {name: getattr(self, name) for name in names}
        return {**known, "at": self.at.isoformat(), "retried": self.retried, "text": self.text}

    @property
    def text(self) -> str | None:
        """Return what the row was, as far as it may be shown."""
        if self.sensitive:
            return "***"
        if self.raw is None:
            return None if self.row is None else json.dumps(self.row, ensure_ascii=False)
        return self.raw.decode(errors="backslashreplace").rstrip("\r\n")


def kept_rows(
    connection: psycopg.Connection[TupleRow],
    schema: str,
    *,
    run: str | None = None,
    spec: str | None = None,
    open_only: bool = False,
) -> Iterator[KeptRow]:
    """Yield the rows of the quarantine in order, those of one run or spec; `open_only`: not those loaded since."""
    name = ident(schema, QUARANTINE).as_string()
    there = connection.execute("SELECT pg_catalog.to_regclass(%s)", [name])
    found = there.fetchone()
    if found is None or found[0] is None:
        return
    statement, parameters = quarantine.select(schema, run=run, spec=spec, open_only=open_only)
    with connection.transaction(), connection.cursor("kept") as cursor:
        for row in cursor.execute(statement, parameters):
            yield KeptRow(**dict(zip(KeptRow.__struct_fields__, row, strict=True)))


def as_file(rows: Iterable[KeptRow], form: str) -> bytes:
    """Return rows as a file that can be mended and loaded: as they stood in theirs, or as JSON lines.

    Raises SourceError where they do not go into one file.
    """
    found = list(rows)
    texts = [row for row in found if row.raw is not None]
    heads = {row.head for row in texts}
    values = [row.row for row in found if row.raw is None and row.row is not None]
    if form == "csv" and values:
        raise SourceError(
            "these rows have values and no text", hint="export them as JSON lines: --to rows.jsonl"
        )
    if len(heads) > 1 or (texts and values):
        hint = "export those of one spec or run: --spec NAME, --run RUN"
        raise SourceError("the rows are of files with different headers", hint=hint)
    lines = [*heads, *(row.raw for row in texts), *(json.dumps(value).encode() for value in values)]
    return b"".join(_line(line) for line in lines if line)


def _line(text: bytes) -> bytes:
    return text if text.endswith((b"\n", b"\r", b"\n\0", b"\r\0")) else text + b"\n"


def retried(job: Job, run: str | None) -> Job:
    """Return the job that has a spec read what it has in quarantine: it then deletes nothing."""
    whole = replace(job.spec.execution, transaction="all")
    kept = BadRows(quarantine=True)
    spec = replace(job.spec, bad_rows=kept, limits=Limits(), retries=True, execution=whole)
    if spec.mode == "replace" and not (spec.conflict_keys or spec.conflict_constraint):
        spec = replace(spec, mode="insert")
    return replace(job, spec=spec, retried_run=run)


def source_of_kept(spec: Spec, connection: psycopg.Connection[TupleRow], run: str | None) -> Source:
    """Return a spec's rows in the quarantine as its source, read by the spec's own dialect."""
    found = kept_rows(connection, spec.ledger_schema, run=run, spec=spec.name, open_only=True)
    rows = [
        Kept(id=row.id, raw=row.raw, head=row.head, row=row.row if isinstance(row.row, dict) else None)
        for row in found
    ]
    chosen = [row for row in rows if row.raw is not None] or [row for row in rows if row.row is not None]
    expected = expected_fields(spec)
    if not chosen or chosen[0].raw is None:
        return KeptSource(literal_rows(chosen, expected), chosen, quarantine.AGAIN)
    where = Whereabouts(folder=spec.folder, roots=spec.roots, expected=expected)
    texts = [(f"{quarantine.AGAIN}{row.id}", row.head or b"", row.raw or b"") for row in chosen]
    inner = registry.source(spec.source.type).reopen_source(spec.source, where, texts)
    return KeptSource(inner, chosen, quarantine.AGAIN)
