"""Which texts would lose something on their way into a column; tests/pg/test_types_refused.py asks a server."""

from __future__ import annotations

from itertools import product

import pytest

from syncengine.execute.digits import digits_rule
from syncengine.execute.losses import rule_for
from syncengine.execute.watching import suspects
from syncengine.model.facts import CsvFormat

TIMESTAMP = "timestamp without time zone"
ZONED = "timestamp with time zone"
TIME = "time without time zone"
TIME_ZONED = "time with time zone"

# type, text, what it would lose
LOSSES = [
    (TIMESTAMP, "2024-01-01 12:00+05", "zone, +05,"),
    (TIMESTAMP, "2024-01-01T12:00:00Z", "zone, z,"),
    (TIMESTAMP, "2024-01-01 12:00:00.123-07", "zone, -07,"),
    (TIMESTAMP, "2024-01-01 12:00:00 -05:30", "zone, -05:30,"),
    (TIMESTAMP, "2024-01-01 12:00:00 PST", "zone, pst,"),
    (TIMESTAMP, "2024-01-01 12:00 Europe/Berlin", "zone, europe/berlin,"),
    (TIMESTAMP, "2024-01-01 12:00 UTC", "zone, utc,"),
    (TIMESTAMP, "Mon Jan  1 12:00:00 PST 2024", "zone, pst,"),
    (TIMESTAMP, "1/2/2024 3:04 PM -08", "zone, -08,"),
    (TIMESTAMP, "2024-01-01+05", "zone, +05,"),
    (TIMESTAMP, "2024-01-01 EST", "zone, est,"),
    (TIMESTAMP, "20240101T120000Z", "zone, z,"),
    (TIMESTAMP, "20240101T120000.5-0500", "zone, -0500,"),
    (TIMESTAMP, "2024-01-01 120000-05", "zone, -05,"),
    (TIMESTAMP, "2024-01-01 12:00:00.1234567", "finer than a microsecond"),
    (TIMESTAMP + "[]", '{NULL,"2024-01-01 12:00Z"}', "zone, z,"),
    ("tsrange", '["2024-01-01 12:00","2024-01-02 12:00+01")', "zone, +01,"),
    ("tsmultirange", '{["2024-01-01 12:00Z",)}', "zone, z,"),
    (ZONED, "2024-01-01 12:00:00.123456789Z", "finer than a microsecond"),
    (ZONED, "20240101T120000.1234567Z", "finer than a microsecond"),
    ("tstzrange", "[2024-01-01 00:00:00.1234567Z,]", "finer than a microsecond"),
    ("date", "2024-01-01 23:59", "time, 23:59,"),
    ("date", "2024-01-01T22:00:00.000Z", "time, 22:00:00.000,"),
    ("date", "2024-01-01T220000", "time, t220000,"),
    ("date", "2024-01-01 00:00:00.5", "time, 00:00:00.5,"),
    ("date", "1/1/2024 12:00 PM", "time, 12:00 pm,"),
    ("date", "2024-01-01 24:00", "time, 24:00,"),
    ("date", "2024-01-01 00:00+05", "zone, +05,"),
    ("date", "2024-01-01 PST", "zone, pst,"),
    ("daterange", "[2024-01-01,2024-02-01 12:00)", "time, 12:00,"),
    (TIME, "12:00+05", "zone, +05,"),
    (TIME, "12:00:00.5-05", "zone, -05,"),
    (TIME, "12:00 PST", "zone, pst,"),
    (TIME, "2024-01-01 12:00", "date"),
    (TIME, "12:00:00.1234567", "finer than a microsecond"),
    (TIME_ZONED, "2024-01-01 12:00+05", "date"),
    (TIME_ZONED, "12:00:00.1234567Z", "finer than a microsecond"),
    ("interval", "0.0000001 s", "finer than a microsecond"),
    ("interval", "PT1.1234567S", "finer than a microsecond"),
    ("character varying(3)", "abc  ", "2 blanks"),
    ("name", "ä" * 32, "63 bytes"),
    ('"char"', "ab", "one byte"),
    ("oid", "-1", "less than 0"),
]
WHOLE = [
    (TIMESTAMP, "2024-01-01 12:00:00.123456"),
    (TIMESTAMP, "2024-01-01 12:00:00.1234560"),
    (TIMESTAMP, "294276-12-31 23:59:59"),
    (TIMESTAMP, "0044-03-15 12:00 BC"),
    (TIMESTAMP, "Jan-01-2024 3:04 PM"),
    (TIMESTAMP, "Mon Jan  1 12:00:00 2024"),
    (TIMESTAMP, "20240101T120000"),
    (TIMESTAMP, "-infinity"),
    (TIMESTAMP, "J2451187"),
    (TIMESTAMP, "hello"),
    (TIMESTAMP, ""),
    ("tsrange", "[,2024-01-02)"),
    (ZONED, "2024-01-01 12:00:00.123456+05:30"),
    ("date", "2024-01-01 00:00:00"),
    ("date", "2024-01-01T00:00:00.000Z"),
    ("date", "1/1/2024 12:00:00 AM"),
    ("date", "January 8, 1999"),
    ("date", "5874897-12-31"),
    ("daterange", "empty"),
    (TIME, "12:00 PM"),
    (TIME, "120000"),
    (TIME_ZONED, "12:34:56.5-05:30"),
    (TIME_ZONED, "12:34:56 America/New_York"),
    ("interval", "1.3333333 days"),
    ("interval", "00:00:00.1234560"),
    ("character varying(3)", "ab "),
    ("character varying(3)", "abcd"),
    ("character varying", "abc  "),
    ("name", "x" * 63),
    ('"char"', "\\101"),
    ("oid", "7"),
]
ROUNDED = [
    ("numeric(12,2)", "1.005\t"),
    ("numeric(12,2)", "1.005"),
    ("numeric(12,2)", "-.001"),
    ("numeric(12,2)", "1e-3"),
    ("numeric(12,2)", "1.2345E1"),
    ("numeric(5,0)", "0.5"),
    ("numeric(5,-1)", "117"),
    ("numeric(6,2)[]", "{1,NULL,1.005}"),
    ("timestamp(0) without time zone", "2024-01-01 12:00:00.5"),
    ("timestamp(3) with time zone", "2024-01-01T12:00:00.1234Z"),
    ("timestamp(3) with time zone", "20240101T120000.1234Z"),
    ("timestamp(3) with time zone", "2024-01-01 1:2:3.1234"),
    ("timestamp(3) with time zone", "2024-01-01 1200.1234"),
    ("timestamp(3) without time zone", "2024-01-01t120000.1234"),
    ("time(0) without time zone", "12:00:00.5"),
]
FITTING = [
    ("numeric(12,2)", "1.5"),
    ("numeric(12,2)", "-1.500"),
    ("numeric(12,2)", "1.5e-1"),
    ("numeric(12,2)", "150e-2"),
    ("numeric(12,2)", "NaN"),
    ("numeric(12,2)", "abc"),
    ("numeric(12,2)", "0.000"),
    ("numeric(5,-1)", "120"),
    ("timestamp(0) without time zone", "2024-01-01 12:00:00.000"),
    ("timestamp(0) without time zone", "1.2.2024 12:00"),
    ("timestamp(3) with time zone", "2024-01-01T12:00:00.1230Z"),
]


