"""Arrow arrays of every type, with values at the edges, and the PostgreSQL types that they are tried on."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

_MOMENTS = [0, 1, -1, 1_700_000_000, -2_208_988_800, 253_402_300_799, None]
_EXACT = decimal.Context(prec=76)


def _decimals(kind: Any, *texts: str | None) -> Any:
    return pa.array([None if text is None else Decimal(text) for text in texts], kind)


def _moments(unit: str, factor: int, odd: int, zone: str | None = None) -> Any:
    found = [None if one is None else one * factor + odd for one in _MOMENTS]
    return pa.array(found, pa.int64()).cast(pa.timestamp(unit, zone))


def _of(kind: Any, *values: object) -> Any:
    return pa.array(values, kind)


UUIDS = [uuid.UUID(int=7), uuid.UUID("c0ffee00-1234-4abc-8def-0123456789ab")]
TEXTS = ["a", "", "äöü €", 'quo"te\\', "tab\tline\nend", None, "x" * 300]
MAPS = pa.map_(pa.string(), pa.int32())
STRUCT = pa.struct([("a", pa.int32()), ("t", pa.timestamp("us", "UTC")), ("d", pa.decimal128(10, 2))])

ARRAYS: dict[str, Any] = {
    "bool": _of(pa.bool_(), True, False, None),
    "int8": _of(pa.int8(), -128, 127, None, 0),
    "int16": _of(pa.int16(), -32768, 32767, None),
    "int32": _of(pa.int32(), -(2**31), 2**31 - 1, None, 7),
    "int64": _of(pa.int64(), -(2**63), 2**63 - 1, None, 10**16, -10_000),
    "uint8": _of(pa.uint8(), 0, 255, None),
    "uint16": _of(pa.uint16(), 0, 65535, None),
    "uint32": _of(pa.uint32(), 0, 2**32 - 1, None),
    "uint64": _of(pa.uint64(), 0, 2**64 - 1, None),
    "small-ints": _of(pa.int64(), 0, 1, -1, 9999, 10_000, 32_767, None),
    "float16": _of(pa.float16(), np.float16(0.1), np.float16(-1.5), None, np.float16(65504)),
    "float32": _of(pa.float32(), 0.1, -1.5, 3.4e38, 1e-38, None, 16777216.0, float("nan"), float("inf")),
    "float64": _of(pa.float64(), 0.1, -1.5, 1e300, None, 5e-324, float("nan"), float("-inf"), 0.1 + 0.2),
    "prices": _of(pa.float64(), 19.99, 0.01, -0.5, 1234567.25, None, 0.0, -0.0, 1.0, 0.0001, 99999999999.99),
    "whole-floats": _of(pa.float64(), 1.0, -3.0, None, 2.0**40),
    "large-floats": _of(pa.float64(), 2.0**53, -(2.0**60), None, 1e17, -(2.0**63)),
    "large-short-floats": _of(pa.float32(), 2.0**24, 123456789.0, None, -(2.0**40), 1e17, -(2.0**63)),
    "short-floats-of-integers": _of(pa.float32(), 2.0**24, 123456789.0, None, -(2.0**30)),
    "too-large-floats": _of(pa.float64(), 2.0**63, None),
    "short-prices": _of(pa.float32(), 19.99, 0.01, None, -2.5),
    "half-way": _of(pa.float64(), 1.0 + 2.0**-24, 1.0 + 3 * 2.0**-24, None),
    "decimal32": _decimals(pa.decimal32(9, 2), "1.10", "-1234567.89", None, "0.00"),
    "decimal64": _decimals(pa.decimal64(18, 4), "1.1000", "-12345678901234.5678", None),
    "decimal128": _decimals(pa.decimal128(12, 2), "1.10", "0.00", "-0.01", None, "9999999999.99"),
    "decimal128-wide": _decimals(
        pa.decimal128(38, 10), "1." + "0" * 10, "-" + "9" * 28 + "." + "9" * 10, None
    ),
    "decimal128-whole": _decimals(pa.decimal128(38, 0), "1", "-" + "9" * 38, None, "10000", str(2**64)),
    "decimal128-small": _decimals(pa.decimal128(20, 20), "0." + "0" * 19 + "1", None, "-0." + "1" * 20),
    "decimal256": _decimals(pa.decimal256(76, 5), "1.00000", "-" + "8" * 71 + ".12345", None),
    "decimal-money": _decimals(pa.decimal128(12, 3), "1.500", "2.000", None),
    "date32": _of(pa.date32(), dt.date(2024, 2, 29), dt.date(1, 1, 1), dt.date(9999, 12, 31), None),
    "date32-far": pa.array([0, -719_528, -800_000, 3_000_000, None], pa.int32()).cast(pa.date32()),
    "date64": _of(pa.date64(), dt.date(2024, 2, 29), None),
    "time32-s": _of(pa.time32("s"), dt.time(1, 2, 3), None),
    "time32-ms": _of(pa.time32("ms"), dt.time(23, 59, 59, 999000), dt.time(0), None),
    "time64-us": _of(pa.time64("us"), dt.time(23, 59, 59, 999999), None),
    "time64-ns": _of(pa.int64(), 1_000, 86_399_999_999_000, None).cast(pa.time64("ns")),
    "time64-ns-fine": _of(pa.int64(), 1_001, None).cast(pa.time64("ns")),
    "timestamp-s": _moments("s", 1, 0),
    "timestamp-ms": _moments("ms", 1_000, 7),
    "timestamp-us": _moments("us", 1_000_000, 123_456),
    "timestamp-ns": pa.array([0, 1_700_000_000_123_456_000, None], pa.int64()).cast(pa.timestamp("ns")),
    "timestamp-ns-fine": pa.array([0, 1_700_000_000_123_456_789], pa.int64()).cast(pa.timestamp("ns")),
    "timestamp-days": _of(pa.timestamp("us"), dt.datetime(2024, 2, 29), None),
    "timestamp-bc": pa.array([-70_000_000_000, -62_135_596_801, None], pa.int64()).cast(pa.timestamp("s")),
    "timestamptz-bc": pa.array([-70_000_000_000, None], pa.int64()).cast(pa.timestamp("s", "UTC")),
    "timestamp-far": pa.array([2**62, None], pa.int64()).cast(pa.timestamp("s")),
    "timestamptz-us": _moments("us", 1_000_000, 5, "UTC"),
    "timestamptz-s": _moments("s", 1, 0, "Europe/Berlin"),
    "timestamptz-ns": pa.array([0, 10**18, None], pa.int64()).cast(pa.timestamp("ns", "+05:30")),
    "timestamptz-days": pa.array([86_400 * 365, None], pa.int64()).cast(pa.timestamp("s", "UTC")),
    "duration-s": _of(pa.duration("s"), dt.timedelta(days=3, seconds=7), -dt.timedelta(seconds=1), None),
    "duration-us": _of(pa.duration("us"), dt.timedelta(microseconds=-1), dt.timedelta(days=40), None),
    "duration-ns": pa.array([1_000, -86_400_000_000_000, None], pa.int64()).cast(pa.duration("ns")),
    "duration-ns-fine": pa.array([1_001, None], pa.int64()).cast(pa.duration("ns")),
    "interval": pa.array([(1, -2, 3_000_000_000), (-14, 5, -1_000), None], pa.month_day_nano_interval()),
    "interval-fine": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "string": _of(pa.string(), *TEXTS),
    "large-string": _of(pa.large_string(), *TEXTS),
    "string-view": _of(pa.string_view(), *TEXTS),
    "short-strings": _of(pa.string(), "abc", None, "de"),
    "blanks": _of(pa.string(), "abc     ", "d"),
    "nul": _of(pa.string(), "a\0b"),
    "bad-utf8": pa.array([b"\xff\xfe", b"ok"], pa.binary()).view(pa.string()),
    "numbers-as-text": _of(pa.string(), "1.10", "-7", None),
    "dates-as-text": _of(pa.string(), "2024-02-29", None),
    "json-text": _of(pa.string(), '{"b": 1.10, "a": [1, null]}', '"x"', "null", None),
    "json": _of(pa.json_(), '{"a": 1}', "[1]", None),
    "no-json": _of(pa.string(), "{", None),
    "binary": _of(pa.binary(), b"\x00\xff", b"", None),
    "large-binary": _of(pa.large_binary(), b"abc", None),
    "binary-view": _of(pa.binary_view(), b"abc", None, b"a longer one than twelve bytes"),
    "fixed-binary": _of(pa.binary(3), b"abc", None),
    "sixteen-bytes": _of(pa.binary(16), *(one.bytes for one in UUIDS), None),
    "uuid": _of(pa.uuid(), *(one.bytes for one in UUIDS), None),
    "uuid-text": _of(pa.string(), *map(str, UUIDS), None, "C0FFEE00-1234-4ABC-8DEF-0123456789AB"),
    "odd-uuid-text": _of(pa.string(), "{c0ffee00-1234-4abc-8def-0123456789ab}"),
    "labels": _of(pa.string(), "red", "blue", None),
    "dictionary": pa.array(["red", "blue", None, "red"]).dictionary_encode(),
    "int-dictionary": pa.array([5, None, 5]).dictionary_encode(),
    "run-ends": pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]),
    "null": pa.nulls(3),
    "list-int32": _of(pa.list_(pa.int32()), [1, None, 3], [], None, [7]),
    "large-list-int64": _of(pa.large_list(pa.int64()), [1], None, []),
    "fixed-list": _of(pa.list_(pa.float64(), 2), [1.5, -2.0], None, [0.25, None]),
    "list-of-whole-floats": _of(pa.list_(pa.float64()), [1.0, None, -3.0], [], None),
    "list-of-short-floats": _of(pa.list_(pa.float32()), [123456789.0, None], [1.0]),
    "list-of-decimals": _of(pa.list_(pa.decimal128(10, 2)), [Decimal("1.00"), None]),
    "list-view": _of(pa.list_view(pa.int16()), [1, 2], None, []),
    "list-text": _of(pa.list_(pa.string()), ['a "b"', "", None, "NULL", "x,y"], ["{}"], None),
    "list-bool": _of(pa.list_(pa.bool_()), [True, None, False]),
    "list-decimal": _of(pa.list_(pa.decimal128(10, 2)), [Decimal("1.10"), None], []),
    "list-timestamp": _of(pa.list_(pa.timestamp("us")), [dt.datetime(2024, 2, 29, 1, 2, 3)], None),
    "list-date": _of(pa.list_(pa.date32()), [dt.date(2024, 2, 29), None]),
    "list-uuid": pa.ListArray.from_arrays([0, 2, 2], _of(pa.uuid(), UUIDS[0].bytes, None)),
    "list-list": _of(pa.list_(pa.list_(pa.int32())), [[1, 2], [3, 4]], None),
    "list-struct": _of(pa.list_(STRUCT), [{"a": 1, "t": None, "d": Decimal("1.10")}, None], []),
    "struct": _of(STRUCT, {"a": 1, "t": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "d": Decimal("1.10")}, None),
    "map-of-equal-keys": _of(MAPS, [("a", 1), ("a", 2)], [("b", 1)]),
    "map-of-nans": _of(pa.map_(pa.float64(), pa.int32()), [(float("nan"), 1), (float("nan"), 2)]),
    "map-of-booleans": _of(pa.map_(pa.bool_(), pa.int32()), [(True, 1), (False, 2)], None),
    "map-of-lists": _of(pa.map_(pa.list_(pa.int32()), pa.int32()), [([1], 1)], None),
    "list-of-maps": _of(pa.list_(MAPS), [[("a", 1), ("a", 2)]], [[("a", 1)]]),
    "struct-of-equal-fields": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
    "map": _of(MAPS, [("a", 1), ("b", None)], [], None),
    "sliced": _of(pa.list_(pa.string()), ["skip"], ["a", None], ["b"]).slice(1),
    "sliced-decimal": _decimals(pa.decimal128(12, 2), "9.99", None, "1.10").slice(1),
    "sliced-strings": _of(pa.string(), "skipped", None, "ä").slice(1),
    "sliced-bools": _of(pa.bool_(), True, False, None, True).slice(1),
    "sliced-interval": pa.array([None, (1, 2, 3000)], pa.month_day_nano_interval()).slice(1),
    "sliced-structs": _of(STRUCT, None, {"a": 2, "t": None, "d": None}).slice(1),
    "sliced-maps": _of(MAPS, [("z", 0)], [("a", 1)], None).slice(1),
}

TYPES = (
    *("boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric", "numeric(6,2)"),
    *(
        "numeric(5,0)",
        "text",
        "varchar(5)",
        "char(3)",
        "name",
        "bytea",
        "uuid",
        "json",
        "jsonb",
    ),
    *(
        "date",
        "time",
        "time(2)",
        "timetz",
        "timestamp",
        "timestamptz",
        "timestamp(3)",
        "interval",
        "interval day",
    ),
    *("mood", "short", "price", "oid", "inet", "int4range", "integer[]", "bigint[]", "smallint[]", "text[]"),
    *("boolean[]", "numeric[]", "numeric(10,1)[]", "double precision[]", "timestamp[]", "date[]", "uuid[]"),
    *("jsonb[]", "varchar(3)[]", "mood[]", "bit(3)", "xml", "citext"),
)
MAKE_TYPES = (
    "CREATE EXTENSION IF NOT EXISTS citext",
    "CREATE TYPE mood AS ENUM ('red', 'blue')",
    "CREATE DOMAIN short AS varchar(5) CHECK (VALUE <> 'no')",
    "CREATE DOMAIN price AS numeric(8,2)",
)
