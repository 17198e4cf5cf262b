"""Paths, mappings and specs -> jobs: what a call is about, before any server is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syncengine.errors import OptionError, SpecError, SpecErrors, SyncError
from syncengine.job import Job
from syncengine.model.spec import Spec

if TYPE_CHECKING:
    from syncengine.spec.project import Project

STDIN = "-"
SpecLike = str | os.PathLike[str] | Mapping[str, object] | Spec


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
