"""Carry out the chunks of a unit on several connections at the same time; they commit in their order.

So the ledger, the events and what a rerun finds are those of a single connection, whatever the number of lanes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from syncengine import stopping
from syncengine.connect import cut
from syncengine.execute.endings import StagingGone
from syncengine.execute.lane import LOOK_SECONDS, Lane, Shared, Work, attempt
from syncengine.model import events as ev
from syncengine.model.plan import Unit

if TYPE_CHECKING:
    from syncengine.execute.apply import Run
    from syncengine.execute.stepping import Connection

# The server's disk and the end of the table are shared: more lanes than these gain little.
MOST = 4
# How long cancelled statements get to end, and then what waits for a connection that was cut.
PATIENCE = 1.0
_MOMENT = 0.2


def lanes_of(run: Run, unit: Unit) -> int:
    """Return how many chunks of a unit are carried out at the same time."""
    if run.another is None or run.entry is None or unit.workers == 1:
        return 1
    # A chunk that goes straight into the target waits for the disk when it commits: meanwhile another can be sent.
    waits = unit.chunks == "source" and unit.closing[0].phase == "publish"
    return unit.workers or min(MOST, run.most_lanes or _cores() + waits)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def carry_out(run: Run, unit: Unit, works: Iterator[Work], bytes_read: Callable[[], int]) -> None:
    """Carry out works in their order, each on the first connection that is free.

    They are taken from the iterator by the calling thread, which also emits all events.  Raises what the first one
    that fails raises, once those before it are done; those after it are undone.
    """
    count = lanes_of(run, unit)
    if count > 1:
        _Lanes(run, unit, bytes_read).carry_out(works, count)
        return
    for work in works:
        started = time.monotonic()
        attempt(run, unit, work)
        if run.over:
            return
        run.chunk_committed(unit, work.number, work.of, time.monotonic() - started)


class _Lanes:
    """Hands out works to lanes, and tells of what they did in order."""

    def __init__(self, run: Run, unit: Unit, bytes_read: Callable[[], int]) -> None:
        self._run = run
        self._unit = unit
        self._bytes_read = bytes_read
        self._shared = Shared()
        self._lanes: list[Lane] = []
        self._next = self._told = 0
        self._ahead = 1

    def carry_out(self, works: Iterator[Work], count: int) -> None:
        own = Lane(self._run, self._unit, self._shared, own=True)
        self._lanes = [own, *(Lane(self._run, self._unit, self._shared) for _ in range(count - 1))]
        self._shared.working = count
        # Of more lanes than cores one is always free soon; what is read ahead for none would only take memory.
        self._ahead = 0 if count > _cores() else 1
        try:
            for lane in self._lanes:
                lane.thread.start()
            self._give(works)
            self._close()
        except BaseException:
            self._stop()
            raise
        finally:
            for lane in self._lanes:
                lane.hand_back()
        self._raise_failure()

    def _give(self, works: Iterator[Work]) -> None:
        """Hand out works; one more may be read ahead than there are lanes that wait for it."""
        shared = self._shared
        while True:
            self._await(
                lambda: len(shared.waiting) < shared.free + self._ahead or shared.failures or shared.over
            )
            if shared.failures or shared.over:
                return
            try:
                work = next(works, None)
            except (
                Exception
            ) as error:  # what comes before the place that can't be read is carried out all the same
                shared.failures[self._next] = error
                return
            if work is None:
                return
            with shared.changed:
                shared.waiting.append((self._next, work))
                shared.changed.notify_all()
            self._next += 1

    def _close(self) -> None:
        """Wait until all works are done, or given up."""
        with self._shared.changed:
            self._shared.closed = True
            self._shared.changed.notify_all()
        self._await(lambda: self._shared.working == 0)
        self._tell()

    def _await(self, true: Callable[[], object]) -> None:
        """Wait, and tell meanwhile what happens."""
        met: object = False
        while not met:
            with self._shared.changed:
                met = self._shared.changed.wait_for(true, LOOK_SECONDS)
            self._tell()

    def _tell(self) -> None:
        """Emit what is to be told of committed chunks, in their order."""
        while (done := self._shared.done.pop(self._told, None)) is not None:
            for event in done.events:
                self._run.emit(event)
            if not done.over:
                self._run.chunk_committed(self._unit, done.work.number, done.work.of, done.seconds)
            self._told += 1
        self._run.emit(ev.Progress(rows=None, bytes=self._bytes_read()))

    def _stop(self) -> None:
        """Cancel all statements, and give them a moment to be rolled back."""
        with self._shared.changed:
            self._shared.stopped = self._shared.closed = True
            self._shared.changed.notify_all()
        threads = [lane.thread for lane in self._lanes]
        if not stopping.end(threads, self._busy, PATIENCE):
            for connection in self._busy():
                cut(connection)
            stopping.end(threads, list, _MOMENT)

    def _busy(self) -> list[Connection]:
        """Return the connections on which there may be a statement under way."""
        return [
            lane.connection for lane in self._lanes if lane.thread.is_alive() and lane.connection is not None
        ]

    def _raise_failure(self) -> None:
        failures = self._shared.failures
        if not failures:
            return
        first = failures[min(failures)]
        if isinstance(first, StagingGone):
            self._run.reconnect()  # the run's own connection was lost with the others
        raise first
