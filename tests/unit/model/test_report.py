"""The report as a fold over events: what is committed counts, and every row is in one class."""

from __future__ import annotations

import pickle
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import BadRow, Location
from syncengine.model import events as ev
from syncengine.model.report import COUNTERS, Counts, Report

STARTED = ev.SpecStarted(
    name="orders", mode="upsert", strategy="staged", target="shop.orders", connection="db"
)
BEGIN = ev.UnitStarted(unit="publish", attempt=1)
COMMIT = ev.UnitCommitted(unit="publish", seconds=0.1)
CONFLICT = ev.UnitRolledBack(unit="publish", reason="another writer", retry_in=0.05)


def read(rows: int, size: int = 0) -> ev.RowsRead:
    return ev.RowsRead(unit="publish", rows=rows, bytes=size)


def counted(counter: str, rows: int) -> ev.RowsCounted:
    return ev.RowsCounted(unit="publish", counter=counter, rows=rows)  # type: ignore[arg-type]  # a Counter


def classified(insert: int = 0, update: int = 0, unchanged: int = 0, skipped: int = 0) -> ev.Classified:
    return ev.Classified(unit="publish", insert=insert, update=update, unchanged=unchanged, skipped=skipped)


def test_committed_unit_counts():
    report = Report.of(
        [
            STARTED,
            BEGIN,
            read(10, 99),
            counted("duplicates", 1),
            classified(insert=3, update=2, unchanged=3, skipped=1),
            counted("updated", 2),
            counted("inserted", 3),
            COMMIT,
            ev.SpecFinished(seconds=1.5),
        ]
    )

    assert {name: getattr(report, name) for name in COUNTERS} == {
        "rows_read": 10,
        "inserted": 3,
        "updated": 2,
        "unchanged": 3,
        "skipped": 1,
        "deleted": 0,
        "quarantined": 0,
        "duplicates": 1,
    }
    assert (report.ok, report.exit_code, report.bytes_read, report.seconds) == (True, 0, 99, 1.5)
    assert report.counts.closed


def test_rows_read_in_one_unit_and_written_in_another_meet_in_the_books():
    report = Report.of([STARTED, BEGIN, read(2), COMMIT, BEGIN, classified(insert=2), counted("inserted", 2)])

    assert report.books.closed
    assert report.inserted == 0


@pytest.mark.parametrize(
    "end",
    [
        pytest.param([CONFLICT], id="by-a-conflict"),
        pytest.param([ev.SpecFailed(error=BadRow("no"))], id="by-an-error"),
        pytest.param([ev.UnitStarted(unit="publish", attempt=2)], id="by-another-attempt"),
        pytest.param([], id="as-nothing-says-that-it-stayed"),
    ],
)
def test_rolled_back_unit_adds_nothing(end: list[ev.Event]):
    report = Report.of([STARTED, BEGIN, read(5), classified(insert=5), counted("inserted", 5), *end])

    assert report.counts == Counts()


def test_attempt_that_is_repeated_counts_once():
    attempt = [BEGIN, classified(insert=5), counted("inserted", 5)]

    report = Report.of([STARTED, BEGIN, read(5), COMMIT, *attempt, CONFLICT, *attempt, COMMIT])

    assert (report.inserted, report.retries) == (5, 1)
    assert report.counts.closed


@pytest.mark.parametrize(
    ("written", "skipped"),
    [
        pytest.param([("inserted", 3), ("updated", 4)], 1, id="all-written"),
        pytest.param([("inserted", 2), ("updated", 4)], 2, id="a-trigger-dropped-an-insert"),
        pytest.param([("inserted", 3), ("updated", 0)], 5, id="another-writer-was-there-first"),
    ],
)
def test_what_was_planned_and_not_written_is_skipped(written: list[tuple[str, int]], skipped: int):
    events = [
        BEGIN,
        read(8),
        classified(insert=3, update=4, skipped=1),
        *(counted(*one) for one in written),
        COMMIT,
    ]

    report = Report.of([STARTED, *events])

    assert report.skipped == skipped
    assert report.counts.closed


def test_books_that_miss_a_row_are_open():
    assert not Report.of([STARTED, BEGIN, read(3), classified(unchanged=2)]).books.closed


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.integers(0, 50), st.data())
def test_books_close_whatever_comes_true(classes: list[int], duplicates: int, data: st.DataObject):
    insert, update, unchanged, skipped = classes
    inserted, updated = data.draw(st.integers(0, insert)), data.draw(st.integers(0, update))

    report = Report.of(
        [
            BEGIN,
            read(sum(classes) + duplicates),
            counted("duplicates", duplicates),
            classified(insert, update, unchanged, skipped),
            counted("inserted", inserted),
            counted("updated", updated),
            COMMIT,
        ]
    )

    assert report.counts.closed
    assert report.skipped == skipped + (insert - inserted) + (update - updated)


def test_failure_keeps_what_was_committed_before_it():
    error = BadRow("bad", location=Location("rows.csv", 3))

    report = Report.of(
        [STARTED, BEGIN, read(1), counted("unchanged", 1), COMMIT, BEGIN, ev.SpecFailed(error=error)]
    )

    assert (report.ok, report.exit_code, report.error, report.rows_read) == (False, 1, error, 1)


def test_report_names_its_spec_and_files():
    report = Report.of(
        [STARTED, ev.FileWritten(path="out.csv", rows=2), ev.FileWritten(path="b.csv", rows=0)]
    )

    assert (report.name, report.mode, report.strategy) == ("orders", "upsert", "staged")
    assert (report.target, report.connection, report.files) == ("shop.orders", "db", ("out.csv", "b.csv"))


@pytest.mark.parametrize(
    "event",
    [
        ev.StepStarted(unit="publish", step="COPY"),
        ev.StepFinished(unit="publish", step="COPY", rows=500, seconds=0.1),
        ev.Progress(rows=7, bytes=9),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_only_tells_of_the_way_changes_nothing(event: ev.Event):
    report = Report.of([STARTED, BEGIN])

    assert report.after(event) == report


def test_a_report_is_made_of_plain_values():
    told = asdict(Report.of([STARTED, BEGIN, read(1), COMMIT]))

    assert told["counts"]["rows_read"] == 1
    assert told["bad_rows"] == ()


def test_reports_travel():
    report = Report.of([STARTED, BEGIN, read(1), COMMIT, ev.SpecFailed(error=BadRow("bad", hint="mend it"))])

    copy = pickle.loads(pickle.dumps(report))

    assert (copy.counts, str(copy.error), copy.error.hint) == (report.counts, str(report.error), "mend it")
