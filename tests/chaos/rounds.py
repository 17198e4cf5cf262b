"""One round: runs of one spec under faults until one succeeds, then one more; after each the table is looked at."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.chaos import judge
from tests.chaos.cases import CASES, Case, World, world
from tests.chaos.field import Field, a_field
from tests.chaos.injuries import KINDS, Extent, Fault, any_fault
from tests.chaos.judge import Violation
from tests.faults import processes
from tests.faults.ownserver import OwnServer
from tests.faults.processes import Ended
from tests.faults.proxy import Proxy

# Runs without faults that a round may need after those with faults; who died may have to be waited for.
TRIES = 12
PAUSE = 0.5
MOST_FAULTS = 3

Command = Callable[[Field, str], list[str]]


def engine(field: Field, url: str) -> list[str]:
    return processes.engine(field.spec, url)


def worker(field: Field, url: str) -> list[str]:
    return processes.worker(field.spec, url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is tried: all of it follows from the seed, unless faults are stated."""

    version: str
    case: str
    seed: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        faults = " ".join(str(fault) for fault in self.faults)
        return f"--pg {self.version} --case {self.case} --seed {self.seed} --faults '{faults}'"


def possible() -> list[str]:
    """Return the cases that the engine takes on."""
    return [
        name
        for name, case in CASES.items()
        if (case.transaction == "all" and not case.keyless) or _has_chunks()
    ]


@cache
def _has_chunks() -> bool:
    """Tell whether the engine commits in chunks, by a ledger that also keeps an insert from being repeated."""
    from syncengine.spec import available

    return not list(available.not_available({"execution": {"transaction": "chunk"}}))


def a_round(version: str, seed: int, *, case: str = "", kinds: Sequence[str] = ()) -> Round:
    """Make up a round; `kinds` come first, one a run, others by chance."""
    dice = random.Random(seed)
    chosen = case or dice.choice(possible())
    more = dice.choices(list(KINDS), k=dice.randint(1, MOST_FAULTS)) if not kinds else ()
    faults = tuple(any_fault(kind, dice) for kind in (*kinds, *more))
    return Round(version=version, case=chosen, seed=seed, faults=faults)


class Arena:
    """A server of its own with a proxy before it, for one round after the other."""

    def __init__(self, server: OwnServer, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self._proxy = Proxy(server.url())
        self._extents: dict[str, Extent] = {}

    def close(self) -> None:
        self._proxy.__exit__(None, None, None)

    def field(self, made: World, command: Command = engine) -> AbstractContextManager[Field]:
        return a_field(self.server, self._proxy, made, self._folder, command)

    def play(self, given: Round, command: Command = engine) -> list[Fault]:
        """Play a round; return the faults that struck.  Raises Violation."""
        case = CASES[given.case]
        extent = self.extent(case, command)
        struck: list[Fault] = []
        with self.field(world(case, random.Random(given.seed)), command) as field:
            try:
                done = _under(given.faults, field, extent, struck)
                _finish(field, done=done)
            except Violation as found:
                found.struck = tuple(struck)
                found.add_note(f"to repeat it: python -m tests.chaos {given}")
                raise
        return struck

    def extent(self, case: Case, command: Command = engine) -> Extent:
        """Return how much there is of an undisturbed run of a case; measured once."""
        key = f"{case.name} {command.__module__}"
        if key not in self._extents:
            # A worker does what the command line does, and counts its events.
            watched = worker if command is engine else command
            with self.field(world(case, random.Random(0)), watched) as field:
                self._proxy.reset()
                ended = run(field, field.url_by_proxy)
                judge.final(field, ended)
                events = json.loads(ended.out)["events"] if watched is worker else 1
                self._extents[key] = Extent(
                    messages=self._proxy.messages, commits=self._proxy.commits, events=events
                )
        return self._extents[key]


def _under(faults: Sequence[Fault], field: Field, extent: Extent, struck: list[Fault]) -> bool:
    """Run once under each fault until a run succeeds, and tell whether one did; note which faults struck."""
    for fault in faults:
        field.proxy.reset()
        with fault.laid(field, extent) as has_struck:
            ended = run(field, field.url_by_proxy)
            if has_struck():
                struck.append(fault)
        judge.between(field, ended, fault.kind)
        if ended.done or judge.is_told(field) or any(other.done for other in field.others):
            return True
    return False


def run(field: Field, url: str) -> Ended:
    """Run to the end what the round runs."""
    field.client = None
    field.client = field.start(url)
    return field.client.wait()


def _finish(field: Field, *, done: bool) -> None:
    """Run without faults until it succeeds, and once more, which must change nothing but where each run inserts."""
    field.proxy.reset()
    if not judge.other_was_published(field):
        if not done:
            judge.final(field, _succeeding(field))
        if field.world.case.mode != "insert":
            judge.final(field, run(field, field.url))
    judge.remains(field)


def _succeeding(field: Field) -> Ended:
    for _ in range(TRIES):
        ended = run(field, field.url)
        judge.between(field, ended, "")
        if ended.done:
            break
        time.sleep(PAUSE)
    return ended