@pytest.mark.parametrize(("input_type", "text", "loss"), LOSSES)
def test_what_a_text_would_lose_is_told(input_type: str, text: str, loss: str):
    rule = rule_for(input_type)

    assert rule is not None
    assert loss in (rule.fault(text) or "")


@pytest.mark.parametrize(("input_type", "text"), WHOLE)
def test_a_text_that_loses_nothing_is_let_through(input_type: str, text: str):
    rule = rule_for(input_type)

    assert rule is None or rule.fault(text) is None


@pytest.mark.parametrize(("input_type", "text"), ROUNDED)
def test_a_text_that_would_be_rounded_is_told(input_type: str, text: str):
    rule = digits_rule(input_type)

    assert rule is not None
    assert rule.fault(text) == f"{input_type} would round it"


@pytest.mark.parametrize(("input_type", "text"), FITTING)
def test_a_text_that_fits_is_let_through(input_type: str, text: str):
    rule = digits_rule(input_type)

    assert rule is not None
    assert rule.fault(text) is None


@pytest.mark.parametrize(
    "input_type", ["bigint", "text", "numeric", "jsonb", "interval", "boolean[]", "uuid"]
)
def test_most_types_take_a_text_whole_or_not_at_all(input_type: str):
    assert input_type == "interval" or rule_for(input_type) is None
    assert digits_rule(input_type) is None


