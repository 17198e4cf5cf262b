"""Rows from the quarantine as a source: each is read by itself, as its file was."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from msgspec import Struct

from syncengine.model.facts import Handover, SourceFacts
from syncengine.protocols import START, Payload, Position, Record, Source
from syncengine.sources._decompress import Compression
from syncengine.sources._files import Reader
from syncengine.sources._iterable import IterableSource
from syncengine.values import replace


class Kept(Struct, frozen=True, kw_only=True):
    """A row of the quarantine: its bytes and the header of its file, or its values where it has no bytes."""

    id: int
    raw: bytes | None
    head: bytes | None
    row: Mapping[str, object] | None


class BytesInput:
    """Bytes in the place of a file (_files.Input)."""

    reopenable = True
    compression: Compression = "none"

    def __init__(self, label: str, data: bytes) -> None:
        self.label = label
        self.size = len(data)
        self._data = data

    def sample(self) -> Generator[tuple[bytes, int], None, None]:
        yield self._data, self.size

    def stamp(self) -> None:
        return None

    def verify(self) -> None:
        """Say nothing: these bytes can't change."""

    @contextmanager
    def open(self, start: int = 0) -> Iterator[Reader]:
        raw = io.BytesIO(self._data)
        raw.seek(start)
        yield Reader(raw.read, "none", self.label, self.verify, start)


class KeptSource:
    """A source of kept rows over `inner`, which reads them; a record's label is that of its row in the quarantine."""

    def __init__(self, inner: Source, rows: Sequence[Kept], label: str) -> None:
        self._inner = inner
        self._rows = rows
        self._label = label

    def describe(self) -> SourceFacts:
        return replace(self._inner.describe(), label=f"{len(self._rows)} rows from the quarantine")

    def stamp(self) -> None:
        return None

    def open(self, handover: Handover, after: Position = START) -> AbstractContextManager[Payload]:
        return self._inner.open(handover, after)

    def records(
        self, after: Position = START, number: int = 1, *, accepted: bool = False
    ) -> Generator[Record, None, None]:
        by_part = bool(self._rows) and self._rows[0].raw is not None
        for record in self._inner.records(after, number, accepted=accepted):
            place = record.after.part if by_part else record.number - 1
            yield replace(record, label=f"{self._label}{self._rows[place].id}")


def literal_rows(rows: Sequence[Kept], expected: tuple[str, ...]) -> Source:
    """Return a source of rows that have values only."""
    return IterableSource([row.row for row in rows], expected, json_values=True)
