"""Carry out the specs of a call: one after the other, or by several threads, each spec when those before it are done.

Each thread has connections of its own.  An interruption comes to the main thread, which then stops all others.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from syncengine import stopping
from syncengine.errors import DependencyFailed, SyncError
from syncengine.job import Failed
from syncengine.jobs import Ready, carry_out, not_started
from syncengine.model import events as ev
from syncengine.model.report import Report
from syncengine.order import Wait
from syncengine.spec.positions import child
from syncengine.targets import Connections
from syncengine.values import replace

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

# How long stopped specs get to undo what they did.
PATIENCE = 1.2


def carry_out_all(
    items: Sequence[Ready | Failed], waits: Sequence[Wait], emit: ev.Emit, jobs: int = 1
) -> tuple[Report, ...]:
    """Carry out specs that stand in an order that keeps the waits, up to `jobs` of them at the same time.

    What a spec needs and what failed keeps it from being started; its report says so.  `emit` is called by one
    thread at a time, and by the same one for all events of a spec.
    """
    if min(jobs, len(items)) > 1:
        return _Crew(items, waits, emit).work(min(jobs, len(items)))
    reports: dict[int, Report] = {}
    for place, one in enumerate(items):
        reason = _blocked(place, items, waits, reports)
        one = Failed(spec=one.spec, error=reason) if reason else one
        reports[place] = not_started(one, emit) if isinstance(one, Failed) else carry_out(one, emit)
    return tuple(reports.values())


def _blocked(
    place: int, items: Sequence[Ready | Failed], waits: Sequence[Wait], reports: Mapping[int, Report]
) -> DependencyFailed | None:
    """Return why a spec must not be started, once all that it waits for are done."""
    for wait in waits:
        error = reports[wait.after].error if wait.spec == place and wait.needs else None
        if error is None:
            continue
        spec, before = items[place].spec, items[wait.after].spec
        named = before.name in spec.depends_on
        location = spec.mark(child("/depends_on", spec.depends_on.index(before.name))) if named else None
        way = f"{spec.name} comes after {before.name} ({wait.reason})"
        if isinstance(error, DependencyFailed):
            return DependencyFailed(
                error.message, detail=f"{way}; {error.detail}", hint=error.hint, location=location
            )
        message = f"the spec `{before.name}` failed, and this one depends on it"
        return DependencyFailed(message, detail=way, hint=f"mend `{before.name}`", location=location)
    return None


class _Stopped(BaseException):
    """Ends a spec at its next event, once the crew stops."""


class _Listener:
    """Passes the events of one spec on.  Once the crew stops it ends the spec, but not its tidying up."""

    def __init__(self, crew: _Crew, one: Ready) -> None:
        self._crew = crew
        self._always = {unit.name for unit in one.prepared.plan.units if unit.always}
        self._told = False
        self.tidying = False

    def __call__(self, event: ev.Event) -> None:
        if isinstance(event, ev.UnitStarted):
            self.tidying = event.unit in self._always
        if not self._crew.stopping:
            self._crew.tell(event)
        elif not (self.tidying or self._told):
            self._told = True
            raise _Stopped


class _Crew:
    """Threads that take the specs in order; everything they share is guarded by `_changed`."""

    def __init__(self, items: Sequence[Ready | Failed], waits: Sequence[Wait], emit: ev.Emit) -> None:
        self._items = items
        self._waits = waits
        self._emit = emit
        # The cores are busy with several specs already.
        self._lanes = 1
        self._telling = threading.Lock()
        self._changed = threading.Condition()
        self._left = list(range(len(items)))
        self._reports: dict[int, Report] = {}
        self._running: dict[int, tuple[_Listener, psycopg.Connection[TupleRow]]] = {}
        self._failure: BaseException | None = None
        self.stopping = False

    def work(self, jobs: int) -> tuple[Report, ...]:
        threads = [
            threading.Thread(target=self._worker, name=f"syncengine-worker-{number}", daemon=True)
            for number in range(jobs)
        ]
        try:
            for thread in threads:
                thread.start()
            with self._changed:
                self._changed.wait_for(lambda: self._failure or len(self._reports) == len(self._items))
            if self._failure is not None:
                raise self._failure
        except BaseException:
            self._stop(threads)
            raise
        for thread in threads:
            thread.join()
        return tuple(self._reports[place] for place in range(len(self._items)))

    def tell(self, event: ev.Event) -> None:
        with self._telling:
            self._emit(event)

    def _worker(self) -> None:
        try:
            with Connections() as connections:
                while (place := self._take()) is not None:
                    self._finish(place, self._report(place, connections))
        except _Stopped:
            pass
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _take(self) -> int | None:
        """Return the first spec that waits for nobody any more, None at the end."""
        with self._changed:
            while self._left and not self.stopping:
                for place in self._left:
                    if all(wait.after in self._reports for wait in self._waits if wait.spec == place):
                        self._left.remove(place)
                        return place
                self._changed.wait()
        return None

    def _finish(self, place: int, report: Report) -> None:
        with self._changed:
            self._running.pop(place, None)
            self._reports[place] = report
            self._changed.notify_all()

    def _report(self, place: int, connections: Connections) -> Report:
        one = self._items[place]
        error: SyncError | None = _blocked(place, self._items, self._waits, self._reports)
        if error is None and isinstance(one, Ready):
            try:
                connect = partial(connections.to, one.url)
                one = replace(one, connection=connect(), connect=connect)
            except SyncError as failed:
                error = failed
        if error is not None:
            one = Failed(spec=one.spec, error=error)
        if isinstance(one, Failed):
            return not_started(one, self.tell)
        listener = _Listener(self, one)
        with self._changed:
            self._running[place] = (listener, one.connection)
        return carry_out(one, listener, self._lanes)

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        """End all running specs; what can't be ended in time, as its source does not answer, is left behind."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()
        stopping.end(threads, self._busy, PATIENCE)

    def _busy(self) -> list[psycopg.Connection[TupleRow]]:
        """Return the connections of specs that are to be stopped: those that tidy up are left alone."""
        with self._changed:
            return [connection for listener, connection in self._running.values() if not listener.tidying]
