"""What a call asks for: a spec in its project; and a spec that could not be planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from syncengine.errors import SyncError
from syncengine.model.spec import Limit, Spec

if TYPE_CHECKING:
    from syncengine.spec.project import Project

# How the names of threads begin that carry out specs.
WORKER = "syncengine-worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A spec with the project it belongs to, and the rows that a Python caller handed over instead of a source."""

    spec: Spec
    project: Project
    rows: object = None


def approved(jobs: Iterable[Job], limits: Mapping[str, Limit], *, again: bool = False) -> tuple[Job, ...]:
    """Return the jobs with these limits in place of their specs' own; `again`: publish a source once more."""

    def one(spec: Spec) -> Spec:
        return replace(spec, limits=replace(spec.limits, **limits), again=again)

    return tuple(replace(job, spec=one(job.spec)) for job in jobs)


def previewed(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return the jobs for a call that writes nothing."""
    return tuple(replace(job, spec=replace(job.spec, previewed=True)) for job in jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A spec that could not be planned."""

    spec: Spec
    error: SyncError
