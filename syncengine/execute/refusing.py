"""Find the rows that a target refuses, among those that are staged, and take them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncengine.errors import SyncError
from syncengine.execute import badrows, probing
from syncengine.execute.refusals import Refusal, may_be_of_row, refusal
from syncengine.execute.stepping import Steps
from syncengine.model.plan import Unit
from syncengine.model.steps import KeepBadRows, Probe, RunSql


class Refusing(Steps):
    """Steps of units that are to be tried again without the rows which made them fail."""

    def isolates(self, unit: Unit, error: SyncError, before: Callable[[], None] = lambda: None) -> bool:
        """Take the rows out of staging that the target refuses; tell whether there are any.

        `error` is what publishing failed with, `before` does what comes before the unit in its transaction.
        """
        found = self.refused(unit, error, before)
        if not found or unit.probe is None:
            return False
        with self._masking(), probing.wrapped("taking bad rows out"), self.connection.transaction():
            self.prepare()
            badrows.take_out(self.connection, unit.probe.sieve, found)
        return True

    def refused(
        self, unit: Unit, error: SyncError, before: Callable[[], None] = lambda: None
    ) -> dict[int, Refusal]:
        """Return the rows that the target refuses, by their numbers; none if the error is not of such rows."""
        hooked = isinstance(self._at, RunSql) and self._at.hook
        if unit.probe is None or hooked or not may_be_of_row(error):
            return {}
        with self._masking(), probing.wrapped("looking for the rows that are refused"):
            self._quiet = True
            try:
                with self.connection.transaction(force_rollback=True):
                    self.open(unit)
                    before()
                    found = self._refused(unit, unit.probe)
            finally:
                self._quiet = False
        return {} if 0 in found else found  # 0 are deletes, which are no row of the source

    def _refused(self, unit: Unit, probe: Probe) -> dict[int, Refusal]:
        """Return the rows that the target refuses, by the steps of the unit up to its writing."""
        self.prepare()
        ahead, hooks = badrows.before_writing(unit)
        self.steps(ahead, ahead.steps, last_resort=True)
        kept = next((step for step in (*unit.steps, *unit.sift) if isinstance(step, KeepBadRows)), None)
        return self._probed(probe, hooks, enough=badrows.enough(kept.most) if kept is not None else None)

    def _probed(
        self, probe: Probe, hooks: Sequence[RunSql], *, enough: int | None = None
    ) -> dict[int, Refusal]:
        """Return the rows that the target refuses, of those that are classified."""
        for statement in probe.prepare:
            self.connection.execute(statement.encode())
        numbers = [int(row[0]) for row in self.connection.execute(probe.numbers.encode())]
        return probing.guilty(
            self.connection,
            numbers,
            lambda: probing.applied(self.connection, probe.writes, hooks, self._use_path),
            lambda error: refusal(error, self.plan.sensitive, self.plan.target),
            enough=enough,
        )
