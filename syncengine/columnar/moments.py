"""Dates, times and durations of Arrow as texts: as Python's isoformat() writes them, without its limits.

Moments with a time zone are written in UTC: that is what the data holds, and any server reads them alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncengine.columnar.lib import Array, integers, np, nulls, pa

# How many of a unit make a second.
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DAY = 86_400


def texts(array: Array) -> list[str | None]:
    """Return the text of each value of a temporal array."""
    kind = array.type
    if pa.types.is_interval(kind):
        return [None if value is None else _interval(*value) for value in array.to_pylist()]
    numbers = integers(array)
    if pa.types.is_date(kind):
        found = _dates(numbers) if pa.types.is_date32(kind) else _dates_in_ms(numbers)
    elif pa.types.is_timestamp(kind):
        found = _timestamps(numbers, kind.unit, "+00:00" if kind.tz is not None else "")
    else:
        write: Callable[[int, int], str] = _time if pa.types.is_time(kind) else _duration
        found = [write(number, PER_SECOND[kind.unit]) for number in numbers.tolist()]
    for place in np.flatnonzero(nulls(array)).tolist():
        found[place] = None
    return found


def _dates(days: Any) -> list[str | None]:
    return [_in_era(text) for text in np.datetime_as_string(days.astype("M8[D]")).tolist()]


def _dates_in_ms(numbers: Any) -> list[str | None]:
    """Return the texts of date64, which should hold whole days; what is no such day keeps its time."""
    days, rest = np.divmod(numbers, DAY * 1_000)
    return _timestamps(numbers, "ms", "") if rest.any() else _dates(days)


def _timestamps(numbers: Any, unit: str, zone: str) -> list[str | None]:
    written = np.datetime_as_string(numbers.astype(f"M8[{unit}]"), unit=unit).tolist()
    return [_in_era(_shortened(text) + zone) for text in written]


def _shortened(text: str) -> str:
    """Return a time without a fraction that is none, and with six digits where they are enough."""
    whole, point, fraction = text.partition(".")
    if not fraction.strip("0"):
        return whole
    digits = fraction.ljust(6, "0")
    return whole + point + (digits if digits[6:].strip("0") else digits[:6])


def _in_era(text: str) -> str:
    """Return a moment as PostgreSQL writes years before the first one, where there is a year 0."""
    if not text.startswith(("-", "0000")):
        return text.removeprefix("+")
    year, rest = text[1:].split("-", 1) if text.startswith("-") else text.split("-", 1)
    return f"{int(year) + 1:04}-{rest} BC"


def _time(number: int, per_second: int) -> str:
    seconds, fraction = divmod(number, per_second)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + _fraction(fraction, per_second) if fraction else text


def _fraction(fraction: int, per_second: int) -> str:
    return _shortened(f".{fraction:0{len(str(per_second)) - 1}}")


def _duration(number: int, per_second: int) -> str:
    days, rest = divmod(number, DAY * per_second)
    seconds, fraction = divmod(rest, per_second)
    return f"{days} days {seconds}{_fraction(fraction, per_second) if fraction else ''} seconds"


def _interval(months: int, days: int, nanoseconds: int) -> str:
    seconds, fraction = divmod(abs(nanoseconds), PER_SECOND["ns"])
    sign = "-" if nanoseconds < 0 else ""
    tail = _fraction(fraction, PER_SECOND["ns"]) if fraction else ""
    return f"{months} months {days} days {sign}{seconds}{tail} seconds"
