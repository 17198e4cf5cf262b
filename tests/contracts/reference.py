"""docs/spec.md §5 and §11, rules 1, 2 and 9, told in plain Python: the judge of all modes and strategies.

Rows are tuples (a, b, v, ver, n): a and b are the key, values are None or what PostgreSQL prints, `n` a number whose
digits count (1.0 is not 1.00).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

COLUMNS = ("a", "b", "v", "ver", "n")
KEYS = ("a", "b")

Row = tuple[object, ...]
Record = dict[str, object]


class Refused(Exception):
    """The run must fail with this error code and leave the table alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A guard in SQL and in Python; None is NULL, which is not true."""

    sql: str
    holds: Callable[[Record, Record], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`delete.scope` in SQL and in Python."""

    sql: str
    holds: Callable[[Record], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """update_columns as a spec has them, and the new values they give; None leaves the stored row alone."""

    items: list[object]
    new: Callable[[Record, Record], Mapping[str, object]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    mode: str
    stored: list[Row]
    source: list[Row]
    updates: Updates
    guard: Guard | None = None
    duplicates: str = "error"
    null_keys: str = "error"
    touch: bool = False
    keyed: bool = True
    scope: Scope | None = None

    def in_scope(self, row: Row) -> bool:
        return self.scope is None or self.scope.holds(dict(zip(COLUMNS, row, strict=True))) is True


@dataclass(slots=True, kw_only=True)
class Outcome:
    rows: list[Row]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("rows_read", "inserted", "updated", "unchanged", "skipped", "duplicates", "deleted"), 0
        )
    )


def expected(case: Case) -> Outcome:
    """Return what the table and the books must hold after the run; raises Refused."""
    outcome = Outcome(rows=list(case.stored))
    outcome.counts["rows_read"] = len(case.source)
    if case.mode == "replace" and not case.keyed:
        return _exchanged(case, outcome)
    incoming = list(case.source)
    if case.keyed:
        incoming = _one_row_a_key(case, outcome)
    for row in incoming:
        _take(case, row, outcome)
    if case.mode in ("mirror", "replace"):
        _delete_gone(case, outcome)
    return outcome


def _exchanged(case: Case, outcome: Outcome) -> Outcome:
    """Compare source and table as multisets of rows."""
    new, old = Counter(case.source), Counter(case.stored)
    outcome.rows = list(case.source)
    outcome.counts["unchanged"] = (new & old).total()
    outcome.counts["inserted"] = (new - old).total()
    outcome.counts["deleted"] = (old - new).total()
    return outcome


def _delete_gone(case: Case, outcome: Outcome) -> None:
    """Take out the stored rows whose key is not in the source; a key that meets no conflict is not."""
    keys = {_key(row, case) for row in case.source} - {None}
    gone = [row for row in case.stored if _key(row, case) not in keys and case.in_scope(row)]
    for row in gone:
        outcome.rows.remove(row)
    outcome.counts["deleted"] = len(gone)


def _key(row: Row, case: Case) -> Row | None:
    """Return the key that meets conflicts; None if it meets none."""
    key = row[: len(KEYS)]
    return None if None in key and case.null_keys != "match" else key


def _one_row_a_key(case: Case, outcome: Outcome) -> list[Row]:
    groups: dict[Row, list[Row]] = {}
    loose: list[Row] = []
    for row in case.source:
        key = _key(row, case)
        if key is None:
            loose.append(row)
        else:
            groups.setdefault(key, []).append(row)
    winners = []
    for rows in groups.values():
        if case.duplicates == "error" and len(set(rows)) > 1:
            raise Refused("duplicate-keys")
        winners.append(rows[-1] if case.duplicates == "last" else rows[0])
        outcome.counts["duplicates"] += len(rows) - 1
    if case.null_keys == "error" and loose:
        raise Refused("null-keys")
    return winners + loose


def _take(case: Case, row: Row, outcome: Outcome) -> None:
    key = _key(row, case)
    # Without keys of the spec's the index still is there, and also sees the rows of this run.
    there = case.stored if case.keyed else outcome.rows
    places = [n for n, old in enumerate(there) if key is not None and _key(old, case) == key]
    if not places:
        if case.mode == "update":
            outcome.counts["skipped"] += 1
        else:
            outcome.rows.append(row)
            outcome.counts["inserted"] += 1
        return
    if case.mode == "insert":
        raise Refused("database-error")
    name, new = _verdict(case, dict(zip(COLUMNS, case.stored[places[0]], strict=True)), row)
    outcome.counts[name] += 1
    if name == "updated":
        outcome.rows[places[0]] = tuple(new[column] for column in COLUMNS)


def _verdict(case: Case, stored: Record, row: Row) -> tuple[str, Record]:
    excluded = dict(zip(COLUMNS, row, strict=True))
    if case.mode == "ignore" or case.updates.new is None:
        same = all(stored[name] == excluded[name] for name in COLUMNS if name not in KEYS)
        return ("unchanged" if same else "skipped"), stored
    new = {**stored, **case.updates.new(stored, excluded)}
    guard = case.guard is None or case.guard.holds(stored, excluded) is True
    if case.touch and guard:
        return "updated", new
    if new == stored:
        return "unchanged", stored
    return ("updated" if guard else "skipped"), new
