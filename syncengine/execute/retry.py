"""When a unit that met another transaction is tried again, and after how long.  Pure, but for the dice."""

from __future__ import annotations

import random

FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0
FIRST_ABSENCE = 0.4
LONGEST_ABSENCE = 10.0


def wait(attempt: int, dice: random.Random, *, away: bool = False) -> float:
    """Return the seconds to wait before attempt number `attempt` + 1: doubling, with full jitter.

    `away`: the server can't be reached, and takes longer to come back than another writer takes to be done.

    >>> wait(1, random.Random(0)) <= FIRST_WAIT
    True
    """
    if away:
        longest = min(LONGEST_ABSENCE, FIRST_ABSENCE * 2 ** (attempt - 1))
        return dice.uniform(longest / 2, longest)
    return dice.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)))


def isolation(planned: str, attempt: int, retries: int) -> str:
    """Return the isolation of an attempt: the last one of a REPEATABLE READ unit is READ COMMITTED.

    >>> isolation("repeatable read", 1, 5), isolation("repeatable read", 6, 5)
    ('repeatable read', 'read committed')
    """
    if planned == "repeatable read" and attempt > retries:
        return "read committed"
    return planned
