"""When a unit is tried again, how, and after which wait."""

from __future__ import annotations

import random

import pytest

from syncengine.errors import Conflict
from syncengine.execute import retry
from syncengine.execute.apply import may_repeat
from syncengine.model.plan import Unit


@pytest.mark.parametrize("attempt", range(1, 12))
def test_wait_doubles_up_to_a_limit_and_is_drawn_anew(attempt: int):
    longest = min(retry.LONGEST_WAIT, retry.FIRST_WAIT * 2 ** (attempt - 1))
    waits = [retry.wait(attempt, random.Random(seed)) for seed in range(50)]

    assert all(0 <= wait <= longest for wait in waits)
    assert len(set(waits)) == 50


@pytest.mark.parametrize(
    ("planned", "attempts", "isolations"),
    [
        pytest.param(
            "repeatable read", 2, ["repeatable read", "repeatable read", "read committed"], id="last-resort"
        ),
        pytest.param("repeatable read", 0, ["read committed"], id="no-retries"),
        pytest.param("read committed", 2, ["read committed"] * 3, id="read-committed-stays"),
    ],
)
def test_isolation_of_each_attempt(planned: str, attempts: int, isolations: list[str]):
    assert [retry.isolation(planned, number, attempts) for number in range(1, attempts + 2)] == isolations


def conflict(state: str) -> Conflict:
    error = Conflict("in the way")
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("unit", "isolation", "attempt", "state", "again"),
    [
        pytest.param({}, "read committed", 1, "40P01", True, id="deadlock"),
        pytest.param({}, "read committed", 2, "40001", True, id="second-time"),
        pytest.param({}, "read committed", 3, "40001", False, id="retries-used-up"),
        pytest.param(
            {"isolation": "repeatable read"}, "repeatable read", 2, "40001", True, id="one-more-is-left"
        ),
        pytest.param(
            {"isolation": "repeatable read"}, "read committed", 3, "40001", False, id="that-was-the-last"
        ),
        pytest.param({}, "read committed", 1, "55P03", False, id="lock-timeout-was-waited-out"),
        pytest.param({"repeatable": False}, "read committed", 1, "40001", False, id="source-is-read"),
    ],
)
def test_unit_is_repeated(unit: dict[str, object], isolation: str, attempt: int, state: str, again: bool):
    planned = Unit(name="publish", steps=(), **unit)  # type: ignore[arg-type]  # flags of a unit

    assert may_repeat(planned, isolation, attempt, 2, conflict(state)) is again
