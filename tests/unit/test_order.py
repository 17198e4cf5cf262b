"""The order of specs: a table of rules, and what holds for any graph."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.order import Order, Wait, arrange, circles

Pairs = list[tuple[int, int]]


def waits(pairs: Pairs, reason: str = "depends_on") -> list[Wait]:
    """Return waits: the first of each pair comes after the second."""
    return [Wait(spec=spec, after=after, reason=reason) for spec, after in pairs]


def arranged(count: int, stated: Pairs, foreign: Pairs, targets: str = "") -> Order:
    return arrange(count, waits(stated), waits(foreign, "foreign key x"), targets or None)


@pytest.mark.parametrize(
    ("count", "stated", "foreign", "targets", "order"),
    [
        pytest.param(3, [], [], "", (0, 1, 2), id="nothing-said-keeps-the-given-order"),
        pytest.param(3, [(0, 2)], [], "", (1, 2, 0), id="depends-on"),
        pytest.param(3, [], [(0, 2)], "", (1, 2, 0), id="foreign-key"),
        pytest.param(3, [(0, 1)], [(1, 2)], "", (2, 1, 0), id="both"),
        pytest.param(2, [], [(0, 0)], "", (0, 1), id="self-reference-is-ignored"),
        pytest.param(2, [(0, 1)], [(1, 0)], "", (1, 0), id="depends-on-beats-a-foreign-key"),
        pytest.param(3, [(0, 1), (1, 2)], [(2, 0)], "", (2, 1, 0), id="also-around-a-corner"),
        pytest.param(
            3, [], [(0, 1), (1, 0)], "", (0, 1, 2), id="circle-of-foreign-keys-keeps-the-given-order"
        ),
        pytest.param(3, [], [(0, 1), (1, 0), (1, 2)], "", (0, 2, 1), id="but-those-out-of-the-circle-hold"),
        pytest.param(3, [], [], "aba", (0, 1, 2), id="same-target-keeps-the-given-order"),
        pytest.param(3, [(0, 2)], [], "aba", (1, 2, 0), id="same-target-unless-said-otherwise"),
        pytest.param(3, [(0, 2)], [], "aab", (2, 0, 1), id="same-target-waits-with-the-first"),
        pytest.param(3, [(1, 2)], [(2, 0)], "aba", (0, 2, 1), id="same-target-between-others"),
    ],
)
def test_order(count: int, stated: Pairs, foreign: Pairs, targets: str, order: tuple[int, ...]):
    assert arranged(count, stated, foreign, targets).numbers == order


def test_two_reasons_to_wait_for_one_spec_are_told_together():
    found = arrange(
        2, waits([(1, 0)]), [*waits([(1, 0)], "foreign key x"), *waits([(1, 0)], "foreign key y")]
    )

    assert found.waits == (Wait(spec=1, after=0, reason="depends_on, foreign key x, foreign key y"),)


def test_same_target_is_an_order_but_no_need():
    assert arranged(2, [], [], "aa").waits == (Wait(spec=1, after=0, reason="same target", needs=False),)


def test_foreign_keys_that_say_the_opposite_of_depends_on_are_not_told():
    assert [wait.reason for wait in arranged(2, [(0, 1)], [(1, 0)]).waits] == ["depends_on"]


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        pytest.param([(0, 1), (1, 2)], (), id="none"),
        pytest.param([(1, 1)], ((1, 1),), id="itself"),
        pytest.param([(0, 1), (1, 0)], ((0, 1, 0),), id="two"),
        pytest.param([(2, 0), (0, 1), (1, 2)], ((0, 1, 2, 0),), id="three-from-the-first-given"),
        pytest.param([(0, 1), (1, 2), (2, 0), (1, 0)], ((0, 1, 0),), id="the-shortest-way"),
        pytest.param([(0, 1), (1, 0), (2, 3), (3, 2)], ((0, 1, 0), (2, 3, 2)), id="several"),
        pytest.param([(3, 0), (0, 1), (1, 0), (1, 2)], ((0, 1, 0),), id="without-those-that-lead-to-it"),
    ],
)
def test_circles_are_ways_back(pairs: Pairs, found: tuple[tuple[int, ...], ...]):
    assert circles(4, waits(pairs)) == found


# For any graph

COUNT = 7
numbers = st.integers(0, COUNT - 1)
pairs = st.lists(st.tuples(numbers, numbers), max_size=15)
# Without a circle: all go from a later to an earlier place of some shuffling.
stated_pairs = st.permutations(range(COUNT)).flatmap(
    lambda order: pairs.map(lambda found: [(order[max(a, b)], order[min(a, b)]) for a, b in found if a != b])
)
targets = st.text("abcdefg", min_size=COUNT, max_size=COUNT)


@given(stated_pairs, pairs, targets)
def test_any_order_is_whole_keeps_its_waits_and_all_that_is_stated(
    stated: Pairs, foreign: Pairs, targets: str
):
    found = arranged(COUNT, stated, foreign, targets)

    place = {number: place for place, number in enumerate(found.numbers)}
    assert sorted(found.numbers) == list(range(COUNT))
    assert all(place[wait.after] < place[wait.spec] for wait in found.waits)
    assert all(place[after] < place[spec] for spec, after in stated)


@given(stated_pairs, pairs, targets)
def test_any_order_leaves_no_neighbours_turned_around_without_need(
    stated: Pairs, foreign: Pairs, targets: str
):
    found = arranged(COUNT, stated, foreign, targets)

    turned = [(second, first) for first, second in pairwise(found.numbers) if first > second]
    assert set(turned) <= {(wait.spec, wait.after) for wait in found.waits}


@given(stated_pairs, pairs, targets)
def test_specs_with_one_target_always_wait_for_one_another(stated: Pairs, foreign: Pairs, targets: str):
    found = arranged(COUNT, stated, foreign, targets)

    above: dict[int, set[int]] = {}
    for number in found.numbers:
        direct = {wait.after for wait in found.waits if wait.spec == number}
        above[number] = direct.union(*(above[other] for other in direct))
    assert all(
        a in above[b] or b in above[a]
        for a in range(COUNT)
        for b in range(COUNT)
        if a != b and targets[a] == targets[b]
    )


@given(pairs)
def test_foreign_keys_hold_unless_they_lie_in_a_circle(foreign: Pairs):
    found = arranged(COUNT, [], foreign)

    kept = {(wait.spec, wait.after) for wait in found.waits}
    dropped = {(spec, after) for spec, after in foreign if spec != after} - kept
    reach = {pair for pair in foreign if pair[0] != pair[1]}
    for _ in range(COUNT):
        reach |= {(a, d) for a, b in reach for c, d in reach if b == c}
    assert all((after, spec) in reach for spec, after in dropped)
    assert bool(dropped) == bool(found.circles)
