"""Everything that can happen in a run, in the past tense."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from syncengine.errors import SyncError
from syncengine.model.badrows import BadRowSample
from syncengine.model.steps import Counter


class SpecStarted(Struct, frozen=True, kw_only=True):
    """`connection` is how the target was chosen; `rows`, `bytes` are what the source is expected to hold, if known."""

    name: str
    mode: str
    strategy: str
    target: str
    connection: str = ""
    rows: int | None = None
    bytes: int | None = None


class SpecTurn(Struct, frozen=True, kw_only=True):
    """What follows is about this spec: several take turns where they are published together."""

    name: str


class UnitStarted(Struct, frozen=True, kw_only=True):
    unit: str
    attempt: int


class StepStarted(Struct, frozen=True, kw_only=True):
    unit: str
    step: str


class Progress(Struct, frozen=True, kw_only=True):
    """How far the reading has come: rows sent (None while only bytes are known) and bytes of the source."""

    rows: int | None
    bytes: int


class RowsRead(Struct, frozen=True, kw_only=True):
    """The source, or a chunk of it, was read to its end."""

    unit: str
    rows: int
    bytes: int


class BadRowsFound(Struct, frozen=True, kw_only=True):
    """How many rows can't be loaded, the first of them, and of how many the key can't be read where that matters."""

    unit: str
    rows: int
    samples: tuple[BadRowSample, ...]
    unreadable: int = 0


class StartedOver(Struct, frozen=True, kw_only=True):
    """Nothing of what was done so far counts: the source is staged again, so that bad rows can be kept apart."""

    reason: str


class RowsCounted(Struct, frozen=True, kw_only=True):
    """Rows that were found to be in a class, or put there."""

    unit: str
    counter: Counter
    rows: int


class Classified(Struct, frozen=True, kw_only=True):
    """The verdict on every staged row, before anything is written."""

    unit: str
    insert: int
    update: int
    unchanged: int
    skipped: int
    delete: int = 0


class StepFinished(Struct, frozen=True, kw_only=True):
    """What was done, not that it stayed: only UnitCommitted says that."""

    unit: str
    step: str
    rows: int
    seconds: float


class UnitRolledBack(Struct, frozen=True, kw_only=True):
    unit: str
    reason: str
    retry_in: float | None = None


class UnitCommitted(Struct, frozen=True, kw_only=True):
    unit: str
    seconds: float


class ChunkCommitted(Struct, frozen=True, kw_only=True):
    """A chunk of a unit is there to stay; `number` counts from 1, `of` is how many there are, None if not known yet."""

    unit: str
    number: int
    of: int | None
    seconds: float


class Resumed(Struct, frozen=True, kw_only=True):
    """An unfinished run goes on: so many chunks were committed before, `published` of them, with these counters."""

    run: str
    chunks: int
    published: int
    counters: Mapping[str, int]


class FoundCommitted(Struct, frozen=True, kw_only=True):
    """What was lost sight of at the commit turned out to be committed, with these counters."""

    unit: str
    counters: Mapping[str, int]


class StagingLost(Struct, frozen=True, kw_only=True):
    """The server crashed and emptied staging: it is filled again.  The counters are those of what stays published."""

    unit: str
    counters: Mapping[str, int]


class Tried(Struct, frozen=True, kw_only=True):
    """What a unit counted is known now, and will be counted when it is done."""

    unit: str
    seconds: float


class Waiting(Struct, frozen=True, kw_only=True):
    """Another run has the spec and its target; this one waits for it."""

    message: str


class PublishedBefore(Struct, frozen=True, kw_only=True):
    """The spec has published these contents already, so that nothing was done: docs/spec.md §11, rule 6."""

    unit: str


class UnitRehearsed(Struct, frozen=True, kw_only=True):
    """All but the writing was done, and will be rolled back."""

    unit: str
    seconds: float


class FileWritten(Struct, frozen=True, kw_only=True):
    path: str
    rows: int


class SpecFailed(Struct, frozen=True, kw_only=True):
    error: SyncError


class SpecFinished(Struct, frozen=True, kw_only=True):
    seconds: float


Event = (
    SpecStarted
    | SpecTurn
    | UnitStarted
    | StepStarted
    | Progress
    | RowsRead
    | BadRowsFound
    | StartedOver
    | RowsCounted
    | Classified
    | StepFinished
    | UnitRolledBack
    | UnitCommitted
    | UnitRehearsed
    | PublishedBefore
    | ChunkCommitted
    | Resumed
    | FoundCommitted
    | StagingLost
    | Tried
    | Waiting
    | FileWritten
    | SpecFailed
    | SpecFinished
)
Emit = Callable[[Event], None]
