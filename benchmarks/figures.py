"""Medians, spreads and ratios of the results of one case; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a contender reached in a case; `ratio` to the baseline is None where there is nothing to compare.

    `failure` is what disqualifies it: a failed process, or a table with other contents than it must have.
    """

    contender: str
    runs: int
    seconds: float
    fastest: float
    slowest: float
    ratio: float | None
    cpu: float
    memory: int
    wal: int
    dead: int
    failure: str | None


def of_case(results: Sequence[Result], baseline: str) -> list[Figures]:
    """Return the figures of each contender, the fastest first, those that failed at the end."""
    names = dict.fromkeys(result.contender for result in results)
    figures = [_of_contender(name, results, baseline) for name in names]
    return sorted(figures, key=lambda one: (one.failure is not None, one.seconds))


def _of_contender(name: str, results: Sequence[Result], baseline: str) -> Figures:
    own = [result for result in results if result.contender == name]
    good = [result for result in own if result.good]
    failure = next((result.error or result.wrong for result in own if not result.good), None)
    seconds = [result.seconds for result in good] or [math.nan]
    return Figures(
        contender=name,
        runs=len(good),
        seconds=median(seconds),
        fastest=min(seconds),
        slowest=max(seconds),
        ratio=None if failure else ratio(own, [r for r in results if r.contender == baseline]),
        cpu=median([result.cpu for result in good] or [math.nan]),
        memory=max((result.memory for result in good), default=0),
        wal=round(median([result.wal for result in good] or [0])),
        dead=round(median([result.dead for result in good] or [0])),
        failure=failure,
    )


def ratio(results: Sequence[Result], baseline: Sequence[Result]) -> float | None:
    """Return the median of the ratios of pairs: those that ran in the same turn, close to one another in time."""
    yardstick = {result.turn: result.seconds for result in baseline if result.good}
    pairs = [r.seconds / yardstick[r.turn] for r in results if r.good and r.turn in yardstick]
    return median(pairs) if pairs else None


def per_further_row(small: tuple[int, float], large: tuple[int, float]) -> float:
    """Return the seconds that each row costs from a small number of rows to a large one, start-up left out."""
    return (large[1] - small[1]) / (large[0] - small[0])
