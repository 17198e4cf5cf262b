"""Random CSV with random corruption, against the oracle: Python's csv and one INSERT a row."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import syncengine
from tests.builders import a_spec
from tests.servers import Database, Server

TABLE = "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL CHECK (length(name) <= 5), qty int CHECK (qty > 0))"
NAMES = st.text(alphabet='ab,"\n é', max_size=7)
FIELDS = st.tuples(
    NAMES,
    st.sampled_from(["1", "2", "-1", "x", "", "99999999999"]),
)
# What is done to the text of a record; no quote is added or taken, which is another test's subject.
CORRUPTIONS = {
    "none": lambda raw: raw,
    "one field more": lambda raw: raw[:-1] + b",9\n",
    "no UTF-8": lambda raw: raw[:-1] + b"\xff\n",
    "nul": lambda raw: raw[:-1] + b"\0\n",
    "key twice": lambda raw: raw.split(b",", 1)[0] + raw,
    "letters in the key": lambda raw: b"k" + raw,
}
# These may take neighbours along.
OPEN_QUOTES = {
    "quote at the beginning": lambda raw: b'"' + raw,
    "quote in the middle": lambda raw: raw[:5] + b'"' + raw[5:],
    "quote at the end": lambda raw: raw[:-1] + b'"\n',
    "CR LF": lambda raw: raw[:-1] + b"\r\n",
    "blank line": lambda raw: b"\n" + raw,
    "end mark": lambda raw: b"\\.\n" + raw,
}
RECORDS = st.lists(st.tuples(FIELDS, st.sampled_from([*["none"] * 4, *CORRUPTIONS])), max_size=30)


@pytest.fixture(scope="module")
def target(server: Server) -> Iterator[Database]:
    with server.database() as database:
        yield database


def record(number: int, fields: tuple[str, str], corruption: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([1000 + number, *fields])
    raw: bytes = (CORRUPTIONS | OPEN_QUOTES)[corruption](text.getvalue().encode())
    return raw


def accepted(db: Database, raw: bytes) -> bool:
    """Tell whether the record, read by Python and inserted by itself, is a row of the table."""
    try:
        rows = list(csv.reader(io.StringIO(raw.decode(), newline="")))
        # An unquoted empty field is NULL, a quoted one is the empty text.
        (values,) = rows
        assert len(values) == 3
        name = None if not values[1] and b'""' not in raw else values[1]
        with db.conn.transaction():
            db.conn.execute("INSERT INTO oracle VALUES (%s, %s, %s)", [values[0], name, values[2] or None])
    except (psycopg.Error, UnicodeError, ValueError, AssertionError, csv.Error):
        return False
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS)
def test_good_rows_are_those_that_can_be_inserted_one_by_one(
    records: list[tuple[tuple[str, str], str]], target: Database, tmp_path: Path
):
    raws = [record(number, *what) for number, what in enumerate(records)]
    target.execute("DROP TABLE IF EXISTS t, oracle; DROP SCHEMA IF EXISTS syncengine CASCADE")
    target.execute(TABLE)
    target.execute(TABLE.replace("TABLE t", "TABLE oracle"))
    bad = [raw for raw in raws if not accepted(target, raw)]
    (tmp_path / "rows.csv").write_bytes(b"id,name,qty\n" + b"".join(raws))
    spec = a_spec(tmp_path, conflict_keys=["id"], bad_rows="quarantine")

    report = syncengine.run(spec, connection=target.url)

    assert target.execute("TABLE t ORDER BY id") == target.execute("TABLE oracle ORDER BY id")
    assert report.counts.closed
    assert (report.rows_read, report.quarantined) == (len(raws), len(bad))
    if bad:
        kept = target.execute("SELECT raw FROM syncengine.quarantine ORDER BY number")
        assert [bytes(raw) for (raw,) in kept] == bad


MESSY = st.lists(
    st.tuples(FIELDS, st.sampled_from([*["none"] * 12, *CORRUPTIONS, *OPEN_QUOTES])), max_size=40
)
OUTCOME = """
SELECT line, number, byte_from, byte_to, "column", sqlstate, constraint_name, message, raw, head
FROM syncengine.quarantine ORDER BY number"""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=MESSY,
    rows=st.sampled_from([None, 1, 2, 5, 11]),
    transaction=st.sampled_from(["all", "chunk"]),
)
def test_what_is_read_in_pieces_ends_as_what_is_read_record_by_record(
    records: list[tuple[tuple[str, str], str]],
    rows: int | None,
    transaction: str,
    target: Database,
    tmp_path: Path,
):
    """A compressed file can't be opened in the middle, so that single records are read from the first bad one on."""
    data = b"id,name,qty\n" + b"".join(record(number, *what) for number, what in enumerate(records))
    (tmp_path / "rows.csv").write_bytes(data)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(data))
    found = []
    for name in ("rows.csv", "rows.csv.gz"):
        target.execute("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS syncengine CASCADE")
        target.execute(TABLE)
        how = {"transaction": transaction} | ({"chunk_rows": rows} if rows else {})
        keys = {
            "conflict_keys": ["id"],
            "bad_rows": "quarantine",
            "duplicates": "last",
            "null_keys": "quarantine",
        }
        report = syncengine.run(a_spec(tmp_path, source=name, execution=how, **keys), connection=target.url)
        assert report.counts.closed
        found.append((target.execute("TABLE t ORDER BY id"), report.rows_read, target.execute(OUTCOME)))

    assert found[0] == found[1]
