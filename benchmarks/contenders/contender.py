"""What a contender is: how its process is started for a job, and what it can't do."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks.cache import Cache
from benchmarks.cases import Case
from benchmarks.measure import Command
from benchmarks.shapes import TARGET


class Kind(enum.StrEnum):
    """Which group of the report a contender belongs to."""

    OURS = "syncengine"
    BY_HAND = "by hand"
    LIBRARY = "library"
    PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process to be: the case, its file, the database, and an empty folder to write to.

    The folder lies in the cache's, and so does the file; the process starts in the cache's folder.  `state` is the
    folder that the contender's `settle` was given.
    """

    case: Case
    file: Path
    url: str
    folder: Path
    cache: Cache
    psql: Path
    state: Path

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def user(self) -> str:
        return urlsplit(self.url).username or ""

    @property
    def password(self) -> str:
        return unquote(urlsplit(self.url).password or "")

    @property
    def database(self) -> str:
        return urlsplit(self.url).path.lstrip("/")

    @property
    def upserts(self) -> bool:
        return self.case.mode != "insert"


def anything(case: Case) -> str | None:
    """Say that every case can be done."""
    return None


def nothing(job: Job) -> None:
    """Prepare nothing."""


def here(cache: Cache) -> str | None:
    """Say that it is installed."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`refuses` says why it can't do a case; `missing` why it can't run here; both None where it can.

    `prepare` is called before the clock starts.  Before that, once for all runs, `settle` is called in a copy of the
    state that the case starts from; its file holds the rows that are there.  `table` is where the result lies.
    `form`: the format that it reads whatever the case's is.  One that does not `load` is a yardstick for time only.
    """

    name: str
    title: str
    kind: Kind
    command: Callable[[Job], Command]
    refuses: Callable[[Case], str | None] = anything
    missing: Callable[[Cache], str | None] = here
    prepare: Callable[[Job], None] = nothing
    settle: Callable[[Job], None] | None = None
    table: str = TARGET
    form: str | None = None
    loads: bool = True
