"""One of the connections that carry out the chunks of a unit, and what they know of one another."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from psycopg.pq import TransactionStatus

from syncengine import ledger
from syncengine.errors import ConnectionFailed, SyncError
from syncengine.model import events as ev
from syncengine.model.plan import Unit

if TYPE_CHECKING:
    from syncengine.execute.apply import Run
    from syncengine.execute.stepping import Connection

# How often is looked whether an earlier chunk waits for a later one, and whether the run is to stop.
LOOK_SECONDS = 0.1

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


class Done(Struct, frozen=True, kw_only=True):
    """A committed chunk, and what is to be told of it."""

    work: Work
    events: list[ev.Event]
    seconds: float
    over: bool


@dataclass(slots=True)
class Shared:
    """What the lanes know of one another; guarded by `changed`.  Works are known by their places, from 0.

    `turn` is the place of the one that may commit.  `one_by_one`: chunks have been in one another's way, so that from
    then on each waits for its turn before it writes anything.
    """

    turn: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: deque[tuple[int, Work]] = field(default_factory=deque)
    done: dict[int, Done] = field(default_factory=dict)
    failures: dict[int, BaseException] = field(default_factory=dict)
    working: int = 0
    free: int = 0
    closed: bool = False
    stopped: bool = False
    over: bool = False
    one_by_one: bool = False

    def given_up(self, place: int) -> bool:
        return self.stopped or self.over or any(failed < place for failed in self.failures)


class Lane:
    """A thread with a connection, on which it carries out one work after the other."""

    def __init__(self, run: Run, unit: Unit, shared: Shared, *, own: bool = False) -> None:
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
            done = Done(work=work, events=self._events, seconds=seconds, over=lane.over)
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
