"""Join the rooms: load, plan and run specs.  What the command line and Python callers use."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncengine.errors import SpecErrors, SyncError
from syncengine.job import Failed, Job, approvals, approved, previewed
from syncengine.loading import SpecLike, job
from syncengine.model import events as ev
from syncengine.model.plan import Plan
from syncengine.model.report import Report
from syncengine.model.rights import Grants

if TYPE_CHECKING:
    from syncengine.jobs import Ready
    from syncengine.memory import Ledger
    from syncengine.order import Wait
    from syncengine.targets import Targets


def _ignore(event: ev.Event) -> None:
    """Let an event go by."""


def _silent(name: str, place: str, note: str | None) -> None:
    """Let the choice of a database go by."""


# Told of each database that is used: how it was chosen, where it is, and what else there is to know.
Announce = Callable[[str, str, str | None], None]


def plan(
    spec: SpecLike,
    *,
    source: object = None,
    connection: str | None = None,
    env: str | None = None,
    approve: Mapping[str, object] | None = None,
    diff: bool = False,
) -> Plan:
    """Return what a run would do, without writing anything; with `diff` its `preview` holds exact numbers.

    `source` stands in for the spec's own: any iterable of dicts or tuples.  A generator is read as far as needed to
    learn its fields.  Raises SyncError.
    """
    with _single_problem():
        jobs = approved([job(spec, source=source, env=env)], approvals(approve or {}))
        planned = plan_all(jobs, connection=connection, diff=diff)[0]
    if isinstance(planned, Failed):
        raise planned.error
    return planned


def run(
    spec: SpecLike,
    *,
    source: object = None,
    connection: str | None = None,
    env: str | None = None,
    approve: Mapping[str, object] | None = None,
    again: bool = False,
    restart: bool = False,
    wait: bool = False,
    emit: ev.Emit = _ignore,
) -> Report:
    """Carry out one spec and return its report; raises SyncError, after which the target is as it was.

    `source` stands in for the spec's own: any iterable of dicts or tuples, read once and in bounded memory.
    `approve` puts limits in place of the spec's (`{"max_deletes": 1200}`); `again` publishes contents once more that
    were added up; `restart` starts over where an earlier run stopped; `wait` waits for another run of the spec.
    """
    from syncengine.sources import close

    try:
        with _single_problem():
            jobs = approved(
                [job(spec, source=source, env=env)],
                approvals(approve or {}),
                again=again,
                restart=restart,
                wait=wait,
            )
            report = run_all(jobs, connection=connection, emit=emit)[0]
    finally:
        close(source)
    if report.error is not None:
        raise report.error
    return report


async def arun(
    spec: SpecLike,
    *,
    source: object = None,
    connection: str | None = None,
    env: str | None = None,
    approve: Mapping[str, object] | None = None,
    again: bool = False,
    restart: bool = False,
    wait: bool = False,
    emit: ev.Emit = _ignore,
) -> Report:
    """Carry out one spec without blocking the event loop; `source` may also be an async iterable."""
    # Late, as it takes longer to import than a small plan to make.
    import asyncio

    from syncengine.sources import from_async

    if isinstance(source, AsyncIterable):
        source = from_async(source, asyncio.get_running_loop())
    return await asyncio.to_thread(
        run,
        spec,
        source=source,
        connection=connection,
        env=env,
        approve=approve,
        again=again,
        restart=restart,
        wait=wait,
        emit=emit,
    )


@contextmanager
def _single_problem() -> Iterator[None]:
    """Raise a problem that is the only one as what it is, so that callers can tell a NoArbiterIndex."""
    try:
        yield
    except SpecErrors as error:
        if len(error.each()) > 1:
            raise
        raise error.each()[0] from error.__cause__


def plan_all(
    specs: Iterable[Job],
    *,
    connection: str | None = None,
    select: Sequence[str] = (),
    diff: bool = False,
    emit: ev.Emit = _ignore,
    announce: Announce = _silent,
) -> tuple[Plan | Failed, ...]:
    """Plan loaded specs, in the order in which they would run.

    With `diff` each is rehearsed in a transaction that is rolled back, against the targets as they are now.  Raises
    SpecErrors if any of them can't be carried out as it stands.
    """
    from syncengine.jobs import rehearse

    with _targets(connection, announce) as targets:
        planned, _ = _plan_each(previewed(specs) if diff else specs, targets, select, run_id=None)
        if diff:
            planned = [one if isinstance(one, Failed) else rehearse(one, emit) for one in planned]
        return tuple(one if isinstance(one, Failed) else one.prepared.plan for one in planned)


def run_all(
    specs: Iterable[Job],
    *,
    connection: str | None = None,
    select: Sequence[str] = (),
    jobs: int = 1,
    run_id: str | None = None,
    emit: ev.Emit = _ignore,
    announce: Announce = _silent,
) -> tuple[Report, ...]:
    """Plan loaded specs, then carry them out; one that fails keeps back only those that depend on it.

    They run in the order that `depends_on` and foreign keys ask for, else in the given one, up to `jobs` of them at
    the same time, each in a thread of its own.  `select` is that of `load`, and knows foreign keys.  Raises SpecErrors
    before anything is written if any spec can't be carried out as it stands; what fails later is in its report.
    """
    from syncengine.crew import carry_out_all
    from syncengine.together import carry_out_together

    with _targets(connection, announce) as targets:
        planned, waits = _plan_each(specs, targets, select, run_id=run_id or new_run_id())
        if any(one.group for one in planned if not isinstance(one, Failed)):
            return carry_out_together(planned, emit)
        return carry_out_all(planned, waits, emit, jobs)


def grants_all(
    specs: Iterable[Job],
    *,
    role: str | None = None,
    connection: str | None = None,
    select: Sequence[str] = (),
    announce: Announce = _silent,
) -> Grants:
    """Return the rights that loaded specs need in their database, and which of them a role lacks.

    The role is the connected one unless another is named; what it lacks is no error.  Raises SyncError.
    """
    from syncengine.grants import grants

    with _targets(connection, announce) as targets:
        return grants(tuple(specs), targets, role, select)


@contextmanager
def ledger_of(
    *, connection: str | None = None, env: str | None = None, announce: Announce = _silent
) -> Iterator[Ledger]:
    """Yield the ledger of the project that the working folder is in.  Raises SyncError."""
    from pathlib import Path

    from syncengine.memory import Ledger
    from syncengine.spec.project import load_project

    project = load_project(Path.cwd(), os.environ, env)
    with _targets(connection, announce) as targets:
        yield Ledger(targets.connect_default(project).connection, project.ledger_schema)


def new_run_id() -> str:
    """Return an id for one call, short enough to be part of a table's name."""
    return secrets.token_hex(6)


def _targets(connection: str | None, announce: Announce) -> Targets:
    from syncengine.targets import Targets

    return Targets(connection, os.environ, announce)


def _plan_each(
    jobs: Iterable[Job], targets: Targets, select: Sequence[str], run_id: str | None
) -> tuple[list[Ready | Failed], tuple[Wait, ...]]:
    """Plan the jobs in order; what is wrong with specs or tables is gathered and raised at the end."""
    from syncengine.jobs import make_ready
    from syncengine.schedule import schedule
    from syncengine.spec.load import without_repeats

    planned: list[Ready | Failed] = []
    ordered = schedule(tuple(jobs), targets, select)
    for place, one in enumerate(ordered.jobs):
        run = f"{run_id}_{place}" if run_id else None
        try:
            ready = make_ready(one, targets, run)
            planned.append(ready.placed(after=ordered.after(place), warnings=ordered.warnings(place)))
        except SyncError as error:
            planned.append(Failed(spec=one.spec, error=error))
    unfit = [one.error for one in planned if isinstance(one, Failed) and one.error.exit_code == 3]
    if unfit:
        raise SpecErrors(without_repeats(single for error in unfit for single in error.each()))
    return planned, ordered.waits