@pytest.mark.parametrize("quote", ['"', ""], ids=["quoted", "plain"])
@pytest.mark.parametrize(
    ("input_type", "text"),
    [*((kind, text) for kind, text, _ in LOSSES), *ROUNDED],
    ids=lambda value: str(value),
)
def test_no_faulty_text_hides_among_the_bytes_of_a_file(input_type: str, text: str, quote: str):
    rule = digits_rule(input_type) if (input_type, text) in ROUNDED else rule_for(input_type)
    line = f"7,{quote}{text}{quote},x\n".encode()

    assert rule is not None
    patterns = suspects([rule], CsvFormat())
    assert patterns is None or any(pattern.search(line) for pattern in patterns)


DAYS = ("2024-01-01", "20240101", "01/02/2024", "Jan 1 2024", "2024-1-1")
CLOCKS = ("12:00:00", "1:2:3", "120000", "1200", "12:00", "0:0")
ZONES = ("", "+05", "-5", "Z", "z", " UTC", " EST", "EST", "-05:30", " -05", " Europe/Berlin", " PST8PDT")


@pytest.mark.parametrize(
    ("input_type", "field"),
    [
        ("timestamp without time zone", b'"2024-01-01 12:00:00" Z'),
        ("timestamp without time zone", b"2024-01-01 12:00:00\tZ"),
        ("character varying(3)", b'"abc "  ""'),
    ],
)
def test_blanks_and_quotes_within_a_field_hide_nothing(input_type: str, field: bytes):
    rule = rule_for(input_type)
    assert rule is not None
    assert any(one.search(b"7," + field + b",x\n") for one in suspects([rule], CsvFormat()) or ())


@pytest.mark.parametrize("input_type", ["timestamp with time zone", "timestamp without time zone", "date"])
def test_no_clock_zone_or_fraction_that_the_server_reads_hides_among_the_bytes(input_type: str):
    """All of these spellings are taken by the server, but for some that join digits."""
    rule = rule_for(input_type)
    assert rule is not None
    patterns = suspects([rule], CsvFormat())
    assert patterns is not None
    texts = [
        "".join(parts) for parts in product(DAYS, (" ", "T", "t"), CLOCKS, ("", ".5", ".1234567"), ZONES)
    ]

    hidden = [
        text
        for text in texts
        if rule.fault(text) and not any(one.search(f"7,{text},x\n".encode()) for one in patterns)
    ]

    assert len(texts) > 3000
    assert hidden == []


def test_a_dialect_whose_marks_stand_in_numbers_and_times_is_not_searched():
    rule = digits_rule("numeric(12,2)")
    assert rule is not None
    assert suspects([rule], CsvFormat(delimiter=":")) is None


@pytest.mark.parametrize(
    "text", ["2024-01-01 120000", "2024-01-01 1200", "20240101 120000.5", "Jan 1 2024 1200"]
)
def test_a_clock_without_colons_is_no_part_of_a_date(text: str):
    rule = rule_for("date")
    assert rule is not None
    assert "would be dropped" in (rule.fault(text) or "")
    assert rule.fault("Jan 1 2024") is rule.fault("2024-01-01 0000") is None


@pytest.mark.parametrize(
    ("input_type", "text"),
    [("character varying(3)[]", '{"abc  "}'), ("xid8", "-1"), ("cid", "-1")],
)
def test_arrays_and_numbers_without_a_sign_are_looked_at_too(input_type: str, text: str):
    rule = rule_for(input_type)
    assert rule is not None
    assert rule.fault(text)


@pytest.mark.parametrize(
    "line",
    [
        b"1,user1234.7014552@example.com,48.1234567,2024-01-01 10:00:00.123456+00\n",
        b"-122.41941550,1200 West Street,2024-01-01 10:00:00.123456000+00,1.2345678e-05\n",
    ],
)
def test_digits_of_other_columns_are_no_fractions_of_seconds(line: bytes):
    """Else each block of such a file would be taken apart."""
    rule = rule_for("timestamp with time zone")
    assert rule is not None
    assert not any(one.search(line) for one in suspects([rule], CsvFormat()) or ())
