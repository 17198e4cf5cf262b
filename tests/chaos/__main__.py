"""The long run:  python -m tests.chaos --minutes 15 [--seed N] [--pg 18,17]

Without a seed a random one is taken, and printed.  `--case` and `--faults` repeat a round that broke a promise, as
its message says.  At the end a table tells how many faults of each kind struck on which version; exit code 1 if a
promise was broken.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path

from tests import servers
from tests.chaos.injuries import KINDS, Fault, parse
from tests.chaos.judge import Violation
from tests.chaos.rounds import Arena, Round, a_round, possible
from tests.faults.ownserver import own_server


def main() -> int:
    options = _options()
    versions = options.pg.split(",")
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    print(f"seed {seed}; PostgreSQL {', '.join(versions)}", flush=True)
    with servers.session() as session, ExitStack() as held:
        arenas = {version: held.enter_context(_arena(session.folder, version)) for version in versions}
        if options.faults:
            faults = tuple(parse(text) for text in options.faults.split())
            given = Round(version=versions[0], case=options.case, seed=seed, faults=faults)
            rounds = {versions[0]: iter([given])}
        else:
            rounds = {version: _rounds(version, seed, options) for version in versions}
        return Tournament(arenas).play(rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--pg", default=",".join(servers.VERSIONS))
    parser.add_argument("--case", default="")
    parser.add_argument("--faults", default="")
    return parser.parse_args()


@contextmanager
def _arena(folder: Path, version: str) -> Iterator[Arena]:
    with own_server(folder / "chaos", version) as server, tempfile.TemporaryDirectory() as scratch:
        arena = Arena(server, Path(scratch))
        try:
            yield arena
        finally:
            arena.close()


def _rounds(version: str, seed: int, options: argparse.Namespace) -> Iterator[Round]:
    """Give rounds until the time is over, the kinds of faults in turn; each version has its own dice."""
    dice = random.Random(f"{seed} {version}")
    deadline = time.monotonic() + options.minutes * 60
    kinds = list(KINDS)
    for first in cycle(dice.sample(kinds, len(kinds))):
        if time.monotonic() > deadline:
            return
        chosen = options.case or dice.choice(possible())
        more = dice.choices(kinds, k=dice.randint(0, 2))
        yield a_round(version, dice.randrange(10**9), case=chosen, kinds=[first, *more])


class Tournament:
    """Plays rounds, one server's after one another and those of several at the same time, and keeps the score."""

    def __init__(self, arenas: dict[str, Arena]) -> None:
        self._arenas = arenas
        self._lock = threading.Lock()
        self._struck: Counter[tuple[str, str]] = Counter()
        self._survived: Counter[tuple[str, str]] = Counter()
        self._played = self._broken = 0

    def play(self, rounds: dict[str, Iterator[Round]]) -> int:
        """Play all rounds, print the score, and return the exit code."""
        waiting = deque(rounds.values())
        count = max(2, os.cpu_count() or 1)
        with ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(self._play_in_turn, waiting) for _ in range(count)]:
                done.result()
        print(_table(self._struck, self._survived, list(self._arenas)))
        print(f"{self._played} rounds, {self._struck.total()} faults, {self._broken} violations")
        return 1 if self._broken else 0

    def _play_in_turn(self, waiting: deque[Iterator[Round]]) -> None:
        """Play a round of each server that nobody plays on now, again and again until there are no more."""
        with suppress(IndexError):
            while True:
                rounds = waiting.popleft()
                if given := next(rounds, None):
                    self._play(given)
                    waiting.append(rounds)

    def _play(self, given: Round) -> None:
        violation: Violation | None = None
        try:
            struck: Sequence[Fault] = self._arenas[given.version].play(given)
        except Violation as found:
            struck, violation = found.struck, found
        with self._lock:
            self._played += 1
            self._struck.update((fault.kind, given.version) for fault in struck)
            if violation is None:
                self._survived.update((fault.kind, given.version) for fault in struck)
            else:
                self._broken += 1
                print(f"VIOLATION {violation}\n{' '.join(violation.__notes__)}", flush=True)


def _table(struck: Counter[tuple[str, str]], survived: Counter[tuple[str, str]], versions: list[str]) -> str:
    lines = [f"{'survived / injected':24}" + "".join(f"{version:>10}" for version in versions)]
    for kind in KINDS:
        cells = (f"{survived[kind, version]}/{struck[kind, version]}" for version in versions)
        lines.append(f"{kind:24}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
