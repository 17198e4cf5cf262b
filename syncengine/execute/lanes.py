"""Carry out the chunks of a unit on several connections at the same time; they commit in their order.

So the ledger, the events and what a rerun finds are those of a single connection, whatever the number of lanes.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from psycopg.pq import TransactionStatus

from syncengine import ledger, stopping
from syncengine.connect import cut
from syncengine.errors import ConnectionFailed, SyncError
from syncengine.execute.endings import StagingGone
from syncengine.model import events as ev
from syncengine.model.plan import Unit

if TYPE_CHECKING:
    from syncengine.execute.apply import Run
    from syncengine.execute.stepping import Connection

# The server's disk and the end of the table are shared: more lanes than these gain little.
MOST = 4
# How often is looked whether an earlier chunk waits for a later one, and whether the run is to stop.
LOOK_SECONDS = 0.1
# How long cancelled statements get to end, and then what waits for a connection that was cut.
PATIENCE = 1.0
_MOMENT = 0.2

Turn = Callable[[], None]


class Work(Protocol):
    """One chunk.  `body` is its transaction up to the commit; it calls `turn` before it notes what it did.

    `committed` tells, once an answer was lost, whether it was committed after all; `sift` whether it can be tried
    again without rows that the target refuses.
    """

    @property
    def number(self) -> int: ...

    @property
    def of(self) -> int | None: ...

    def body(self, run: Run, turn: Turn, *, as_planned: bool) -> None: ...

    def committed(self, run: Run) -> bool: ...

    def sift(self, run: Run, unit: Unit, error: SyncError) -> bool: ...


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


def attempt(run: Run, unit: Unit, work: Work, turn: Turn = lambda: None) -> None:
    """Carry out one work on the run's connection, as often as it takes."""

    def body(as_planned: bool) -> None:
        run.part = work.number
        work.body(run, turn, as_planned=as_planned)

    run.attempt(unit, body, lambda: work.committed(run), lambda unit, error: work.sift(run, unit, error))


class _Abandoned(BaseException):
    """An earlier chunk failed, or the run stops; what this one did is rolled back."""


class _InTheWay(BaseException):
    """An earlier chunk waits for what this one has written, which is undone until its turn has come."""


class _Done(Struct, frozen=True, kw_only=True):
    """A committed chunk, and what is to be told of it."""

    work: Work
    events: list[ev.Event]
    seconds: float
    over: bool


@dataclass(slots=True)
class _Shared:
    """What the lanes know of one another; guarded by `changed`.  Works are known by their places, from 0.

    `turn` is the place of the one that may commit.  `one_by_one`: chunks have been in one another's way, so that from
    then on each waits for its turn before it writes anything.
    """

    turn: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: deque[tuple[int, Work]] = field(default_factory=deque)
    done: dict[int, _Done] = field(default_factory=dict)
    failures: dict[int, BaseException] = field(default_factory=dict)
    working: int = 0
    free: int = 0
    closed: bool = False
    stopped: bool = False
    over: bool = False
    one_by_one: bool = False

    def given_up(self, place: int) -> bool:
        return self.stopped or self.over or any(failed < place for failed in self.failures)


class _Lanes:
    def __init__(self, run: Run, unit: Unit, bytes_read: Callable[[], int]) -> None:
        self._run = run
        self._unit = unit
        self._bytes_read = bytes_read
        self._shared = _Shared()
        self._lanes: list[_Lane] = []
        self._next = self._told = 0
        self._ahead = 1

    def carry_out(self, works: Iterator[Work], count: int) -> None:
        own = _Lane(self._run, self._unit, self._shared, own=True)
        self._lanes = [own, *(_Lane(self._run, self._unit, self._shared) for _ in range(count - 1))]
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


class _Lane:
    """A thread with a connection, on which it carries out one work after the other."""

    def __init__(self, run: Run, unit: Unit, shared: _Shared, *, own: bool = False) -> None:
        self._run = run
        self._unit = unit
        self._shared = shared
        self._own = own
        self._lane: Run | None = None
        self._events: list[ev.Event] = []
        self.thread = threading.Thread(target=self._live, name="syncengine-lane", daemon=True)

    def hand_back(self) -> None:
        """Tell the run what was found out; give it the connection that it lent, or the one that took its place."""
        if self._lane is None:
            return
        self._run.recorded |= self._lane.recorded
        self._run.over |= self._lane.over
        if self._own:
            self._run.connection = self._lane.connection

    @property
    def connection(self) -> Connection | None:
        return None if self._lane is None else self._lane.connection

    def _live(self) -> None:
        try:
            self._lane = self._run.beside(self._hear, own=self._own)
            self._work(self._lane)
        except ConnectionFailed:
            pass  # the server takes no more connections; the others carry on
        finally:
            if self._lane is not None and not self._own:
                self._lane.connection.close()
            with self._shared.changed:
                self._shared.working -= 1
                self._shared.changed.notify_all()

    def _hear(self, event: ev.Event) -> None:
        if self._shared.stopped:
            raise _Abandoned
        if not isinstance(event, ev.Progress):
            self._events.append(event)

    def _work(self, lane: Run) -> None:
        shared = self._shared
        while (taken := self._take()) is not None:
            place, work = taken
            started = time.monotonic()
            try:
                self._carry_out(lane, place, work)
            except _Abandoned:
                continue
            except BaseException as error:
                with shared.changed:
                    shared.failures[place] = error
                    shared.changed.notify_all()
                continue
            seconds = time.monotonic() - started
            done = _Done(work=work, events=self._events, seconds=seconds, over=lane.over)
            with shared.changed:
                shared.done[place] = done
                shared.over |= lane.over
                shared.turn = place + 1
                shared.changed.notify_all()

    def _take(self) -> tuple[int, Work] | None:
        """Return the next work and its place, None if there is none left."""
        shared = self._shared
        with shared.changed:
            shared.free += 1
            shared.changed.notify_all()
            shared.changed.wait_for(lambda: shared.waiting or shared.closed or shared.failures)
            shared.free -= 1
            if not shared.waiting or shared.given_up(shared.waiting[0][0]):
                return None
            return shared.waiting.popleft()

    def _carry_out(self, lane: Run, place: int, work: Work) -> None:
        while True:
            self._events = []
            if self._shared.one_by_one:
                self._await_turn(lane, place)
            try:
                attempt(lane, self._unit, work, lambda: self._await_turn(lane, place))
                return
            except _InTheWay:
                self._shared.one_by_one = True
                if lane.connection.closed and (entry := lane.entry) is not None:
                    lane.surely(lambda: ledger.state(lane.connection, entry))

    def _await_turn(self, lane: Run, place: int) -> None:
        """Return once all works before this one are committed."""
        shared = self._shared
        while True:
            with shared.changed:
                shared.changed.wait_for(lambda: shared.turn == place or shared.given_up(place), LOOK_SECONDS)
                if shared.given_up(place):
                    raise _Abandoned
                if shared.turn == place:
                    return
            if self._in_the_way(lane):
                raise _InTheWay

    def _in_the_way(self, lane: Run) -> bool:
        """Tell whether anyone waits for what the transaction of this lane holds, if one is open.

        An earlier chunk may wait for another session which waits for this one: the server sees no deadlock in that.
        """
        if lane.connection.info.transaction_status != TransactionStatus.INTRANS:
            return False
        return ledger.is_in_the_way(lane.connection)
