"""Several specs of one call: which are meant, in which order they run, and what each waits for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from syncengine import catalog
from syncengine.errors import SpecErrors, SyncError
from syncengine.job import Job
from syncengine.model.plan import After
from syncengine.model.spec import Spec
from syncengine.order import Order, Wait, arrange
from syncengine.select import asks_for_needs, select
from syncengine.spec.depends import circular, stated_waits

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from syncengine.targets import Targets


class Schedule(Struct, frozen=True, kw_only=True):
    """Jobs in the order in which they run, with waits and circles of foreign keys by their places in it."""

    jobs: tuple[Job, ...]
    waits: tuple[Wait, ...] = ()
    circles: tuple[tuple[int, ...], ...] = ()

    def after(self, place: int) -> tuple[After, ...]:
        """Return for which specs one waits, in the order in which they run."""
        mine = sorted((wait for wait in self.waits if wait.spec == place), key=lambda wait: wait.after)
        return tuple(After(name=self.jobs[wait.after].spec.name, reason=wait.reason) for wait in mine)

    def warnings(self, place: int) -> tuple[str, ...]:
        """Return what to tell people of one spec's place."""
        return tuple(
            f"foreign keys go in a circle, so that the given order is kept: {self._way(numbers)};"
            " it can work if the constraints are deferred"
            for numbers in self.circles
            if place in numbers
        )

    def _way(self, numbers: Sequence[int]) -> str:
        return " -> ".join(self.jobs[number].spec.name for number in numbers)


class _Around(Struct, frozen=True, kw_only=True):
    """What the targets' databases say: what table each target is, and waits for foreign keys."""

    tables: tuple[Hashable, ...]
    waits: tuple[Wait, ...] = ()

    def among(self, numbers: Sequence[int]) -> _Around:
        tables = tuple(self.tables[number] for number in numbers)
        return _Around(tables=tables, waits=_renumbered(self.waits, numbers))


def schedule(jobs: Sequence[Job], targets: Targets, wanted: Sequence[str] = ()) -> Schedule:
    """Return the schedule of the jobs that are `wanted`, all if nothing is.

    Raises SpecErrors for circles of `depends_on`, OptionError for what selects nothing.
    """
    problems = circular(_specs(jobs))
    if problems:
        raise SpecErrors(problems)
    if not asks_for_needs(wanted):
        jobs = [jobs[number] for number in select(_specs(jobs), wanted)]
    around = _look_around(jobs, targets)
    order = _order(jobs, around)
    if asks_for_needs(wanted):
        chosen = select(_specs(jobs), wanted, order.waits)
        jobs, around = [jobs[number] for number in chosen], around.among(chosen)
        order = _order(jobs, around)
    places = {number: place for place, number in enumerate(order.numbers)}
    return Schedule(
        jobs=tuple(jobs[number] for number in order.numbers),
        waits=_renumbered(order.waits, order.numbers),
        circles=tuple(tuple(places[number] for number in way) for way in order.circles),
    )


def _specs(jobs: Sequence[Job]) -> list[Spec]:
    return [job.spec for job in jobs]


def _order(jobs: Sequence[Job], around: _Around) -> Order:
    return arrange(len(jobs), stated_waits(_specs(jobs)), around.waits, around.tables)


def _renumbered(waits: Sequence[Wait], numbers: Sequence[int]) -> tuple[Wait, ...]:
    """Return the waits between specs of these numbers, by their places among them."""
    places = {number: place for place, number in enumerate(numbers)}
    return tuple(
        Wait(spec=places[wait.spec], after=places[wait.after], reason=wait.reason, needs=wait.needs)
        for wait in waits
        if wait.spec in places and wait.after in places
    )


def _look_around(jobs: Sequence[Job], targets: Targets) -> _Around:
    """Ask each database once for all that the jobs write to there."""
    tables: list[Hashable] = [("unknown", number) for number in range(len(jobs))]
    waits: list[Wait] = []
    for place, numbers in _by_database(jobs, targets).items():
        if len(numbers) < 2:
            continue
        names = [(jobs[number].spec.target.schema, jobs[number].spec.target.table) for number, _ in numbers]
        found = catalog.references(numbers[0][1], names)
        for (number, _), table in zip(numbers, found.tables, strict=True):
            tables[number] = (place, table)
        waits += [
            Wait(spec=numbers[child][0], after=numbers[parent][0], reason=f"foreign key {constraint}")
            for child, parent, constraint in found.keys
            if found.tables[child] != found.tables[parent]
        ]
    return _Around(tables=tuple(tables), waits=tuple(waits))


Numbered = tuple[int, "psycopg.Connection[TupleRow]"]


def _by_database(jobs: Sequence[Job], targets: Targets) -> dict[Hashable, list[Numbered]]:
    """Return the jobs' numbers and connections by database; none for one job alone, which waits for nobody."""
    found: dict[Hashable, list[Numbered]] = {}
    if len(jobs) < 2:
        return found
    for number, job in enumerate(jobs):
        try:
            connection = targets.connect(job.spec, job.project).connection
        except SyncError:
            continue  # the same comes when the job is made ready, and is reported for it
        info = connection.info
        found.setdefault((info.host, info.port, info.dbname), []).append((number, connection))
    return found
