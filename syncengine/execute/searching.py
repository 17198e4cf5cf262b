"""Look for more bad rows after the first one has failed a run, in a transaction of which nothing stays."""

from __future__ import annotations

from syncengine.execute import badrows
from syncengine.execute.rehearsal import Rehearsal
from syncengine.model.badrows import SHOWN, BadRowSample
from syncengine.model.plan import Unit
from syncengine.model.steps import KeepBadRows

# How far a source is read for that.
MOST_ROWS = 1_000_000


class Search(Rehearsal):
    """Carries out the plan of a tolerant run up to the first bad rows.  Nothing is told of what it does."""

    def first_bad(self) -> tuple[BadRowSample, ...]:
        """Return the first bad rows, 20 at most, in the order of the source.  Raises SyncError."""
        self.most, self.enough, self._quiet = MOST_ROWS, SHOWN, True
        with self.rolled_back():
            for unit in self.plan.units:
                if unit.publishes:
                    return self._in_target(unit)
                if not unit.always:
                    self._rehearse(unit)
        return ()

    def _in_target(self, unit: Unit) -> tuple[BadRowSample, ...]:
        """Return what staging has told of, and what the target refuses of the rest."""
        self.prepare()
        staging, rest = badrows.cut(unit)
        ahead, _ = badrows.before_writing(staging)
        self.steps(ahead, ahead.steps, last_resort=True)
        step = next(step for step in rest.steps if isinstance(step, KeepBadRows))
        found = badrows.found(step, self.connection, self.source, unit.name)
        if found.rows < SHOWN and unit.probe is not None:
            refused = self._refused_of(rest, unit.probe, enough=SHOWN)
            badrows.take_out(self.connection, unit.probe.sieve, refused)
            found = badrows.found(step, self.connection, self.source, unit.name)
        return found.samples
