"""The faults: each is laid as a trap before a run starts, springs at a place in it, and is cleared up after it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import psycopg

from syncengine.values import replace
from tests.chaos.cases import BAD, LOCK_TIMEOUT
from tests.chaos.field import OURS, Field
from tests.faults.processes import Ended, worker
from tests.faults.proxy import Deal, Trap

# How long a second run is given to be let in beside one that stands still.
PATIENCE = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much there is of an undisturbed run: what its client sends, how often it commits, how many events it has."""

    messages: int
    commits: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault, where in a run it strikes (a share of it), and how hard (another)."""

    kind: str
    place: float
    strength: float

    def __str__(self) -> str:
        return f"{self.kind}@{self.place:.3f}/{self.strength:.3f}"

    def laid(self, field: Field, extent: Extent) -> AbstractContextManager[Callable[[], bool]]:
        """Lay the fault; what is given tells whether it has struck."""
        return KINDS[self.kind](self, field, extent)

    def message(self, extent: Extent) -> int:
        return min(extent.messages, 1 + int(self.place * extent.messages))

    def commit(self, extent: Extent) -> int:
        return min(extent.commits, 1 + int(self.place * extent.commits))


def parse(text: str) -> Fault:
    """Return the fault that `str` gave."""
    kind, _, numbers = text.partition("@")
    place, _, strength = numbers.partition("/")
    return Fault(kind=kind, place=float(place), strength=float(strength))


def any_fault(kind: str, dice: random.Random) -> Fault:
    """Make up a fault: more often in the later part of a run, as the first only looks at the table.

    The very end is left out, since not all runs are of the same length.
    """
    return Fault(kind=kind, place=round(0.95 * dice.random() ** 0.6, 3), strength=round(dice.random(), 3))


Laid = Iterator[Callable[[], bool]]
Kind = Callable[[Fault, Field, Extent], AbstractContextManager[Callable[[], bool]]]


def _signal(number: signal.Signals) -> Kind:
    @contextmanager
    def laid(fault: Fault, field: Field, extent: Extent) -> Laid:
        trap = Trap(at=fault.message(extent), act=lambda: field.running().send(number))
        field.proxy.trap(trap)
        yield lambda: trap.sprung

    return laid


@contextmanager
def killed_at_event(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Kill the client at one of its own events, by its own hand."""
    at = min(extent.events, 1 + int(fault.place * extent.events))
    usual = field.command
    field.command = lambda field, url: worker(field.spec, url, at=at)
    try:
        yield lambda: field.client is not None and not field.client.running and field.client.wait().code < 0
    finally:
        field.command = usual


