"""What the specs of a call have come to so far: told when the call is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic

from syncengine.cli import interrupts
from syncengine.errors import Interrupted
from syncengine.job import Job
from syncengine.model import events as ev
from syncengine.model.report import Report
from syncengine.protocols import View
from syncengine.select import select
from syncengine.spec.depends import stated_waits


class SoFar:
    """Reports of all specs of a call, made of its events; each spec is carried out in one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Report] = {}
        self._reports: dict[str, Report] = {}
        self._began: dict[str, float] = {}
        self._done: set[str] = set()
        self._turns: dict[int, str] = {}

    def expect(self, jobs: Sequence[Job], wanted: Sequence[str]) -> None:
        """Say which specs are to come: those of `--select`, without what only foreign keys tell of."""
        specs = [job.spec for job in jobs]
        for number in select(specs, wanted, stated_waits(specs)):
            spec = specs[number]
            self._waiting[spec.name] = Report(name=spec.name, mode=spec.mode, target=str(spec.target))

    def noting(self, emit: ev.Emit) -> ev.Emit:
        """Return who passes events on, and takes note of them."""

        def noted(event: ev.Event) -> None:
            self._note(event)
            emit(event)

        return noted

    def _note(self, event: ev.Event) -> None:
        with self._lock:
            if isinstance(event, ev.SpecStarted | ev.SpecTurn):
                self._turns[threading.get_ident()] = event.name
            name = self._turns.get(threading.get_ident(), "")
            if isinstance(event, ev.SpecStarted):
                self._began[name] = monotonic()
            if isinstance(event, ev.SpecFailed | ev.SpecFinished):
                self._done.add(name)
            self._reports[name] = self._reports.get(name, Report(name=name)).after(event)

    def shown(self, view: View, run_id: str, stop: KeyboardInterrupt) -> str:
        """Return the last words: for machines of all specs, for people of those that came to their end."""
        if view.name == "text":
            return view.reports(run_id, [self._reports[name] for name in self._reports if name in self._done])
        reports = self.interrupted(stop)
        return view.reports(run_id, reports) if reports else view.problems(run_id, _error(stop))

    def interrupted(self, stop: KeyboardInterrupt) -> tuple[Report, ...]:
        """Return the reports of all specs, of which those that did not come to their end were interrupted."""
        with self._lock:
            begun = [
                report if name in self._done else self._ended(report, stop)
                for name, report in self._reports.items()
            ]
            waiting = [report for name, report in self._waiting.items() if name not in self._reports]
        return (*begun, *(report.after(_failed(stop, "not started: ")) for report in waiting))

    def _ended(self, report: Report, stop: KeyboardInterrupt) -> Report:
        seconds = monotonic() - self._began.get(report.name, monotonic())
        return report.after(_failed(stop)).after(ev.SpecFinished(seconds=seconds))


def _failed(stop: KeyboardInterrupt, before: str = "") -> ev.SpecFailed:
    return ev.SpecFailed(error=_error(stop, before))


def _error(stop: KeyboardInterrupt, before: str = "") -> Interrupted:
    """Return the error that an interruption amounts to."""
    what, _, hint = interrupts.told(stop).partition("; ")
    error = Interrupted(f"{before}{what}", hint=hint)
    error.exit_code = interrupts.code_of(stop)
    return error
