"""Join the rooms: load, plan and run specs.  What the command line and Python callers use."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from syncengine.errors import OptionError, SpecError, SpecErrors, SyncError
from syncengine.job import Failed, Job
from syncengine.model import events as ev
from syncengine.model.plan import Plan
from syncengine.model.report import Report
from syncengine.model.spec import Spec

if TYPE_CHECKING:
    from syncengine.jobs import Ready
    from syncengine.order import Wait
    from syncengine.spec.project import Project
    from syncengine.targets import Targets


def _ignore(event: ev.Event) -> None:
    """Let an event go by."""


def _silent(name: str, place: str, note: str | None) -> None:
    """Let the choice of a database go by."""


STDIN = "-"
SpecLike = str | os.PathLike[str] | Mapping[str, object] | Spec
# Told of each database that is used: how it was chosen, where it is, and what else there is to know.
Announce = Callable[[str, str, str | None], None]


def load(
    paths: Sequence[str | os.PathLike[str]] = (),
    *,
    environ: Mapping[str, str] | None = None,
    needs_source: bool = True,
    env: str | None = None,
    select: Sequence[str] = (),
) -> tuple[Job, ...]:
    """Read the specs of files, folders and `-`; raises SpecErrors with the problems of all of them.

    Without paths they are those under `specs` in the project file of the working folder.  `needs_source` False:
    specs may leave `source` out, as the caller brings the rows.  `env` is an environment of the project file.
    `select` keeps the specs of these names, of `tag:TAG`, or of `+NAME` with what their `depends_on` asks for; here
    foreign keys are not known, unlike in `run_all`.
    """
    from syncengine.spec.load import load_paths, repeated_names

    environ = os.environ if environ is None else environ
    found: list[Job] = []
    problems: list[SyncError] = []
    for project, group in _by_project(paths, environ, env):
        try:
            specs = load_paths(group, project, environ, needs_source=needs_source)
        except SpecErrors as error:
            problems += error.each()
        else:
            found += [Job(spec=spec, project=project) for spec in specs]
    problems += _surplus_readers(paths, found)
    # Within a project the names are known to differ.
    problems += repeated_names([job.spec for job in found]) if not problems else []
    problems += _wrong_dependencies(found) if not problems else []
    if problems:
        raise SpecErrors(problems)
    return _selected(found, select)


def _by_project(
    paths: Sequence[str | os.PathLike[str]], environ: Mapping[str, str], env: str | None
) -> Iterable[tuple[Project, list[Path]]]:
    """Return the paths with the projects that they are in; without paths those that the project file names."""
    from syncengine.spec.project import load_project

    if not paths:
        project = load_project(Path.cwd(), environ, env)
        return [(project, _paths_of(project))]
    starts: dict[Path, list[Path]] = {}
    for path in map(Path, paths):
        starts.setdefault(_start(path), []).append(path)
    by_folder: dict[Path, tuple[Project, list[Path]]] = {}
    for start, group in starts.items():
        project = load_project(start, environ, env)
        by_folder.setdefault(project.folder, (project, []))[1].extend(group)
    return by_folder.values()


def _paths_of(project: Project) -> list[Path]:
    if not project.specs:
        why = "syncengine.yaml names no specs" if project.file else "there is no syncengine.yaml"
        raise OptionError(
            f"no PATH is given, and {why}",
            hint="name files or folders, such as `.`, or list them under `specs:` in syncengine.yaml",
        )
    gone = [
        SpecError(f"there is no file or folder {path.name}", location=place)
        for path, place in project.specs.items()
        if not path.exists()
    ]
    if gone:
        raise SpecErrors(gone)
    return list(project.specs)


def _wrong_dependencies(jobs: Sequence[Job]) -> list[SyncError]:
    from syncengine.spec.depends import circular, unknown

    return [*unknown([(job.spec, job.project) for job in jobs]), *circular([job.spec for job in jobs])]


def _selected(jobs: Sequence[Job], wanted: Sequence[str]) -> tuple[Job, ...]:
    from syncengine.select import select
    from syncengine.spec.depends import stated_waits

    specs = [job.spec for job in jobs]
    return tuple(jobs[number] for number in select(specs, wanted, stated_waits(specs)))


def _surplus_readers(paths: Sequence[str | os.PathLike[str]], jobs: Sequence[Job]) -> list[SyncError]:
    """Return a problem for each source that is standard input after something else has read it."""
    readers = [job.spec for job in jobs if job.spec.source.options.get("path") == STDIN]
    if STDIN in map(str, paths):
        first, surplus = "the specs themselves come", readers
    else:
        first, surplus = f"the source of {readers[0].name} comes" if readers else "", readers[1:]
    message = f"standard input can be read once, and {first} from there"
    return [SpecError(message, hint="name a file", location=spec.mark("/source")) for spec in surplus]


def _start(path: Path) -> Path:
    if str(path) == STDIN:
        return Path.cwd()
    return path if path.is_dir() else path.parent


def job(
    spec: SpecLike,
    *,
    source: object = None,
    environ: Mapping[str, str] | None = None,
    env: str | None = None,
) -> Job:
    """Return the one job of a path, a mapping in the shape of a spec file, or a Spec."""
    from syncengine.spec.load import load_mapping
    from syncengine.spec.project import load_project

    environ = os.environ if environ is None else environ
    if isinstance(spec, Spec):
        return Job(spec=spec, project=load_project(Path(spec.folder), environ, env), rows=source)
    if isinstance(spec, Mapping):
        project = load_project(Path.cwd(), environ, env)
        loaded = load_mapping(
            spec, folder=Path.cwd(), project=project, environ=environ, needs_source=source is None
        )
        return Job(spec=loaded, project=project, rows=source)
    jobs = load([spec], environ=environ, needs_source=source is None, env=env)
    if len(jobs) != 1:
        raise OptionError(
            f"{os.fspath(spec)} holds {len(jobs)} specs, one is needed here",
            hint="use plan_all() or run_all() with load()",
        )
    return Job(spec=jobs[0].spec, project=jobs[0].project, rows=source)


def plan(
    spec: SpecLike,
    *,
    source: object = None,
    connection: str | None = None,
    env: str | None = None,
    diff: bool = False,
) -> Plan:
    """Return what a run would do, without writing anything; with `diff` its `preview` holds exact numbers.

    `source` stands in for the spec's own: any iterable of dicts or tuples.  A generator is read as far as needed to
    learn its fields.  Raises SyncError.
    """
    with _single_problem():
        planned = plan_all([job(spec, source=source, env=env)], connection=connection, diff=diff)[0]
    if isinstance(planned, Failed):
        raise planned.error
    return planned


def run(
    spec: SpecLike,
    *,
    source: object = None,
    connection: str | None = None,
    env: str | None = None,
    emit: ev.Emit = _ignore,
) -> Report:
    """Carry out one spec and return its report; raises SyncError, after which the target is as it was.

    `source` stands in for the spec's own: any iterable of dicts or tuples, read once and in bounded memory.
    """
    with _single_problem():
        report = run_all([job(spec, source=source, env=env)], connection=connection, emit=emit)[0]
    if report.error is not None:
        raise report.error
    return report


async def arun(
    spec: SpecLike,
    *,
    source: object = None,
    connection: str | None = None,
    env: str | None = None,
    emit: ev.Emit = _ignore,
) -> Report:
    """Carry out one spec without blocking the event loop; `source` may also be an async iterable."""
    from syncengine.sources import from_async

    if isinstance(source, AsyncIterable):
        source = from_async(source, asyncio.get_running_loop())
    return await asyncio.to_thread(run, spec, source=source, connection=connection, env=env, emit=emit)


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
        planned, _ = _plan_each(specs, targets, select, run_id=None)
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
