"""Results as tables of Markdown; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from benchmarks import contenders
from benchmarks.cases import Case
from benchmarks.contenders import Contender, Kind
from benchmarks.figures import Figures, per_further_row
from benchmarks.results import Crossing

MEGA = 1_000_000
Table = Iterator[str]


def of_case(case: Case, figures: Sequence[Figures]) -> Table:
    """Return what each contender reached, and why others are disqualified."""
    yield f"| {case.rows:,} rows | seconds | from – to | ratio | client CPU s | client MB | WAL MB | dead rows |"
    yield "| --- | --: | --: | --: | --: | --: | --: | --: |"
    for one in figures:
        yield f"| {_name(one)} | {' | '.join(_cells(one))} |"
    for one in figures:
        if one.failure:
            reason = " ".join(one.failure.split())[:200]
            yield f"\n{contenders.ALL[one.contender].title} is disqualified: {reason}"
    yield f"\nRatios are to {contenders.ALL[case.baseline].title}: medians of the ratios of neighbouring runs."


def _name(one: Figures) -> str:
    contender = contenders.ALL[one.contender]
    return f"**{contender.title}**" if contender.kind is Kind.OURS else contender.title


def _cells(one: Figures) -> tuple[str, ...]:
    if one.failure:
        return ("disqualified", *[""] * 6)
    loads = contenders.ALL[one.contender].loads
    return (
        seconds(one.seconds),
        f"{seconds(one.fastest)} – {seconds(one.slowest)}",
        ratio(one.ratio),
        seconds(one.cpu),
        megabytes(one.memory),
        megabytes(one.wal) if loads else "",
        f"{one.dead:,}" if loads else "",
    )


def seconds(value: float) -> str:
    """Return a time with as many digits as mean something."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def megabytes(value: int) -> str:
    return f"{value / MEGA:.1f}" if value < 10 * MEGA else f"{value / MEGA:.0f}"


def in_short(measured: Iterable[tuple[Case, Sequence[Figures]]]) -> Table:
    """Return one line a case: psql, syncengine, and the fastest of the other tools that were there."""
    yield "| case | psql | syncengine | ratio | fastest other tool | WAL, MB | dead rows |"
    yield "| --- | --: | --: | --: | --: | --: | --: |"
    for case, figures in measured:
        good = {one.contender: one for one in figures if not one.failure}
        hand, ours = good.get("psql"), good.get("syncengine")
        if hand is None or ours is None or case.baseline != "psql":
            continue
        peers = [one for one in good.values() if contenders.ALL[one.contender].kind is Kind.PEER]
        peer = min(peers, key=lambda one: one.seconds, default=None)
        other = "" if peer is None else f"{seconds(peer.seconds)} s ({_contender(peer).title})"
        yield (
            f"| {case.title} | {seconds(hand.seconds)} s | {seconds(ours.seconds)} s | {ratio(ours.ratio)} | {other}"
            f" | {megabytes(hand.wal)} → {megabytes(ours.wal)} | {hand.dead:,} → {ours.dead:,} |"
        )


def _contender(one: Figures) -> Contender:
    return contenders.ALL[one.contender]


def growth(sizes: Sequence[tuple[int, Sequence[Figures]]]) -> Table:
    """Return what a row costs where there are more and more of them; start-up is not in it."""
    steps = list(pairwise(sizes))
    times = " | ".join(f"{rows:,} rows: s, MB" for rows, _ in sizes)
    further = " | ".join(f"µs a row from {low:,} to {high:,}" for (low, _), (high, _) in steps)
    yield f"| | {times} | {further} |"
    yield "| --- |" + " --: |" * (len(sizes) + len(steps))
    for name in [one.contender for one in sizes[0][1]]:
        found = [
            (rows, one)
            for rows, figures in sizes
            for one in figures
            if one.contender == name and not one.failure
        ]
        if len(found) < len(sizes):
            continue
        cells = [f"{seconds(one.seconds)}, {megabytes(one.memory)}" for _, one in found]
        points = [(rows, one.seconds) for rows, one in found]
        costs = [per_further_row(low, high) * MEGA for low, high in pairwise(points)]
        yield f"| {_name(found[0][1])} | {' | '.join(cells)} | {' | '.join(f'{cost:.2f}' for cost in costs)} |"


def crossings(entries: Iterable[Crossing]) -> Table:
    """Return the ways side by side, the fastest of each line in bold."""
    asked: dict[str, list[Crossing]] = {}
    for entry in entries:
        asked.setdefault(entry.question, []).append(entry)
    for question, sizes in asked.items():
        ways = list(sizes[0].seconds)
        yield f"| {question}: rows | {' | '.join(f'{way}, ms' for way in ways)} |"
        yield "| --: |" + " --: |" * len(ways)
        for one in sizes:
            best = min(one.seconds.values())
            cells = [_bold(f"{value * 1000:,.0f}", value == best) for value in one.seconds.values()]
            yield f"| {one.size:,} | {' | '.join(cells)} |"
        yield ""


def _bold(text: str, stands_out: bool) -> str:
    return f"**{text}**" if stands_out else text
