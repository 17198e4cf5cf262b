"""What a call asks for: a spec in its project; and a spec that could not be planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from syncengine.errors import OptionError, SyncError
from syncengine.model.spec import Limit, Limits, Spec
from syncengine.values import replace

if TYPE_CHECKING:
    from syncengine.spec.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A spec with the project it belongs to, and the rows that a Python caller handed over instead of a source.

    `retried_run`: of a spec that reads its rows in the quarantine, only those of this run.
    """

    spec: Spec
    project: Project
    rows: object = field(default=None, repr=False)
    retried_run: str | None = None


def approvals(given: Mapping[str, object]) -> dict[str, Limit]:
    """Return limits by name, of numbers or texts such as `5%`.  Raises OptionError with what is known.

    >>> approvals({"max_deletes": 1200})
    {'max_deletes': Limit(count=1200, share=None)}
    """
    known = Limits.__struct_fields__
    found = {}
    for name, value in given.items():
        limit = Limit.parse(str(value))
        if name not in known or limit is None:
            hint = f"write {known[1]}=1200 or {known[1]}=5%; there are {', '.join(known)}"
            raise OptionError(f"`{name}={value}` approves no limit", hint=hint)
        found[name] = limit
    return found


def approved(
    jobs: Iterable[Job],
    limits: Mapping[str, Limit],
    *,
    again: bool = False,
    restart: bool = False,
    wait: bool = False,
) -> tuple[Job, ...]:
    """Return the jobs with these limits in place of their specs' own, and with what else the call asks for.

    `again`: publish a source once more; `restart`: start an unfinished run over; `wait`: for another run of the spec.
    """
    named = tuple((name, str(limit)) for name, limit in limits.items())

    def one(spec: Spec) -> Spec:
        allowed = replace(spec.limits, **limits)
        return replace(spec, limits=allowed, approved=named, again=again, restart=restart, wait=wait)

    return tuple(replace(job, spec=one(job.spec)) for job in jobs)


def previewed(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return the jobs for a call that writes nothing."""
    return tuple(replace(job, spec=replace(job.spec, previewed=True)) for job in jobs)


class Failed(Struct, frozen=True, kw_only=True):
    """A spec that could not be planned."""

    spec: Spec
    error: SyncError
