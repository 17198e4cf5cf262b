"""The specs of a project with `transaction: group`: planned each by itself, published together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from time import monotonic

from syncengine.entering import entered, told, without_ledger
from syncengine.errors import GroupRolledBack, OptionError, SyncError
from syncengine.execute.apply import Run
from syncengine.execute.group import Group, GroupFailed
from syncengine.inferring import inferred
from syncengine.job import Failed
from syncengine.jobs import Ready, is_kept_apart, not_started, start
from syncengine.model import events as ev
from syncengine.model.report import Report
from syncengine.model.steps import KeepBadRows
from syncengine.prepare import Prepared


def check_one_database(items: Sequence[Ready | Failed]) -> None:
    """Refuse a group over several databases: no transaction spans them.  Raises OptionError."""
    urls = {one.url for one in items if isinstance(one, Ready)}
    if len(urls) > 1:
        named = sorted({one.prepared.plan.connection for one in items if isinstance(one, Ready)})
        raise OptionError(
            f"`transaction: group` can't span several databases: {', '.join(named)}",
            hint="run the specs of each database by itself, with --select, or leave `transaction` out",
        )


def carry_out_together(items: Sequence[Ready | Failed], emit: ev.Emit) -> tuple[Report, ...]:
    """Carry out specs as one; if one fails, nothing of any of them is published, and the reports say so."""
    unplanned = next((one for one in items if isinstance(one, Failed)), None)
    if unplanned is not None:
        return tuple(_not_run(one, unplanned, emit) for one in items)
    check_one_database(items)
    ready = [one for one in items if isinstance(one, Ready)]
    turns = _Turns(emit)
    runs = [
        Run(
            one.prepared.plan,
            one.connection,
            one.prepared.source,
            partial(turns.tell, one.spec.name),
            connect=one.connect,
        )
        for one in ready
    ]
    began = monotonic()
    failure: BaseException | None = None
    for run in runs:
        start(run)
    try:
        with ExitStack() as stack:
            for one, run in zip(ready, runs, strict=True):
                _start(one, run, stack)
            prepared = {id(run): one for one, run in zip(ready, runs, strict=True)}
            Group(runs, lambda run, error: _restart(prepared[id(run)], run, error)).carry_out()
    except GroupFailed as failed:
        failure = failed.error
        for run in runs:
            error = failed.error if run is failed.run else _rolled_back(failed.run.plan.name, failed.error)
            run.emit(ev.SpecFailed(error=error))
    except BaseException as interrupted:
        failure = interrupted
        raise
    finally:
        for run in runs:
            run.tidy(run.plan.units, failure)
    for run in runs:
        run.emit(ev.SpecFinished(seconds=monotonic() - began))
    for one, run in zip(ready, runs, strict=True):
        told(one, run)
    return tuple(run.report for run in runs)


class _Turns:
    """Passes events on, and says whose they are when that changes."""

    def __init__(self, emit: ev.Emit) -> None:
        self._emit = emit
        self._name = ""

    def tell(self, name: str, event: ev.Event) -> None:
        if name != self._name:
            self._name = name
            self._emit(ev.SpecTurn(name=name))
        self._emit(event)


def _start(one: Ready, run: Run, stack: ExitStack) -> None:
    """Enter a run in the ledger, and infer what types there are to be inferred."""
    try:
        prepared = stack.enter_context(entered(one, run))
        try:
            _, run.plan = inferred(prepared, run, without_ledger)
        except SyncError as error:
            if not _restart(one, run, error):
                raise
    except SyncError as error:
        raise GroupFailed(run, error) from error


def _restart(one: Ready, run: Run, error: SyncError) -> bool:
    """Have a run stage its source so that bad rows can be kept apart, if its error comes of such rows."""
    tolerant = any(isinstance(step, KeepBadRows) for step in run.plan.steps)
    if tolerant or one.prepared.task.tolerant or not is_kept_apart(one.spec, error):
        return False
    run.start_over(error)
    run.tidy(run.plan.units)
    # A run that was gone on with has its earlier name.
    _, run.plan = inferred(_named_alike(one, run).tolerant(), run, without_ledger)
    return True


def _named_alike(one: Ready, run: Run) -> Prepared:
    return one.prepared if run.entry is None else one.prepared.named(run.entry.run, run.entry.holder)


def _rolled_back(name: str, error: SyncError) -> GroupRolledBack:
    """Return what the other specs of a group say, with the exit code of the one that failed."""
    rolled_back = GroupRolledBack(
        f"nothing was published, since `{name}` failed and they are published together",
        detail=f"{name}: {error.message}",
        hint=f"mend `{name}`",
    )
    rolled_back.exit_code = error.exit_code
    return rolled_back


def _not_run(one: Ready | Failed, unplanned: Failed, emit: ev.Emit) -> Report:
    error = one.error if isinstance(one, Failed) else _rolled_back(unplanned.spec.name, unplanned.error)
    return not_started(Failed(spec=one.spec, error=error), emit)
