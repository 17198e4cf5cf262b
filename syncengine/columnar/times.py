"""Dates, times and durations of Arrow as binary fields; what would lose something is declined."""

from __future__ import annotations

from typing import Any

from syncengine.columnar.fields import Declined, Pieces, fixed, one, room
from syncengine.columnar.lib import Array, integers, np, nulls, pa
from syncengine.columnar.moments import DAY, PER_SECOND

# PostgreSQL counts from 2000-01-01, Arrow from 1970-01-01.
_EPOCH_DAYS = 10_957
_MICROS = 1_000_000
_DAY = DAY * _MICROS
# What PostgreSQL holds, in its own counting: from 4714-11-24 BC, to the years 5874897 and 294276.
_FIRST_DAY, _LAST_DAY = -2_451_545, 2_145_031_948
_FIRST_MOMENT, _LAST_MOMENT = -211_813_488_000_000_000, 9_223_371_331_200_000_000
_MOST_SECONDS = 9_224_000_000_000


def date(array: Array) -> Pieces:
    """Return dates; moments are dates where each of them is a midnight, of UTC where they have a zone."""
    kind = array.type
    if pa.types.is_date32(kind):
        days = integers(array)
    elif pa.types.is_date64(kind) or pa.types.is_timestamp(kind):
        per_day = DAY * PER_SECOND["ms" if pa.types.is_date64(kind) else kind.unit]
        days, rest = np.divmod(integers(array), per_day)
        if rest.any():
            raise Declined("times that are no midnight")
    else:
        raise Declined("no dates", always=True)
    days = days - _EPOCH_DAYS
    if len(days) and (days.min() < _FIRST_DAY or days.max() >= _LAST_DAY):
        raise Declined("dates that PostgreSQL does not have")
    return one(array, days, ">i4")


def timestamp(array: Array, *, zoned: bool, utc: bool, digits: int | None) -> Pieces:
    """Return timestamps, `zoned` or not; `digits` of a second if the column has fewer than six.

    What has no zone is a moment of the session's, which is known here only if that is `utc`.
    """
    kind = array.type
    if pa.types.is_timestamp(kind):
        unit, has_zone = kind.unit, kind.tz is not None
    elif pa.types.is_date(kind):
        unit, has_zone = ("s", False) if pa.types.is_date32(kind) else ("ms", False)
    else:
        raise Declined("no moments", always=True)
    if has_zone and not zoned:
        raise Declined("moments with a time zone, which the column would drop")
    if zoned and not has_zone and not utc:
        raise Declined("moments of the session's time zone", always=True)
    numbers = integers(array) * DAY if pa.types.is_date32(kind) else integers(array)
    micros, epoch = _micros(numbers, PER_SECOND[unit], digits), _EPOCH_DAYS * _DAY
    # As numbers of Python's, which have no end to come round at.
    if len(micros) and (
        int(micros.min()) - epoch < _FIRST_MOMENT or int(micros.max()) - epoch >= _LAST_MOMENT
    ):
        raise Declined("moments that PostgreSQL does not have")
    return one(array, micros - epoch, ">i8")


def time(array: Array, digits: int | None) -> Pieces:
    if not pa.types.is_time(array.type):
        raise Declined("no times of day", always=True)
    micros = _micros(integers(array), PER_SECOND[array.type.unit], digits)
    if len(micros) and (micros.min() < 0 or micros.max() >= _DAY):
        raise Declined("times that no day has")
    return one(array, micros, ">i8")


def interval(array: Array) -> Pieces:
    kind = array.type
    if pa.types.is_duration(kind):
        days, rest = np.divmod(integers(array), DAY * PER_SECOND[kind.unit])
        months, micros = 0, _micros(rest, PER_SECOND[kind.unit], None)
    elif pa.types.is_interval(kind):
        form = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanos", "<i8")])
        found = np.frombuffer(array.buffers()[1], form)[array.offset : array.offset + len(array)]
        missing = nulls(array)
        months, days = np.where(missing, 0, found["months"]), np.where(missing, 0, found["days"])
        micros = _micros(np.where(missing, 0, found["nanos"]), PER_SECOND["ns"], None)
    else:
        raise Declined("no intervals", always=True)
    if len(days) and (days.min() < -(2**31) or days.max() >= 2**31):
        raise Declined("intervals that PostgreSQL does not have")
    parts = room(len(array), ("micros", ">i8"), ("days", ">i4"), ("months", ">i4"))
    parts["micros"], parts["days"], parts["months"] = micros, days, months
    return fixed(array, parts, 16)


def _micros(numbers: Any, per_second: int, digits: int | None) -> Any:
    """Return microseconds; Declined where that, or so many digits of a second, would round."""
    if per_second > _MICROS:
        numbers, rest = np.divmod(numbers, per_second // _MICROS)
        if rest.any():
            raise Declined("what is finer than a microsecond")
    elif per_second < _MICROS:
        most = _MOST_SECONDS * per_second
        if len(numbers) and (int(numbers.min()) < -most or int(numbers.max()) > most):
            raise Declined("moments that PostgreSQL does not have")
        numbers = numbers * (_MICROS // per_second)
    if digits is not None and (numbers % 10 ** (6 - digits)).any():
        raise Declined("more digits of a second than the column has")
    return numbers
