"""What the ledger remembers of runs, for people and machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from syncengine.model.report import COUNTERS

FORMAT = 1
_COLUMNS = ("run", "spec", "target", "state", "started", "seconds")
_SHORT = {
    "rows_read": "read",
    "inserted": "ins",
    "updated": "upd",
    "unchanged": "unch",
    "skipped": "skip",
    "duplicates": "dup",
    "quarantined": "quar",
    "deleted": "del",
}


class ChunkRecord(Struct, frozen=True, kw_only=True):
    """One committed chunk of a run: where in the source, or among the keys, it starts and ends."""

    phase: str
    number: int
    starts: object
    ends: object
    complete: bool
    committed_at: datetime
    counters: Mapping[str, int]

    def document(self) -> dict[str, object]:
        return {
            "phase": self.phase,
            "number": self.number,
            "starts": self.starts,
            "ends": self.ends,
            "complete": self.complete,
            "committed_at": self.committed_at.isoformat(),
            **self.counters,
        }


class RunRecord(Struct, frozen=True, kw_only=True):
    """One run.  `lost`: it says that it runs, but its process has not been heard of for too long.

    `seconds` are those until it finished, or until now.  `chunks` are read only where one run is asked for.
    """

    run: str
    spec: str
    target: str
    file: str
    mode: str
    strategy: str
    source: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    renewed_at: datetime
    seconds: float
    lost: bool
    resumed: int
    approved: Mapping[str, object] | None
    error: Mapping[str, Any] | None
    counters: Mapping[str, int]
    chunks: tuple[ChunkRecord, ...] = ()

    def document(self) -> dict[str, object]:
        return {
            "run": self.run,
            "spec": self.spec,
            "target": self.target,
            "file": self.file,
            "mode": self.mode,
            "strategy": self.strategy,
            "source": self.source,
            "state": self.state,
            "lost": self.lost,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "renewed_at": self.renewed_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "resumed": self.resumed,
            "approved": dict(self.approved) if self.approved else None,
            **self.counters,
            "error": dict(self.error) if self.error else None,
        }

    @property
    def shown_state(self) -> str:
        return f"{self.state}, lost" if self.lost else self.state


def table(records: Iterable[RunRecord]) -> str:
    """Return runs as a table, a line each."""
    rows = [(*_COLUMNS, *_SHORT.values())]
    for one in records:
        counts = (f"{one.counters[name]:,}" for name in _SHORT)
        start, seconds = _time(one.started_at), f"{one.seconds:.1f}"
        rows.append((one.run, one.spec, one.target, one.shown_state, start, seconds, *counts))
    return _aligned(rows, left=_COLUMNS.index("seconds"))


def in_full(record: RunRecord) -> str:
    """Return all that is known of a run."""
    return "".join(f"{line}\n" for line in _lines(record))


def _lines(record: RunRecord) -> Iterator[str]:
    yield f"{record.run}: {record.spec}, {record.mode} {record.source} into {record.target} by {record.strategy}"
    yield f"  file      {record.file}"
    yield f"  state     {record.shown_state}"
    ended = f", ended {_time(record.finished_at)}" if record.finished_at else ""
    heard = f", last heard of {_time(record.renewed_at)}" if record.lost else ""
    yield f"  started   {_time(record.started_at)}{ended}{heard}, {record.seconds:.1f} s"
    if record.resumed:
        yield f"  resumed   {record.resumed} times"
    if record.approved:
        yield f"  approved  {', '.join(f'{name}={value}' for name, value in record.approved.items())}"
    counts = ", ".join(f"{name} {record.counters[name]:,}" for name in COUNTERS)
    yield f"  counters  {counts}"
    if record.error is not None:
        yield f"  error     {record.error.get('message')} [{record.error.get('code')}]"
        for name in ("detail", "hint"):
            if record.error.get(name):
                yield f"            {name}: {record.error[name]}"
    if record.chunks:
        yield f"  chunks    {len(record.chunks)}"
        yield from (f"    {line}" for line in _of_chunks(record.chunks).splitlines())


def _of_chunks(chunks: Sequence[ChunkRecord]) -> str:
    rows = [("phase", "number", "committed", "starts", "ends", *_SHORT.values())]
    for one in chunks:
        counts = (f"{one.counters[name]:,}" for name in _SHORT)
        rows.append(
            (
                one.phase,
                str(one.number),
                _time(one.committed_at),
                _place(one.starts),
                _place(one.ends),
                *counts,
            )
        )
    return _aligned(rows, left=5)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _place(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Return rows in columns, of which the first `left` are texts and the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            text.ljust(width) if place < left else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)
