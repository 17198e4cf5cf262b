"""What may stop a run before it publishes: limits on its numbers, and the user's queries on its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.errors import CheckFailed, LimitExceeded, Location
from syncengine.model.report import Counts
from syncengine.model.spec import CheckSpec, Limits
from syncengine.model.steps import CheckLimits, CheckResult

_READ_ONLY = "25006"
# A check that does not hold, what its query gave, and where it stands.
FailedCheck = tuple[CheckSpec, str, Location]


def broken(limits: Limits, books: Counts, stored: int) -> tuple[tuple[str, str, int], ...]:
    """Return (limit, sentence, number) for each limit that a run breaks; `stored` rows are in the target before it.

    >>> from syncengine.model.spec import Limit
    >>> limits = Limits(max_deletes=Limit(count=3))
    >>> broken(limits, Counts(to_delete=4), 10)
    (('max_deletes', '4 rows would be deleted, at most 3 may be', 4),)
    >>> broken(limits, Counts(to_delete=3), 10)
    ()
    """
    return tuple(_broken(limits, books, stored))


def _broken(limits: Limits, books: Counts, stored: int) -> Iterator[tuple[str, str, int]]:
    fewest = limits.min_rows
    if fewest is not None and books.rows_read < fewest.of(stored):
        share = f" ({fewest} of {stored:,})" if fewest.share is not None else ""
        needed = fewest.of(stored)
        least = int(-(-needed.numerator // needed.denominator))
        yield (
            "min_rows",
            f"the source holds {books.rows_read:,} rows, at least {least:,}{share} are needed",
            books.rows_read,
        )
    for name, limit, number, done in (
        ("max_deletes", limits.max_deletes, books.to_delete, "deleted"),
        ("max_updates", limits.max_updates, books.to_update, "updated"),
        ("max_inserts", limits.max_inserts, books.to_insert, "inserted"),
    ):
        if limit is not None and number > limit.of(stored):
            share = f" ({limit} of {stored:,})" if limit.share is not None else ""
            yield (
                name,
                f"{number:,} rows would be {done}, at most {int(limit.of(stored)):,}{share} may be",
                number,
            )


def limit_error(step: CheckLimits, found: tuple[tuple[str, str, int], ...]) -> LimitExceeded:
    """Return the error for the limits that are broken, with what lifts them."""
    lift = " ".join(f"--approve {name}={number}" for name, _, number in found)
    return LimitExceeded(
        f"{found[0][0]}: {found[0][1]}",
        detail="; ".join(f"{name}: {text}" for name, text, _ in found[1:]) or None,
        hint=f"look at the source; if it is right, lift the limit for this run: {lift}",
        location=step.location,
    )


def failing(step: CheckResult, connection: psycopg.Connection[TupleRow]) -> tuple[FailedCheck, ...]:
    """Return the checks that do not hold, what each gave, and where it stands; none of them can write."""
    return tuple(
        (check, given, place)
        for check, place in zip(step.checks, step.locations, strict=True)
        if (given := _given(check, place, connection)) != "true"
    )


def _given(check: CheckSpec, place: Location, connection: psycopg.Connection[TupleRow]) -> str:
    """Return what a check's query gives, in words."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT pg_catalog.set_config('transaction_read_only', 'on', true)")
            rows = connection.execute(check.sql.encode()).fetchmany(2)
    except psycopg.Error as error:
        wrapped = wrap(error, doing=f"in the check {check.name!r}")
        wrapped.location = place
        if error.sqlstate == _READ_ONLY:
            wrapped.hint = "a check may only read; statements that write belong under `before` or `after`"
        raise wrapped from error
    if len(rows) != 1 or len(rows[0]) != 1:
        return "no row" if not rows else "more than one value"
    value = rows[0][0]
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "true", False: "false"}[value]
    return f"a value of another type than boolean ({type(value).__name__})"


def check_error(found: Sequence[FailedCheck]) -> CheckFailed:
    """Return the error for the checks that do not hold."""
    check, given, place = found[0]
    others = "; ".join(f"{other.name}: {_sentence(other, result)}" for other, result, _ in found[1:])
    return CheckFailed(
        f"{check.name}: {_sentence(check, given)}",
        detail=others or None,
        hint="mend the source; everything was rolled back",
        location=place,
    )


def _sentence(check: CheckSpec, given: str) -> str:
    return f"{check.message} (the query gave {given})" if check.message else f"the query gave {given}"
