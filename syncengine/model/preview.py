"""What a run would do, found out by doing all but writing to the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from syncengine.errors import SyncError
from syncengine.model.badrows import BadRowSample
from syncengine.model.report import Counts

Row = Mapping[str, str | None]


class SampleRow(Struct, frozen=True, kw_only=True):
    """One row of a class: its key, and its values as texts before and after; None where there is no row."""

    op: Literal["insert", "update", "delete"]
    key: Row
    old: Row | None
    new: Row | None

    @property
    def changes(self) -> dict[str, tuple[str | None, str | None]]:
        """Return the columns that differ, with the old and the new text."""
        old, new = self.old or {}, self.new or {}
        return {name: (old.get(name), new.get(name)) for name in new if old.get(name) != new.get(name)}


class Preview(Struct, frozen=True, kw_only=True):
    """The books as the run would close them, and the limit or check that would stop it.

    `bad_rows` are the first rows that can't be loaded.  `unchecked` are the checks that only a run can evaluate.
    """

    counts: Counts
    samples: tuple[SampleRow, ...] = ()
    error: SyncError | None = None
    unchecked: tuple[str, ...] = ()
    bad_rows: tuple[BadRowSample, ...] = ()

    @property
    def changes(self) -> int:
        """Return how many rows would be written or deleted."""
        return self.counts.inserted + self.counts.updated + self.counts.deleted
