"""The long run:  python -m tests.chaos --minutes 15 [--seed N] [--pg 18,17]

Without a seed a random one is taken, and printed.  `--case` and `--faults` repeat a round that broke a promise, as
its message says.  At the end a table tells how many faults of each kind struck on which version; exit code 1 if a
promise was broken.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import servers
from tests.chaos.injuries import KINDS, parse
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
            rounds = iter([Round(version=versions[0], case=options.case, seed=seed, faults=faults)])
        else:
            rounds = _rounds(versions, seed, options.minutes, options.case)
        return _play(arenas, rounds)


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


def _rounds(versions: list[str], seed: int, minutes: float, case: str) -> Iterator[Round]:
    """Give rounds until the time is over, versions and kinds of faults in turn."""
    dice = random.Random(seed)
    deadline = time.monotonic() + minutes * 60
    number = 0
    while time.monotonic() < deadline:
        chosen = case or dice.choice(possible())
        first = list(KINDS)[(number // len(versions)) % len(KINDS)]
        more = dice.choices(list(KINDS), k=dice.randint(0, 2))
        version = versions[number % len(versions)]
        yield a_round(version, dice.randrange(10**9), case=chosen, kinds=[first, *more])
        number += 1


def _play(arenas: dict[str, Arena], rounds: Iterator[Round]) -> int:
    struck: Counter[tuple[str, str]] = Counter()
    survived: Counter[tuple[str, str]] = Counter()
    played, broken = 0, 0
    for each in rounds:
        played += 1
        found: list[tuple[str, str]] = []
        try:
            found = [(fault.kind, each.version) for fault in arenas[each.version].play(each)]
            survived.update(found)
        except Violation as violation:
            broken += 1
            found = [(fault.kind, each.version) for fault in each.faults]
            print(f"VIOLATION {violation}\n{' '.join(violation.__notes__)}", flush=True)
        struck.update(found)
    print(_table(struck, survived, list(arenas)))
    print(f"{played} rounds, {sum(struck.values())} faults, {broken} violations")
    return 1 if broken else 0


def _table(struck: Counter[tuple[str, str]], survived: Counter[tuple[str, str]], versions: list[str]) -> str:
    lines = [f"{'survived / injected':24}" + "".join(f"{version:>10}" for version in versions)]
    for kind in KINDS:
        cells = (f"{survived[kind, version]}/{struck[kind, version]}" for version in versions)
        lines.append(f"{kind:24}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
