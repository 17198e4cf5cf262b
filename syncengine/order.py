"""The order of several specs.  Pure: who waits for whom goes in, by number; an order and what it keeps come out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from syncengine.values import replace


class Wait(Struct, frozen=True, kw_only=True):
    """The spec number `spec` comes after the spec number `after`; `reason` tells people why.

    `needs`: it can't do without, so that it is not run if the other fails.
    """

    spec: int
    after: int
    reason: str
    needs: bool = True


class Order(Struct, frozen=True, kw_only=True):
    """`numbers` in the order in which to run; the waits that it keeps; circles of foreign keys that it can't keep."""

    numbers: tuple[int, ...]
    waits: tuple[Wait, ...] = ()
    circles: tuple[tuple[int, ...], ...] = ()


def arrange(
    count: int,
    stated: Iterable[Wait] = (),
    foreign: Iterable[Wait] = (),
    targets: Sequence[Hashable] | None = None,
) -> Order:
    """Return the order of specs 0 … count - 1: what has to wait does, all else stays as given.

    `stated` waits always hold, and have no circle.  A `foreign` wait (a foreign key's) gives way to stated ones
    that say the opposite; where such waits go in a circle none of it holds.  Specs with equal `targets` never
    run at the same time: the later one waits.
    """
    firm = _merged(wait for wait in stated if wait.spec != wait.after)
    above = _reached(count, firm)
    soft = [wait for wait in foreign if wait.spec != wait.after and wait.spec not in above[wait.after]]
    rings = _groups(count, [*firm, *soft])
    ring_of = {number: ring for ring in rings for number in ring}
    kept = [wait for wait in soft if wait.after not in ring_of.get(wait.spec, ())]
    waits = _merged([*firm, *kept])
    for group in _with_equal(targets or ()):
        waits += _one_by_one(count, group, waits)
    return Order(
        numbers=_sorted(range(count), waits), waits=tuple(waits), circles=circles(count, [*firm, *soft])
    )


def circles(count: int, waits: Iterable[Wait]) -> tuple[tuple[int, ...], ...]:
    """Return the specs that wait for one another in a circle, the first one of each also at its end.

    >>> circles(3, [Wait(spec=0, after=2, reason=""), Wait(spec=2, after=0, reason="")])
    ((0, 2, 0),)
    """
    waits = tuple(waits)
    return tuple(_way_back(group, waits) for group in _groups(count, waits))


def _merged(waits: Iterable[Wait]) -> list[Wait]:
    """Return one wait for each pair of specs, with all its reasons."""
    pairs: dict[tuple[int, int], Wait] = {}
    for wait in waits:
        pair = (wait.spec, wait.after)
        known = pairs.get(pair)
        if known is None:
            pairs[pair] = wait
        elif wait.reason not in known.reason.split(", "):
            pairs[pair] = replace(
                known, reason=f"{known.reason}, {wait.reason}", needs=known.needs or wait.needs
            )
    return list(pairs.values())


def _reached(count: int, waits: Iterable[Wait]) -> list[set[int]]:
    """Return for each spec those that it waits for, however indirectly."""
    direct: list[list[int]] = [[] for _ in range(count)]
    for wait in waits:
        direct[wait.spec].append(wait.after)
    return [_below(number, direct) for number in range(count)]


def _below(start: int, direct: Sequence[Iterable[int]]) -> set[int]:
    found: set[int] = set()
    todo = list(direct[start])
    while todo:
        number = todo.pop()
        if number not in found:
            found.add(number)
            todo += direct[number]
    return found


def _groups(count: int, waits: Iterable[Wait]) -> list[tuple[int, ...]]:
    """Return the groups of specs that wait for one another, each in the given order."""
    reached = _reached(count, waits)
    groups = {
        tuple(sorted(other for other in reached[number] if number in reached[other]))
        for number in range(count)
        if number in reached[number]
    }
    return sorted(groups)


def _way_back(group: tuple[int, ...], waits: Iterable[Wait]) -> tuple[int, ...]:
    """Return a shortest way from the first of a group back to it; there is one."""
    direct: dict[int, list[int]] = {number: [] for number in group}
    for wait in waits:
        if wait.spec in direct and wait.after in direct:
            direct[wait.spec].append(wait.after)
    ways: list[tuple[int, ...]] = [(group[0],)]
    for way in ways:
        for number in sorted(direct[way[-1]]):
            if number == group[0]:
                return (*way, number)
            if not any(number in other for other in ways):
                ways.append((*way, number))
    raise AssertionError(f"no way back to {group[0]}")


def _with_equal(targets: Sequence[Hashable]) -> list[list[int]]:
    """Return the numbers of those that have their target in common with others."""
    groups: dict[Hashable, list[int]] = {}
    for number, target in enumerate(targets):
        groups.setdefault(target, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def _one_by_one(count: int, group: Sequence[int], waits: Sequence[Wait]) -> list[Wait]:
    """Return waits that put a group into one line, in the given order as far as other waits allow."""
    above = _reached(count, waits)
    within = [
        Wait(spec=number, after=other, reason="")
        for number in group
        for other in group
        if other in above[number]
    ]
    line = _sorted(group, within)
    return [
        Wait(spec=second, after=first, reason="same target", needs=False)
        for first, second in pairwise(line)
        if first not in above[second]
    ]


def _sorted(numbers: Iterable[int], waits: Iterable[Wait]) -> tuple[int, ...]:
    """Return an order that keeps all waits; of those that may come next, the one given first does."""
    left = list(numbers)
    open_waits: dict[int, set[int]] = {number: set() for number in left}
    for wait in waits:
        open_waits[wait.spec].add(wait.after)
    done: list[int] = []
    while left:
        following = next(number for number in left if open_waits[number].issubset(done))
        left.remove(following)
        done.append(following)
    return tuple(done)
