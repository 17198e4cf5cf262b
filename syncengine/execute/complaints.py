"""Errors for what checks found in the rows: samples of them, how many there are, and where the source has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from syncengine.errors import (
    AmbiguousKey,
    BooksDoNotClose,
    Conflict,
    DuplicateKeys,
    NullKeys,
    SyncError,
    TakenOver,
    UnresolvedLookup,
    WouldCascade,
)
from syncengine.execute.masking import mask_sample
from syncengine.execute.places import places
from syncengine.execute.rounding import would_round
from syncengine.model.report import Counts
from syncengine.model.steps import Check
from syncengine.protocols import Source

_FAILURES: dict[str, type[SyncError]] = {
    "null-keys": NullKeys,
    "duplicate-keys": DuplicateKeys,
    "ambiguous-key": AmbiguousKey,
    "unresolved-lookup": UnresolvedLookup,
    "would-cascade": WouldCascade,
}


def complaint(
    step: Check, found: Sequence[tuple[object, ...]], source: Source, sensitive: Collection[str]
) -> SyncError:
    """Return the error for the rows that a check found: (sample, how many there are in all)."""
    samples, total = [str(row[0]) for row in found], int(str(found[0][1]))
    if step.failure == "rounded-values":
        return would_round(step, source, samples, total)
    shown = "; ".join(dict.fromkeys(mask_sample(sample, sensitive) for sample in samples))
    more = f" and {total - len(found)} more" if total > len(found) else ""
    where = places(source, step.fields, samples) if step.fields else ()
    return _FAILURES[step.failure](
        f"{step.message}: {total}",
        detail=f"{shown}{more}" + (f"; at {', '.join(where)}" if where else ""),
        hint=step.hint,
        location=step.location,
    )


def unclosed(books: Counts, pending: Counts, *, exact: bool) -> BooksDoNotClose | None:
    """Return the error if a row is not in exactly one class, or if `exact` a planned write was not made."""
    unwritten, undeleted = pending.unwritten, pending.undeleted
    missed = min(unwritten, undeleted) < 0 or (exact and (unwritten or undeleted))
    if books.closed and not missed:
        return None
    return BooksDoNotClose(
        f"{books.rows_read} rows were read, but {books.inserted} inserted, {books.updated} updated,"
        f" {books.unchanged} unchanged, {books.skipped} skipped, {books.duplicates} duplicates;"
        f" {books.deleted} deleted",
        hint="nothing was published; another process may have changed the staging table: run it again",
    )


def unclosed_part(pending: Counts, *, exact: bool) -> BooksDoNotClose | None:
    """Return the error if more was written of a part than was announced, or if `exact` less."""
    unwritten = pending.unwritten
    if unwritten >= 0 and not (exact and unwritten):
        return None
    return BooksDoNotClose(
        f"{pending.to_insert} rows were to be inserted and {pending.to_update} updated, but"
        f" {pending.inserted} were inserted and {pending.updated} updated",
        hint="nothing of this chunk was published; run it again",
    )


def overtaken(pending: Counts) -> Conflict | None:
    """Return the error if a row to update was not: the last attempt may meet a row that others have just made."""
    missed = pending.to_update - pending.updated
    if missed <= 0:
        return None
    return Conflict(
        f"another writer made and changed {missed} of the rows to update while they were being classified",
        hint="run it again when the other writer is done",
    )


def taken_over(name: str) -> TakenOver:
    return TakenOver(
        f"another process has gone on with this run of `{name}`",
        detail="this one was silent for too long",
        hint="see what the other one did: syncengine history",
    )
