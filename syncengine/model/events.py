"""Everything that can happen in a run, in the past tense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from syncengine.errors import SyncError
from syncengine.model.badrows import BadRowSample
from syncengine.model.steps import Counter


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecStarted:
    """`connection` is how the target was chosen; `rows`, `bytes` are what the source is expected to hold, if known."""

    name: str
    mode: str
    strategy: str
    target: str
    connection: str = ""
    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecTurn:
    """What follows is about this spec: several take turns where they are published together."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStarted:
    unit: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    unit: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the reading has come: rows sent (None while only bytes are known) and bytes of the source."""

    rows: int | None
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsRead:
    """The source, or a chunk of it, was read to its end."""

    unit: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRowsFound:
    """How many rows can't be loaded, the first of them, and of how many the key can't be read where that matters."""

    unit: str
    rows: int
    samples: tuple[BadRowSample, ...]
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedOver:
    """Nothing of what was done so far counts: the source is staged again, so that bad rows can be kept apart."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsCounted:
    """Rows that were found to be in a class, or put there."""

    unit: str
    counter: Counter
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """The verdict on every staged row, before anything is written."""

    unit: str
    insert: int
    update: int
    unchanged: int
    skipped: int
    delete: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """What was done, not that it stayed: only UnitCommitted says that."""

    unit: str
    step: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRolledBack:
    unit: str
    reason: str
    retry_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCommitted:
    unit: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCommitted:
    """A chunk of a unit is there to stay; `number` counts from 1, `of` is how many there are, None if not known yet."""

    unit: str
    number: int
    of: int | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """An unfinished run goes on: so many chunks were committed before, `published` of them, with these counters."""

    run: str
    chunks: int
    published: int
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCommitted:
    """What was lost sight of at the commit turned out to be committed, with these counters."""

    unit: str
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingLost:
    """The server crashed and emptied staging: it is filled again.  The counters are those of what stays published."""

    unit: str
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a unit counted is known now, and will be counted when it is done."""

    unit: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Another run has the spec and its target; this one waits for it."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedBefore:
    """The spec has published these contents already, so that nothing was done: docs/spec.md §11, rule 6."""

    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRehearsed:
    """All but the writing was done, and will be rolled back."""

    unit: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWritten:
    path: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFailed:
    error: SyncError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFinished:
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
