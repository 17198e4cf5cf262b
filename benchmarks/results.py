"""Results as lines of JSON, appended: what was measured, when, where and of which case."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One process.  `session` is one call of the benchmark: only times of one session and case are compared.

    `wrong` says how the table differs from what it must hold, `error` what a failed process said; both are None for
    a good one.  `rows` is what the table held at the start (`insert`: what came in), `source_rows` what came in.
    """

    session: str
    case: str
    rows: int
    source_rows: int
    contender: str
    turn: int
    seconds: float
    cpu: float
    memory: int
    wal: int
    dead: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    wrong: str | None = None
    error: str | None = None

    @property
    def good(self) -> bool:
        return self.wrong is None and self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Facts that hold for all results of a session."""

    session: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A contender that did not take part in a case, and why."""

    session: str
    case: str
    contender: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Two ways to do the same, at one size: medians of seconds in this process."""

    session: str
    question: str
    size: int
    seconds: dict[str, float]


Entry = Result | Session | Skipped | Crossing
KINDS: dict[str, type[Entry]] = {kind.__name__: kind for kind in (Result, Session, Skipped, Crossing)}


def append(path: Path, entry: Entry) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": type(entry).__name__, **asdict(entry)}) + "\n")


def read(path: Path) -> Iterator[Entry]:
    """Return what was ever measured, in that order."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            fields: dict[str, Any] = json.loads(line)
            yield KINDS[fields.pop("kind")](**fields)


def latest(entries: Iterable[Entry], case: Case) -> list[Result]:
    """Return a case's results of the last session that measured it whole: at its size, with its baseline."""
    results = [r for r in entries if isinstance(r, Result) and r.case == case.name and r.rows == case.rows]
    last = next((r.session for r in reversed(results) if r.contender == case.baseline), None)
    return [result for result in results if result.session == last]