@contextmanager
def killed_at_commit(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Kill the client when a COMMIT is done and before it hears of it."""
    trap = Trap(
        at=fault.commit(extent),
        commits=True,
        deal=Deal.SWALLOW,
        then=lambda: field.running().send(signal.SIGKILL),
    )
    field.proxy.trap(trap)
    yield lambda: trap.sprung


def _commit_lost(deal: Deal) -> Kind:
    @contextmanager
    def laid(fault: Fault, field: Field, extent: Extent) -> Laid:
        trap = field.proxy.trap(Trap(at=fault.commit(extent), commits=True, deal=deal))
        yield lambda: trap.sprung

    return laid


@contextmanager
def cut(fault: Fault, field: Field, extent: Extent) -> Laid:
    trap = field.proxy.trap(Trap(at=fault.message(extent), deal=Deal.DROP))
    yield lambda: trap.sprung


@contextmanager
def latency(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Make each block late from a place on."""

    def act() -> None:
        field.proxy.latency = 0.002 + 0.02 * fault.strength

    trap = field.proxy.trap(Trap(at=fault.message(extent), act=act))
    yield lambda: trap.sprung


@contextmanager
def blackhole(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Let nothing through for up to 1.5 seconds."""
    trap = Trap(at=fault.message(extent), act=lambda: field.proxy.blackhole(0.2 + 1.3 * fault.strength))
    field.proxy.trap(trap)
    yield lambda: trap.sprung


@contextmanager
def terminated(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Have the server end all sessions of the client."""

    def act() -> None:
        with field.connect() as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) {OURS}".encode(), [field.database])

    trap = field.proxy.trap(Trap(at=fault.message(extent), act=act))
    yield lambda: trap.sprung


@contextmanager
def restarted(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Crash the server, and start it again up to a second later."""
    down = threading.Event()

    def back() -> None:
        time.sleep(fault.strength)
        field.server.restart()

    thread = threading.Thread(target=back)

    def act() -> None:
        field.server.crash()
        down.set()
        thread.start()

    trap = field.proxy.trap(Trap(at=fault.message(extent), act=act))
    try:
        yield lambda: trap.sprung
    finally:
        # A client that ended at once must not find the server gone, nor must who comes after it.
        if trap.sprung:
            down.wait()
            thread.join()


@contextmanager
def zombie(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Stop the client, have another run do the work meanwhile, then wake it up.

    Where each run inserts, one that was stopped before it had entered the ledger is a second run, and does so as well.
    """

    def meanwhile() -> None:
        try:
            field.others += _let_in(field)
        finally:
            field.running().send(signal.SIGCONT)

    thread = threading.Thread(target=meanwhile)

    def act() -> None:
        field.running().send(signal.SIGSTOP)
        thread.start()

    trap = field.proxy.trap(Trap(at=fault.message(extent), act=act))
    try:
        yield lambda: trap.sprung
    finally:
        if trap.sprung:
            thread.join()
            if field.world.case.mode == "insert" and field.done_runs() == 2:
                field.other = replace(field.world, incoming=field.world.incoming * 2)


def _let_in(field: Field) -> list[Ended]:
    """Run again and again until a run ends otherwise than by another's lock, or the patience does."""
    ended: list[Ended] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended.append(field.start(field.url).wait())
        if ended[-1].code not in (1, 5):
            break
        time.sleep(0.2)
    return ended


def _table_locked(seconds: float) -> Kind:
    """Have another session hold a lock on the target as soon as it gets it."""

    @contextmanager
    def laid(fault: Fault, field: Field, extent: Extent) -> Laid:
        def hold() -> None:
            with suppress(psycopg.Error), field.connect() as connection, connection.transaction():
                connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
                time.sleep(seconds)

        thread = threading.Thread(target=hold)
        trap = field.proxy.trap(Trap(at=fault.message(extent), act=thread.start))
        try:
            yield lambda: trap.sprung
        finally:
            if trap.sprung:
                thread.join()

    return laid


@contextmanager
def deadlock(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Have another session update the same rows in the opposite order, changing nothing; victims try again."""
    keys = sorted(
        {row[0] for row in field.world.stored} & {row[0] for row in field.world.incoming}, reverse=True
    )
    some = keys[:: max(1, len(keys) // 12)] or [1]
    over = threading.Event()

    def turn(connection: psycopg.Connection) -> None:
        with suppress(psycopg.errors.DeadlockDetected), connection.transaction():
            for key in some:
                connection.execute("UPDATE t SET payload = payload WHERE id = %s", [key])
                time.sleep(0.01)

    def partner() -> None:
        with suppress(psycopg.Error), field.connect() as connection:
            for _ in range(8):
                if not over.is_set():
                    turn(connection)
                    over.wait(0.05 * fault.strength)

    thread = threading.Thread(target=partner)
    trap = field.proxy.trap(Trap(at=fault.message(extent), act=thread.start))
    try:
        yield lambda: trap.sprung
    finally:
        over.set()
        if trap.sprung:
            thread.join()


@contextmanager
def source_changed(fault: Fault, field: Field, extent: Extent) -> Laid:
    """Cut the source's second half off, or append it once more, while the run goes on; then put back what it was.

    A change that comes before the reading does no harm: then the other contents are published.
    """
    whole, stat = field.source.read_bytes(), field.source.stat()
    rows = field.world.incoming
    half = len(whole) // 2 if field.source.suffix == ".gz" else whole.index(b"\n", len(whole) // 2) + 1
    before = len(rows) - sum(BAD.encode() not in line for line in whole[half:].splitlines())
    truncates = fault.strength < 0.5

    def act() -> None:
        field.other = replace(field.world, incoming=rows[:before] if truncates else rows + rows[before:])
        if truncates:
            os.truncate(field.source, half)
        else:
            with field.source.open("ab") as file:
                file.write(whole[half:])

    trap = field.proxy.trap(Trap(at=fault.message(extent), act=act))
    try:
        yield lambda: trap.sprung
    finally:
        field.source.write_bytes(whole)
        os.utime(field.source, ns=(stat.st_atime_ns, stat.st_mtime_ns))


KINDS: dict[str, Kind] = {
    "kill": _signal(signal.SIGKILL),
    "kill-at-event": killed_at_event,
    "kill-at-commit": killed_at_commit,
    "commit-lost-before": _commit_lost(Deal.DROP),
    "commit-lost-after": _commit_lost(Deal.SWALLOW),
    "restart": restarted,
    "terminate": terminated,
    "cut": cut,
    "latency": latency,
    "blackhole": blackhole,
    "zombie": zombie,
    "lock-short": _table_locked(LOCK_TIMEOUT * 0.3),
    "lock-long": _table_locked(LOCK_TIMEOUT * 2.5),
    "deadlock": deadlock,
    "source-changed": source_changed,
    "ctrl-c": _signal(signal.SIGINT),
    "sigterm": _signal(signal.SIGTERM),
}
