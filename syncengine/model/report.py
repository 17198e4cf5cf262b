"""What a run did: a pure fold over its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import assert_never

from syncengine.errors import SyncError
from syncengine.model import events as ev
from syncengine.model.badrows import SHOWN, BadRowSample
from syncengine.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The books of one unit, or of all committed ones; `to_…` are the writes that were announced.

    Planned writes that did not happen (a BEFORE trigger returned NULL, another writer was there first) are
    skipped: docs/spec.md §11, rules 3 and 4.
    """

    rows_read: int = 0
    bytes_read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    duplicates: int = 0
    quarantined: int = 0
    deleted: int = 0
    to_insert: int = 0
    to_update: int = 0
    to_delete: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})

    def settled(self) -> Counts:
        """Return the books with planned but unwritten rows counted as skipped."""
        skipped = self.skipped + self.unwritten
        return replace(self, skipped=skipped, to_insert=0, to_update=0, to_delete=0)

    @property
    def unwritten(self) -> int:
        """Return how many planned writes did not happen."""
        return self.to_insert + self.to_update - self.inserted - self.updated

    @property
    def undeleted(self) -> int:
        """Return how many planned deletes did not happen."""
        return self.to_delete - self.deleted

    @property
    def closed(self) -> bool:
        """Tell whether rows_read = inserted + updated + unchanged + skipped + duplicates + quarantined."""
        classes = self.inserted + self.updated + self.unchanged
        return self.rows_read == classes + self.skipped + self.duplicates + self.quarantined


_COUNTS = tuple(one.name for one in fields(Counts))
# The counters of docs/spec.md §6, in its order.
COUNTERS = (
    "rows_read",
    "inserted",
    "updated",
    "unchanged",
    "skipped",
    "deleted",
    "quarantined",
    "duplicates",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One spec's run.  Counters hold committed work only; `seconds` is wall time.

    `bad_rows` are the first ones that can't be loaded; because of `unreadable` keys among them nothing was deleted.
    `chunks` of it were published one by one; `resumed`: an earlier run had begun it.
    `published_before`: nothing was done, since the spec has published the same contents already.
    """

    name: str = ""
    mode: str = ""
    strategy: str = ""
    target: str = ""
    connection: str = ""
    counts: Counts = field(default=Counts())
    seconds: float = 0.0
    resumed: bool = False
    error: SyncError | None = None
    files: tuple[str, ...] = ()
    retries: int = 0
    published_before: bool = False
    chunks: int = 0
    bad_rows: tuple[BadRowSample, ...] = ()
    unreadable: int = 0
    pending: Counts = field(default=Counts(), repr=False)

    @classmethod
    def of(cls, events: Iterable[ev.Event]) -> Report:
        report = cls()
        for event in events:
            report = report.after(event)
        return report

    def after(self, event: ev.Event) -> Report:
        """Return the report once `event` has happened."""
        match event:
            case ev.SpecStarted():
                return Report(
                    name=event.name,
                    mode=event.mode,
                    strategy=event.strategy,
                    target=event.target,
                    connection=event.connection,
                )
            case ev.UnitStarted():
                return replace(self, pending=Counts())
            case ev.RowsRead():
                return self._add(Counts(rows_read=event.rows, bytes_read=event.bytes))
            case ev.BadRowsFound():
                return replace(
                    self, bad_rows=_together(self.bad_rows, event.samples), unreadable=event.unreadable
                )
            case ev.StartedOver():
                return replace(self, counts=Counts(), pending=Counts(), bad_rows=())
            case ev.RowsCounted():
                return self._add(Counts(**{event.counter: event.rows}))
            case ev.Classified():
                return self._add(
                    Counts(
                        unchanged=event.unchanged,
                        skipped=event.skipped,
                        to_insert=event.insert,
                        to_update=event.update,
                        to_delete=event.delete,
                    )
                )
            case ev.PublishedBefore():
                # What was read is there; nothing else of the unit was done.
                read = self.books.rows_read - self.counts.rows_read
                done = Counts(
                    rows_read=read, unchanged=self.books.rows_read, bytes_read=self.pending.bytes_read
                )
                return replace(self, pending=done, published_before=True)
            case ev.UnitRolledBack():
                retries = self.retries + (event.retry_in is not None)
                return replace(self, pending=Counts(), retries=retries)
            case ev.UnitCommitted() | ev.UnitRehearsed():
                return replace(self, counts=self.books, pending=Counts())
            case ev.ChunkCommitted():
                chunks = self.chunks + (event.unit == "publish")
                return replace(self, counts=self.books, pending=Counts(), chunks=chunks)
            case ev.Tried():
                return replace(self, pending=Counts())
            case ev.Resumed():
                counts = Counts(**event.counters)
                return replace(self, counts=counts, resumed=True, chunks=event.published)
            case ev.FoundCommitted():
                return replace(self, counts=Counts(**event.counters), pending=Counts())
            case ev.StagingLost():
                return replace(
                    self, counts=Counts(**event.counters), pending=Counts(), retries=self.retries + 1
                )
            case ev.FileWritten():
                return replace(self, files=(*self.files, event.path))
            case ev.SpecFailed():
                return replace(self, error=event.error, pending=Counts())
            case ev.SpecFinished():
                return replace(self, seconds=event.seconds)
            case ev.SpecTurn() | ev.StepStarted() | ev.StepFinished() | ev.Progress() | ev.Waiting():
                return self
            case _:
                assert_never(event)

    def _add(self, counts: Counts) -> Report:
        return replace(self, pending=self.pending + counts)

    @property
    def books(self) -> Counts:
        """Return the books as they would be if the current unit committed now."""
        return self.counts + self.pending.settled()

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return 4 if self.quarantined else 0

    @property
    def suppressed(self) -> bool:
        """Tell that nothing was deleted, as the keys of bad rows can't be read (docs/spec.md §11, rule 5)."""
        return self.ok and self.unreadable > 0

    @property
    def rows_read(self) -> int:
        return self.counts.rows_read

    @property
    def bytes_read(self) -> int:
        return self.counts.bytes_read

    @property
    def inserted(self) -> int:
        return self.counts.inserted

    @property
    def updated(self) -> int:
        return self.counts.updated

    @property
    def unchanged(self) -> int:
        return self.counts.unchanged

    @property
    def skipped(self) -> int:
        return self.counts.skipped

    @property
    def duplicates(self) -> int:
        return self.counts.duplicates

    @property
    def quarantined(self) -> int:
        return self.counts.quarantined

    @property
    def deleted(self) -> int:
        """Rows deleted, softly deleted or closed; they are not among the rows read."""
        return self.counts.deleted


def _together(known: tuple[BadRowSample, ...], more: tuple[BadRowSample, ...]) -> tuple[BadRowSample, ...]:
    """Return the first bad rows of both, each once, in the source's order."""
    by_number = {(row.number, row.place): row for row in (*known, *more)}
    return tuple(by_number[key] for key in sorted(by_number))[:SHOWN]
